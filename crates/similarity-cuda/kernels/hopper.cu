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

// Where a thread's sums lie in its group's 64 rows and the tile's 256 columns: sum 4 j + 2 h + c at (row_of(h), column_of(j) + c).
static __device__ __forceinline__ uint32_t row_of(uint32_t h) { return threadIdx.x % GROUP / WARP * 16 + threadIdx.x % WARP / 4 + 8 * h; }
static __device__ __forceinline__ uint32_t column_of(uint32_t j) { return 8 * j + threadIdx.x % 4 * 2; }

// --- The matrix -----------------------------------------------------------------------------------------------------------

// Only the first tile of columns, and only the exponents that it suggests for its rows, whatever the mask.
constexpr uint32_t SUGGESTS = 4;

// How far a tile's own exponent may be from the suggested one, which it then takes: one exponent for a whole row spares the
// gradients a multiplication. Types with eight bits of exponent have room on both sides; f16 has little, and below.
template <class T> struct Room { static constexpr float ABOVE = 60.f, BELOW = 60.f, RAISED = 0.f; };
template <> struct Room<f16> { static constexpr float ABOVE = 0.f, BELOW = 6.f, RAISED = 3.f; };

template <class T> struct Matrix {
    static constexpr bool LEFT_BY_STEPS = false, RIGHT_BY_STEPS = false, SCALES = false;
    struct Place { uint32_t row0, column, from, to; };
    T *entries;
    float *exponents, *terms;
    const float *suggested;
    const TensorMap *queries, *gallery;
    const uint32_t *row_classes, *column_classes;
    const Params &p;
    uint32_t tiles, down;

    // Rows first: blocks that run at the same time share columns, and all of the wave's rows stay in the cache.
    __device__ __forceinline__ Place place(uint32_t tile) const {
        return {tile % down * TILE_ROWS, tile / down, 0, (p.stride + STEPS - 1) / STEPS};
    }
    __device__ __forceinline__ void copy(unsigned char *left, unsigned char *right, Barrier *full, const Place &at, uint32_t block) const {
        copy_box(left, queries, full, block * STEPS, p.first_row + at.row0);
        copy_box(right, gallery, full, block * STEPS, at.column * TILE_COLUMNS);
    }
    __device__ __forceinline__ float scale(const Place &, uint32_t, uint32_t) const { return 1.f; }

    // Which of a row's 64 entries of this thread take part: bit 2 j + c.
    __device__ __forceinline__ uint64_t takes_part(uint32_t row, uint32_t column0) const {
        const bool classes = of_classes(p.mask), off_diagonal = p.mask == OFF_DIAGONAL || p.mask == SAME_CLASS_OFF_DIAGONAL;
        if (row >= p.rows) return 0;
        if (p.flags & SUGGESTS) {
            uint64_t bits = 0;
#pragma unroll 1
            for (uint32_t n = 0; n < 64; n++) bits |= (uint64_t)(column0 + column_of(n / 2) + n % 2 < p.columns) << n;
            return bits;
        }
        const uint32_t of_row = classes ? row_classes[p.first_row + row] : 0;
        uint64_t bits = 0;
#pragma unroll 1
        for (uint32_t n = 0; n < 64; n++) {
            const uint32_t column = column0 + column_of(n / 2) + n % 2;
            if (column >= p.columns) continue;
            const bool fits = !classes || (of_row == column_classes[column]) == (p.mask != OTHER_CLASS);
            bits |= (uint64_t)(fits && !(off_diagonal && p.first_row + row == column)) << n;
        }
        return bits;
    }

    __device__ __forceinline__ void finish(float (&sums)[128], const Place &at, uint32_t group) const {
        const uint32_t row0 = at.row0 + 64 * group, column0 = at.column * TILE_COLUMNS, lines = down * TILE_ROWS;
        const uint32_t query0 = p.first_row + row0;
        const bool crosses = query0 < column0 + TILE_COLUMNS && column0 < query0 + 64;
        const bool off_diagonal = p.mask == OFF_DIAGONAL || p.mask == SAME_CLASS_OFF_DIAGONAL;
        const bool whole = row0 + 64 <= p.rows && column0 + TILE_COLUMNS <= p.columns;
        const bool all = whole && ((p.flags & SUGGESTS) || (!of_classes(p.mask) && !(off_diagonal && crosses)));
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + row_of(h);
            if (!all) {
                const uint64_t bits = takes_part(row, column0);
#pragma unroll
                for (uint32_t n = 0; n < 64; n++) {
                    float &s = sums[n / 2 * 4 + 2 * h + n % 2];
                    s = bits >> n & 1 ? s : -INFINITY;
                }
            }
            float most = -INFINITY;
#pragma unroll
            for (uint32_t n = 0; n < 64; n++) most = fmaxf(most, sums[n / 2 * 4 + 2 * h + n % 2]);
            most = largest_of_four(most);
            const bool none = most == -INFINITY;
            most = none ? 0.f : most;
            // The largest in powers of two, log2 e as two numbers: soft.cu.
            const float high = most * LOG2E;
            float whole_number = ceilf(high);
            if (p.flags & SUGGESTS) {
                if (threadIdx.x % 4 == 0) exponents[row] = none ? 0.f : whole_number + Room<T>::RAISED;
                continue;
            }
            const float other = suggested[row];
            if (whole_number - other <= Room<T>::ABOVE && other - whole_number <= Room<T>::BELOW) whole_number = other;
            const float offset = high - whole_number + (fmaf(most, LOG2E, -high) + most * LOG2E_REST);
            float sum = 0.f;
#pragma unroll
            for (uint32_t n = 0; n < 64; n++) {
                float &s = sums[n / 2 * 4 + 2 * h + n % 2];
                s = exp2_fast(fmaf(s - most, LOG2E, offset));
                sum += s;
            }
            sum = sum_of_four(sum);
            if (threadIdx.x % 4 == 0) {
                exponents[(size_t)at.column * lines + row] = none ? -INFINITY : whole_number;
                terms[(size_t)at.column * lines + row] = sum;
            }
            write(sums, h, entries + (size_t)row * p.line + column0);
        }
    }

    // A row's entries: four lanes exchange pairs, so that each has eight neighbours to write at once.
    static __device__ __forceinline__ void write(const float (&sums)[128], uint32_t h, T *line) {
        const uint32_t lane = threadIdx.x % 4;
        const bool odd = lane & 1, upper = lane & 2;
#pragma unroll
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t w[4];
#pragma unroll
            for (uint32_t q = 0; q < 4; q++) w[q] = pair<T>(sums[16 * i + 4 * q + 2 * h], sums[16 * i + 4 * q + 2 * h + 1]);
            exchange(w[0], w[1], odd, 1);
            exchange(w[2], w[3], odd, 1);
            exchange(w[0], w[2], upper, 2);
            exchange(w[1], w[3], upper, 2);
            *(uint4 *)(line + 32 * i + 8 * lane) = make_uint4(w[0], w[1], w[2], w[3]);
        }
    }
    // The lane that is not `second` gives its second word for the other's first.
    static __device__ __forceinline__ void exchange(uint32_t &first, uint32_t &last, bool second, uint32_t mask) {
        const uint32_t theirs = __shfl_xor_sync(EVERY, second ? first : last, mask);
        if (second) first = theirs;
        else last = theirs;
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
        const uint32_t *column_classes, TENSOR_MAP(queries), TENSOR_MAP(gallery), const Params p) {                                \
        const uint32_t down = (p.rows + TILE_ROWS - 1) / TILE_ROWS, tiles = down * (p.flags & SUGGESTS ? 1 : p.tiles);             \
        run<T>(Matrix<T>{entries, exponents, terms, suggested, MAP(queries), MAP(gallery), row_classes, column_classes, p, tiles,  \
                         down});                                                                                                   \
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
