// The three products of a wave for compute capability 9.0 (soft.cu has them for all GPUs, and what lies between): a group of four warps
// of which one thread keeps the copy engine busy, and two groups that multiply, each 64 rows of a tile of 128 x 256. A block goes on
// to its next tile while copies already run ahead, and the groups do not wait for each other: one takes its exponentials while the
// other multiplies.
#include "params.cuh"
#include "wgmma.cuh"

#ifndef NPAIR_HOPPER_STAGES
#define NPAIR_HOPPER_STAGES 4
#endif

namespace hopper {

constexpr uint32_t TILE_ROWS = 128, TILE_COLUMNS = 256;
constexpr uint32_t STEPS = 64; // of a stage
constexpr uint32_t STAGES = NPAIR_HOPPER_STAGES;
constexpr uint32_t BOX_BYTES = 64 * 128;                                      // 64 lines
constexpr uint32_t LEFT_BYTES = TILE_ROWS * STEPS * 2, RIGHT_BYTES = TILE_COLUMNS * STEPS * 2;
constexpr uint32_t STAGE_BYTES = LEFT_BYTES + RIGHT_BYTES;
constexpr uint32_t HOPPER_THREADS = 3 * GROUP;
// What the launch asks for: the stages, room to begin at a whole eight lines, barriers.
constexpr uint32_t HOPPER_SHARED = STAGES * STAGE_BYTES + 1024 + 128;
static_assert(HOPPER_SHARED <= 227 << 10, "shared memory");

struct Ring {
    unsigned char *stages;
    Barrier *full, *empty;
    uint32_t stage = 0, parity = 0;

    __device__ __forceinline__ unsigned char *left() const { return stages + stage * STAGE_BYTES; }
    __device__ __forceinline__ unsigned char *right() const { return left() + LEFT_BYTES; }
    __device__ __forceinline__ void next() {
        stage++;
        if (stage == STAGES) stage = 0, parity ^= 1;
    }
};

static __device__ __forceinline__ Ring ring_in(unsigned char *memory) {
    Ring ring;
    ring.stages = memory + (1024 - shared_address(memory) % 1024) % 1024;
    ring.full = (Barrier *)(ring.stages + STAGES * STAGE_BYTES);
    ring.empty = ring.full + STAGES;
    if (threadIdx.x == 0) {
        for (uint32_t s = 0; s < STAGES; s++) barrier_init(ring.full + s, 1), barrier_init(ring.empty + s, 2);
        barriers_made();
    }
    __syncthreads();
    return ring;
}

// One thread: the copies of all tiles of this block.
template <class Work> static __device__ __forceinline__ void copy_all(const Work &work, Ring ring) {
    for (uint32_t tile = blockIdx.x; tile < work.tiles; tile += gridDim.x) {
        const typename Work::Place at = work.place(tile);
        for (uint32_t block = at.from; block < at.to; block++) {
            barrier_wait(ring.empty + ring.stage, ring.parity ^ 1);
            Barrier *full = ring.full + ring.stage;
            barrier_announce(full, STAGE_BYTES);
            work.copy(ring.left(), ring.right(), full, at, block);
            barrier_copied(full);
            ring.next();
        }
    }
}

// 64 lines of a box, each times its number, by a group: `mine` is that of line thread % 64.
template <class T> static __device__ __forceinline__ void scale_lines(unsigned char *box, float mine, uint32_t number) {
    const uint32_t thread = threadIdx.x % GROUP;
    const uint32_t by = pair<T>(mine, mine);
    uint32_t *words = (uint32_t *)(box + thread % 64 * 128 + thread / 64 * 64);
#pragma unroll 4
    for (uint32_t i = 0; i < 16; i++) words[i] = times<T>(words[i], by);
    written_for_products();
    group_barrier(number);
}

// A group: its rows of all tiles of this block.
template <class T, class Work> static __device__ __forceinline__ void multiply_all(const Work &work, Ring ring) {
    const uint32_t group = threadIdx.x / GROUP - 1, thread = threadIdx.x % GROUP;
    for (uint32_t tile = blockIdx.x; tile < work.tiles; tile += gridDim.x) {
        const typename Work::Place at = work.place(tile);
        if (at.from == at.to) {
            work.nothing(at, group);
            continue;
        }
        float sums[128];
        float mine = Work::SCALES ? work.scale(at, at.from, 64 * group + thread % 64) : 1.f;
        uint32_t before = STAGES; // the stage of the products that still run
        for (uint32_t block = at.from; block < at.to; block++) {
            float upcoming = 1.f;
            if (Work::SCALES && block + 1 < at.to) upcoming = work.scale(at, block + 1, 64 * group + thread % 64);
            barrier_wait(ring.full + ring.stage, ring.parity);
            unsigned char *left = ring.left() + group * BOX_BYTES;
            // Exponents of a row are the same in all tiles but where its entries are worlds apart.
            if (Work::SCALES && any_of_group(1 + group, mine != 1.f)) scale_lines<T>(left, mine, 1 + group);
            mine = upcoming;
            products_hold(sums);
            products_begin();
#pragma unroll
            for (uint32_t k = 0; k < STEPS / 16; k++) {
                const uint32_t left_step = Work::LEFT_BY_STEPS ? 16 * 128 : 32, right_step = Work::RIGHT_BY_STEPS ? 16 * 128 : 32;
                multiply_group<T, Work::LEFT_BY_STEPS, Work::RIGHT_BY_STEPS>(sums, place_of(left + k * left_step, BOX_BYTES, 1024),
                                                                             place_of(ring.right() + k * right_step, BOX_BYTES, 1024),
                                                                             block > at.from || k > 0);
            }
            products_end();
            products_wait<1>();
            if (thread == 0 && before < STAGES) barrier_arrive(ring.empty + before);
            before = ring.stage;
            ring.next();
        }
        products_wait<0>();
        products_hold(sums);
        if (thread == 0) barrier_arrive(ring.empty + before);
        work.finish(sums, at, group);
    }
}

template <class T, class Work> static __device__ __forceinline__ void run(const Work &work) {
    SHARED_MEMORY(memory);
    const Ring ring = ring_in(memory);
    if (threadIdx.x < GROUP) {
        registers_fewer<40>();
        if (threadIdx.x == 0) copy_all(work, ring);
    } else {
        registers_more<232>();
        multiply_all<T>(work, ring);
    }
}

// Where a thread's sums lie in its group's 64 rows and the tile's 256 columns: sum 4 j + 2 h + c at (row_of(h), column_of(j) + c), or where
// the right factor was copied woven at (row_of(h), column_of<true>(j) + c).
static __device__ __forceinline__ uint32_t row_of(uint32_t h) { return threadIdx.x % GROUP / WARP * 16 + threadIdx.x % WARP / 4 + 8 * h; }
template <bool WOVEN = false> static __device__ __forceinline__ uint32_t column_of(uint32_t j) {
    return WOVEN ? j / 4 * 32 + threadIdx.x % 4 * 8 + j % 4 * 2 : 8 * j + threadIdx.x % 4 * 2;
}

// --- The matrix -----------------------------------------------------------------------------------------------------------

// Only the first tile of columns, and only the exponents that it suggests for its rows, whatever the mask.
constexpr uint32_t SUGGESTS = 4;

// How far a tile's own exponent may be from the suggested one, which it then takes: one exponent for a whole row spares the
// gradients a multiplication. Types with eight bits of exponent have room on both sides; f16 has little, and below.
template <class T> struct Room { static constexpr float ABOVE = 60.f, BELOW = 60.f, RAISED = 0.f; };
template <> struct Room<f16> { static constexpr float ABOVE = 0.f, BELOW = 6.f, RAISED = 3.f; };

// What all kernels of whole rows have in common: a tile of queries times a tile of the gallery, and who takes part.
struct Rows {
    static constexpr bool LEFT_BY_STEPS = false, RIGHT_BY_STEPS = false, SCALES = false;
    struct Place { uint32_t row0, column, from, to; };
    const TensorMap *queries, *gallery;
    const uint32_t *row_classes, *column_classes;
    const Params &p;
    uint32_t tiles, down;

    // Rows first: blocks that run at the same time share columns, and all of the wave's rows stay in the cache.
    __device__ __forceinline__ Place place(uint32_t tile) const {
        return {tile % down * TILE_ROWS, tile / down, 0, (p.stride + STEPS - 1) / STEPS};
    }
    __device__ __forceinline__ uint32_t first_column(const Place &at) const { return p.first_column + at.column * TILE_COLUMNS; }
    __device__ __forceinline__ void copy(unsigned char *left, unsigned char *right, Barrier *full, const Place &at, uint32_t block) const {
        copy_box(left, queries, full, block * STEPS, p.first_row + at.row0);
        copy_box(right, gallery, full, block * STEPS, first_column(at));
    }
    __device__ __forceinline__ float scale(const Place &, uint32_t, uint32_t) const { return 1.f; }
    __device__ __forceinline__ void nothing(const Place &, uint32_t) const {}

    // Which of a thread's 64 entries of its two rows take part: bit 2 j + c. Everything but classes is known without a loop.
    template <bool WOVEN = false>
    __device__ __forceinline__ void takes_part(uint64_t (&bits)[2], uint32_t row0, uint32_t column0) const {
        const bool suggests = p.flags & SUGGESTS, classes = of_classes(p.mask) && !suggests;
        const bool off_diagonal = (p.mask == OFF_DIAGONAL || p.mask == SAME_CLASS_OFF_DIAGONAL) && !suggests;
        const uint32_t first = column_of<WOVEN>(0);
        // What is woven has all columns.
        const uint64_t inside = WOVEN ? ~0ull : spread(column0, first) | spread(column0, first + 1) << 1;
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + row_of(h), own = p.first_row + row - column0;
            bits[h] = row < p.rows ? inside : 0;
            if (!off_diagonal || own >= TILE_COLUMNS) continue;
            const uint32_t j = WOVEN ? own / 32 * 4 + own % 8 / 2 : own / 8;
            if (column_of<WOVEN>(j) == own / 2 * 2) bits[h] &= ~(1ull << (2 * j + own % 2));
        }
        if (!classes) return;
        const uint32_t above = row0 + row_of(0), below = row0 + row_of(1);
        const uint32_t of_above = above < p.rows ? row_classes[p.first_row + above] : 0;
        const uint32_t of_below = below < p.rows ? row_classes[p.first_row + below] : 0;
        uint64_t same[2] = {0, 0};
#pragma unroll 4
        for (uint32_t n = 0; n < 64; n++) {
            const uint32_t of_column = inside >> n & 1 ? column_classes[column0 + column_of<WOVEN>(n / 2) + n % 2] : 0;
            same[0] = same[0] >> 1 | (uint64_t)(of_column == of_above) << 63;
            same[1] = same[1] >> 1 | (uint64_t)(of_column == of_below) << 63;
        }
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) bits[h] &= p.mask == OTHER_CLASS ? ~same[h] : same[h];
    }
    // Bit 2 j for every column column0 + 8 j + from that there is.
    __device__ __forceinline__ uint64_t spread(uint32_t column0, uint32_t from) const {
        const uint32_t rest = p.columns > column0 + from ? p.columns - column0 - from : 0, count = min((rest + 7) / 8, 32u);
        return count ? 0x5555555555555555ull >> (64 - 2 * count) : 0;
    }
    // Whether all entries of a group's 64 rows take part, which is so in most tiles.
    __device__ __forceinline__ bool all_take_part(uint32_t row0, uint32_t column0) const {
        const uint32_t query0 = p.first_row + row0;
        const bool crosses = query0 < column0 + TILE_COLUMNS && column0 < query0 + 64;
        const bool off_diagonal = p.mask == OFF_DIAGONAL || p.mask == SAME_CLASS_OFF_DIAGONAL;
        const bool whole = row0 + 64 <= p.rows && column0 + TILE_COLUMNS <= p.columns;
        return whole && ((p.flags & SUGGESTS) || (!of_classes(p.mask) && !(off_diagonal && crosses)));
    }
};

// The lane that is not `second` gives its second word for the other's first.
static __device__ __forceinline__ void exchange(uint32_t &first, uint32_t &last, bool second, uint32_t mask) {
    const uint32_t theirs = __shfl_xor_sync(EVERY, second ? first : last, mask);
    if (second) first = theirs;
    else last = theirs;
}

// A row's entries, eight neighbours at once: a lane has them where columns are woven, else four lanes exchange pairs.
template <class T, bool WOVEN> static __device__ __forceinline__ void write(const float (&sums)[128], uint32_t h, T *line) {
    const uint32_t lane = threadIdx.x % 4;
    const bool odd = lane & 1, upper = lane & 2;
#pragma unroll
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t w[4];
#pragma unroll
        for (uint32_t q = 0; q < 4; q++) w[q] = pair<T>(sums[16 * i + 4 * q + 2 * h], sums[16 * i + 4 * q + 2 * h + 1]);
        if (!WOVEN) {
            exchange(w[0], w[1], odd, 1);
            exchange(w[2], w[3], odd, 1);
            exchange(w[0], w[2], upper, 2);
            exchange(w[1], w[3], upper, 2);
        }
        *(uint4 *)(line + 32 * i + 8 * lane) = make_uint4(w[0], w[1], w[2], w[3]);
    }
}

// What is written out: whole tiles of columns are woven.
struct Written : Rows {
    const TensorMap *woven;

    __device__ __forceinline__ bool is_woven(const Place &at) const { return (at.column + 1) * TILE_COLUMNS <= p.columns; }
    __device__ __forceinline__ void copy(unsigned char *left, unsigned char *right, Barrier *full, const Place &at, uint32_t block) const {
        copy_box(left, queries, full, block * STEPS, p.first_row + at.row0);
        if (is_woven(at)) copy_woven(right, woven, full, block * STEPS, at.column * (TILE_COLUMNS / 32));
        else copy_box(right, gallery, full, block * STEPS, at.column * TILE_COLUMNS);
    }
};

template <class T> struct Matrix : Written {
    T *entries;
    float *exponents, *terms;
    const float *suggested;

    __device__ __forceinline__ void finish(float (&sums)[128], const Place &at, uint32_t group) const {
        if (is_woven(at)) finish_as<true>(sums, at, group);
        else finish_as<false>(sums, at, group);
    }

  private:
    template <bool WOVEN> __device__ __forceinline__ void finish_as(float (&sums)[128], const Place &at, uint32_t group) const {
        const uint32_t row0 = at.row0 + 64 * group, column0 = at.column * TILE_COLUMNS, lines = down * TILE_ROWS;
        if (!all_take_part(row0, column0)) {
            uint64_t bits[2];
            takes_part<WOVEN>(bits, row0, column0);
#pragma unroll
            for (uint32_t n = 0; n < 128; n++) sums[n] = bits[n / 2 % 2] >> (n / 4 * 2 + n % 2) & 1 ? sums[n] : -INFINITY;
        }
        // Of the thread's two rows, each in two chains.
        float most[2][2];
#pragma unroll
        for (uint32_t n = 0; n < 4; n++) most[n / 2][n % 2] = sums[n];
#pragma unroll
        for (uint32_t n = 4; n < 128; n++) most[n / 2 % 2][n % 2] = fmaxf(most[n / 2 % 2][n % 2], sums[n]);
        float exponent[2], sum[2][2] = {{0.f, 0.f}, {0.f, 0.f}};
        bool none[2];
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const float largest = largest_of_four(fmaxf(most[h][0], most[h][1]));
            none[h] = largest == -INFINITY;
            const float own = none[h] ? 0.f : ceilf(largest * LOG2E);
            const uint32_t row = row0 + row_of(h);
            if (p.flags & SUGGESTS) {
                if (threadIdx.x % 4 == 0) exponents[row] = own + Room<T>::RAISED;
                continue;
            }
            const float other = suggested[row];
            exponent[h] = own - other <= Room<T>::ABOVE && other - own <= Room<T>::BELOW ? other : own;
        }
        if (p.flags & SUGGESTS) return;
        // log2 e as two numbers, or a large logit would leave no digits of the difference.
#pragma unroll
        for (uint32_t n = 0; n < 128; n++) {
            const uint32_t h = n / 2 % 2;
            sums[n] = exp2_fast(fmaf(sums[n], LOG2E_REST, fmaf(sums[n], LOG2E, -exponent[h])));
            sum[h][n % 2] += sums[n];
        }
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + row_of(h);
            const float all = sum_of_four(sum[h][0] + sum[h][1]);
            if (threadIdx.x % 4 == 0) {
                exponents[(size_t)at.column * lines + row] = none[h] ? -INFINITY : exponent[h];
                terms[(size_t)at.column * lines + row] = all;
            }
            write<T, WOVEN>(sums, h, entries + (size_t)row * p.line + column0);
        }
    }
};

// Soft margins: every entry's weight, and of every row and tile the sum of the terms and that of the weights.
template <class T> struct Margins : Written {
    T *entries;
    float *exponents, *terms, *weights;
    const float *reference;

    __device__ __forceinline__ void finish(float (&sums)[128], const Place &at, uint32_t group) const {
        if (is_woven(at)) finish_as<true>(sums, at, group);
        else finish_as<false>(sums, at, group);
    }

  private:
    template <bool WOVEN> __device__ __forceinline__ void finish_as(float (&sums)[128], const Place &at, uint32_t group) const {
        const uint32_t row0 = at.row0 + 64 * group, column0 = at.column * TILE_COLUMNS, lines = down * TILE_ROWS;
        uint64_t bits[2] = {~0ull, ~0ull};
        if (!all_take_part(row0, column0)) takes_part<WOVEN>(bits, row0, column0);
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + row_of(h);
            const float above = reference && row < p.rows ? reference[row] : 0.f;
            float sum = 0.f, weight = 0.f;
#pragma unroll
            for (uint32_t n = 0; n < 64; n++) {
                float &s = sums[n / 2 * 4 + 2 * h + n % 2];
                const bool does = bits[h] >> n & 1;
                const float z = s - above, small = exp2_fast(-fabsf(z) * LOG2E), share = reciprocal(1.f + small);
                sum += does ? fmaxf(z, 0.f) + log1p_fast(small) : 0.f;
                s = does ? (z > 0.f ? share : small * share) : 0.f;
                // fmaxf(NaN, 0) is 0, but a NaN has to come out as one.
                sum += does && z != z ? z : 0.f;
                weight += s;
            }
            sum = sum_of_four(sum), weight = sum_of_four(weight);
            if (threadIdx.x % 4 == 0) {
                const size_t at_row = (size_t)at.column * lines + row;
                exponents[at_row] = 0.f, terms[at_row] = sum, weights[at_row] = weight;
            }
            write<T, WOVEN>(sums, h, entries + (size_t)row * p.line + column0);
        }
    }
};

// --- Searches -------------------------------------------------------------------------------------------------------------

// Closeness of a tile's entries, handed row by row to the search, which says what it does with a row (soft.cu's words: search.cu).
template <class Visit> struct Closeness : Rows {
    Visit visit;
    const float *row_terms, *column_terms;

    __device__ __forceinline__ void finish(float (&sums)[128], const Place &at, uint32_t group) const {
        const uint32_t row0 = at.row0 + 64 * group, column0 = first_column(at);
        const bool all = all_take_part(row0, column0);
        uint64_t bits[2] = {~0ull, ~0ull};
        if (!all) takes_part(bits, row0, column0);
        // Not a number as soon as an entry is none, or not finite.
        float fine[2] = {0.f, 0.f};
        if (all && !row_terms && !column_terms) {
#pragma unroll
            for (uint32_t n = 0; n < 128; n++) {
                sums[n] *= p.scale;
                fine[n / 2 % 2] = fmaf(sums[n], 0.f, fine[n / 2 % 2]);
            }
        } else {
            with_terms(sums, fine, row0, column0, bits);
        }
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) visit.row(sums, h, row0 + row_of(h), column0, fine[h] == 0.f, p);
    }

  private:
    __device__ __forceinline__ void with_terms(float (&sums)[128], float (&fine)[2], uint32_t row0, uint32_t column0, const uint64_t (&bits)[2]) const {
        float of_row[2];
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + row_of(h);
            of_row[h] = row_terms && row < p.rows ? row_terms[p.first_row + row] : 0.f;
        }
#pragma unroll
        for (uint32_t j = 0; j < 32; j++) {
            float of_column[2] = {0.f, 0.f};
            if (column_terms) {
#pragma unroll
                for (uint32_t c = 0; c < 2; c++) {
                    const uint32_t column = column0 + column_of(j) + c;
                    of_column[c] = column < p.columns ? column_terms[column] : 0.f;
                }
            }
#pragma unroll
            for (uint32_t n = 0; n < 4; n++) {
                float &s = sums[4 * j + n];
                const float near = p.scale * s + (of_row[n / 2] + of_column[n % 2]);
                const bool does = (bits[n / 2] >> (2 * j + n % 2) & 1);
                fine[n / 2] = does ? fmaf(near, 0.f, fine[n / 2]) : fine[n / 2];
                s = does ? near : -INFINITY;
            }
        }
    }
};

struct Offer {
    unsigned long long *keys;
    uint32_t *counts, *status;
    const float *bars;

    __device__ __forceinline__ void row(const float (&sums)[128], uint32_t h, uint32_t row, uint32_t column0, bool fine, const Params &p) const {
        if (row >= p.rows) return;
        if (!fine) atomicMax(status, p.first_row + row + 1); // one more than the last such query
        const float bar = bars[row];
        // Few are not below the bar: eight at a time.
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) {
            float most = -INFINITY;
#pragma unroll
            for (uint32_t n = 0; n < 8; n++) most = fmaxf(most, entry(sums, h, 8 * i + n));
            if (!(most >= bar)) continue;
#pragma unroll
            for (uint32_t n = 0; n < 8; n++) {
                const float near = entry(sums, h, 8 * i + n);
                // One that takes no part is minus infinity, as a bar may be.
                if (!(near >= bar) || near == -INFINITY) continue;
                const uint32_t at = atomicAdd(&counts[row], 1u);
                if (at < p.capacity) keys[(size_t)row * p.capacity + at] = key_of(near, column0 + column_of(4 * i + n / 2) + n % 2);
            }
        }
    }
    static __device__ __forceinline__ float entry(const float (&sums)[128], uint32_t h, uint32_t n) { return sums[n / 2 * 4 + 2 * h + n % 2]; }
};

// The key of a row with an entry that is no finite number: the greatest.
constexpr unsigned long long REFUSED = ~0ull;
constexpr uint32_t FARTHEST = 1;

struct Best {
    unsigned long long *best;

    __device__ __forceinline__ void row(const float (&sums)[128], uint32_t h, uint32_t row, uint32_t column0, bool fine, const Params &p) const {
        const bool farthest = p.flags & FARTHEST;
        float most = -INFINITY;
        uint32_t place = 0;
#pragma unroll
        for (uint32_t n = 0; n < 64; n++) {
            const float near = Offer::entry(sums, h, n), signed_near = farthest && near != -INFINITY ? -near : near;
            // The first of equally near ones.
            if (signed_near > most) most = signed_near, place = column_of(n / 2) + n % 2;
        }
        unsigned long long key = most == -INFINITY ? 0 : key_of(most, column0 + place);
        key = fine ? key : REFUSED;
        for (uint32_t mask = 1; mask <= 2; mask *= 2) {
            const unsigned long long other = __shfl_xor_sync(EVERY, key, mask);
            key = other > key ? other : key;
        }
        if (row < p.rows && key && threadIdx.x % 4 == 0) atomicMax(&best[row], key);
    }
};

// --- Gradients ------------------------------------------------------------------------------------------------------------

// The entries of 128 rows times the gallery; tiles of the width first, then rows, then parts.
template <class T> struct OfQueries {
    static constexpr bool LEFT_BY_STEPS = false, RIGHT_BY_STEPS = true, SCALES = true;
    struct Place { uint32_t row0, column0, part, from, to; };
    float *parts;
    const float *scales;
    const TensorMap *entries, *gallery;
    const Params &p;
    uint32_t tiles, down, across;

    __device__ __forceinline__ Place place(uint32_t tile) const {
        constexpr uint32_t EACH = TILE_COLUMNS / STEPS;
        const uint32_t part = tile / across / down;
        return {tile / across % down * TILE_ROWS, tile % across * TILE_COLUMNS, part, (uint32_t)((uint64_t)p.tiles * part / p.parts) * EACH,
                (uint32_t)((uint64_t)p.tiles * (part + 1) / p.parts) * EACH};
    }
    __device__ __forceinline__ void copy(unsigned char *left, unsigned char *right, Barrier *full, const Place &at, uint32_t block) const {
        copy_box(left, entries, full, block * STEPS, at.row0);
#pragma unroll
        for (uint32_t b = 0; b < TILE_COLUMNS / 64; b++) copy_box(right + b * BOX_BYTES, gallery, full, at.column0 + 64 * b, block * STEPS);
    }
    __device__ __forceinline__ float scale(const Place &at, uint32_t block, uint32_t line) const {
        return scales[(size_t)(block * STEPS / TILE_COLUMNS) * (down * TILE_ROWS) + at.row0 + line];
    }
    // More parts than tiles: zeros.
    __device__ __forceinline__ void nothing(const Place &at, uint32_t group) const {
        for (uint32_t n = threadIdx.x % GROUP; n < 64 * TILE_COLUMNS; n += GROUP) {
            const uint32_t row = at.row0 + 64 * group + n / TILE_COLUMNS, column = at.column0 + n % TILE_COLUMNS;
            if (column < p.stride) parts[((size_t)at.part * (down * TILE_ROWS) + row) * p.stride + column] = 0.f;
        }
    }
    __device__ __forceinline__ void finish(float (&sums)[128], const Place &at, uint32_t group) const {
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = at.row0 + 64 * group + row_of(h);
            float *line = parts + ((size_t)at.part * (down * TILE_ROWS) + row) * p.stride + at.column0;
#pragma unroll
            for (uint32_t j = 0; j < 32; j++)
                if (at.column0 + column_of(j) < p.stride) *(float2 *)(line + column_of(j)) = make_float2(sums[4 * j + 2 * h], sums[4 * j + 2 * h + 1]);
        }
    }
};

constexpr uint32_t BEGINS = 1;

// 128 columns of the entries, transposed, times the wave's queries, which carry the rows' factors.
template <class T> struct OfGallery {
    static constexpr bool LEFT_BY_STEPS = true, RIGHT_BY_STEPS = true, SCALES = true;
    struct Place { uint32_t row0, column0, from, to; };
    float *all;
    const float *scales;
    const TensorMap *entries, *queries;
    const Params &p;
    uint32_t tiles, down, across;

    __device__ __forceinline__ Place place(uint32_t tile) const {
        return {tile / across * TILE_ROWS, tile % across * TILE_COLUMNS, 0, down * (TILE_ROWS / STEPS)};
    }
    __device__ __forceinline__ void copy(unsigned char *left, unsigned char *right, Barrier *full, const Place &at, uint32_t block) const {
#pragma unroll
        for (uint32_t b = 0; b < TILE_ROWS / 64; b++) copy_box(left + b * BOX_BYTES, entries, full, at.row0 + 64 * b, block * STEPS);
#pragma unroll
        for (uint32_t b = 0; b < TILE_COLUMNS / 64; b++) copy_box(right + b * BOX_BYTES, queries, full, at.column0 + 64 * b, block * STEPS);
    }
    __device__ __forceinline__ void nothing(const Place &, uint32_t) const {}
    // Lines are steps, the same for both groups.
    __device__ __forceinline__ float scale(const Place &at, uint32_t block, uint32_t line) const {
        return scales[(size_t)(at.row0 / TILE_COLUMNS) * (down * TILE_ROWS) + block * STEPS + line % 64];
    }
    __device__ __forceinline__ void finish(float (&sums)[128], const Place &at, uint32_t group) const {
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = at.row0 + 64 * group + row_of(h);
            if (row >= p.columns) continue;
            float *line = all + (size_t)row * p.stride + at.column0;
#pragma unroll
            for (uint32_t j = 0; j < 32; j++) {
                if (at.column0 + column_of(j) >= p.stride) continue;
                const float a = sums[4 * j + 2 * h], b = sums[4 * j + 2 * h + 1];
                if (p.flags & BEGINS) *(float2 *)(line + column_of(j)) = make_float2(a, b);
                else add_pair(line + column_of(j), a, b);
            }
        }
    }
};

// Grid of all three: as many blocks as the chip has multiprocessors, or tiles if they are fewer. `entries`, `queries` and `gallery`
// of the maps are boxes of 64 values by the lines that the copies above take: 128 or 256 for factors that lie by rows, else 64.
#undef BY_TYPE
#define BY_TYPE(name, T)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1) npair_wgmma_matrix_##name(                                     \
        T *entries, float *exponents, float *terms, const float *suggested, const uint32_t *row_classes,                           \
        const uint32_t *column_classes, TENSOR_MAP(queries), TENSOR_MAP(gallery), TENSOR_MAP(woven), const Params p) {             \
        const uint32_t down = (p.rows + TILE_ROWS - 1) / TILE_ROWS, tiles = down * (p.flags & SUGGESTS ? 1 : p.tiles);             \
        const Rows rows = {MAP(queries), MAP(gallery), row_classes, column_classes, p, tiles, down};                               \
        run<T>(Matrix<T>{{rows, MAP(woven)}, entries, exponents, terms, suggested});                                               \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1) npair_wgmma_margins_##name(                                    \
        T *entries, float *exponents, float *terms, float *weights, const float *reference, const uint32_t *row_classes,           \
        const uint32_t *column_classes, TENSOR_MAP(queries), TENSOR_MAP(gallery), TENSOR_MAP(woven), const Params p) {             \
        const uint32_t down = (p.rows + TILE_ROWS - 1) / TILE_ROWS;                                                                \
        const Rows rows = {MAP(queries), MAP(gallery), row_classes, column_classes, p, down * p.tiles, down};                      \
        run<T>(Margins<T>{{rows, MAP(woven)}, entries, exponents, terms, weights, reference});                                     \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1) npair_wgmma_candidates_##name(                                 \
        unsigned long long *keys, uint32_t *counts, uint32_t *status, const float *bars, const float *row_terms,                   \
        const float *column_terms, const uint32_t *row_classes, const uint32_t *column_classes, TENSOR_MAP(queries),               \
        TENSOR_MAP(gallery), const Params p) {                                                                                     \
        const uint32_t down = (p.rows + TILE_ROWS - 1) / TILE_ROWS;                                                                \
        const uint32_t across = (p.columns - p.first_column + TILE_COLUMNS - 1) / TILE_COLUMNS;                                    \
        const Rows rows = {MAP(queries), MAP(gallery), row_classes, column_classes, p, down * across, down};                       \
        run<T>(Closeness<Offer>{rows, {keys, counts, status, bars}, row_terms, column_terms});                                     \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1) npair_wgmma_extremes_##name(                                   \
        unsigned long long *best, const float *row_terms, const float *column_terms, const uint32_t *row_classes,                  \
        const uint32_t *column_classes, TENSOR_MAP(queries), TENSOR_MAP(gallery), const Params p) {                                \
        const uint32_t down = (p.rows + TILE_ROWS - 1) / TILE_ROWS, across = (p.columns + TILE_COLUMNS - 1) / TILE_COLUMNS;        \
        const Rows rows = {MAP(queries), MAP(gallery), row_classes, column_classes, p, down * across, down};                       \
        run<T>(Closeness<Best>{rows, {best}, row_terms, column_terms});                                                            \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1) npair_wgmma_of_queries_##name(                                 \
        float *parts, const float *scales, TENSOR_MAP(entries), TENSOR_MAP(gallery), const Params p) {                             \
        const uint32_t down = (p.rows + TILE_ROWS - 1) / TILE_ROWS, across = (p.stride + TILE_COLUMNS - 1) / TILE_COLUMNS;         \
        run<T>(OfQueries<T>{parts, scales, MAP(entries), MAP(gallery), p, across * down * p.parts, down, across});                 \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(HOPPER_THREADS, 1) npair_wgmma_of_gallery_##name(                                 \
        float *sums, const float *scales, TENSOR_MAP(entries), TENSOR_MAP(queries), const Params p) {                              \
        const uint32_t down = (p.rows + TILE_ROWS - 1) / TILE_ROWS, across = (p.stride + TILE_COLUMNS - 1) / TILE_COLUMNS;         \
        const uint32_t tiles = across * ((p.columns + TILE_ROWS - 1) / TILE_ROWS);                                                 \
        run<T>(OfGallery<T>{sums, scales, MAP(entries), MAP(queries), p, tiles, down, across});                                    \
    }
BY_TYPE(bf16, bf16)
BY_TYPE(f16, f16)

} // namespace hopper
