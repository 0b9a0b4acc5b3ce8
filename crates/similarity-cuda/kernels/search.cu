// Searches in the matrix without writing it: the nearest rows of every query, and the farthest or nearest one under a mask.
#include "product.cuh"

// Closeness of a tile's entries, scale times the product plus a term of the row and one of the column, handed row by row to
// `visit`; entries that take no part, and ends of the matrix, are left out. A row with an entry that is no finite number is
// refused.
template <class P, class Visit>
static __device__ __forceinline__ void closeness(const typename P::Value *queries, const typename P::Value *gallery,
                                                 const float *row_terms, const float *column_terms, const uint32_t *row_classes,
                                                 const uint32_t *column_classes, const Params &p, Visit visit) {
    typedef Product<P, TILE_COLUMNS, Lies::ByRows, Lies::ByRows, Scaled::No> Tile;
    SHARED_MEMORY(memory);
    const uint32_t column0 = p.first_column + blockIdx.x * TILE_COLUMNS, row0 = blockIdx.y * TILE_ROWS;
    Tile tile;
    tile.run((typename P::Value *)memory, {queries, p.stride, p.rows, p.stride}, row0, {gallery, p.stride, p.columns, p.stride},
             column0, 0, p.stride, nullptr, 0);
    uint32_t takes[Tile::DOWN];
    Tile::takes_part(takes, row0, column0, row_classes, column_classes, p);
    float of_column[2 * Tile::ACROSS];
#pragma unroll
    for (uint32_t n = 0; n < 2 * Tile::ACROSS; n++) {
        const uint32_t column = column0 + Tile::column(n / 2, n % 2);
        of_column[n] = column_terms && column < p.columns ? column_terms[column] : 0.f;
    }
#pragma unroll
    for (uint32_t i = 0; i < Tile::DOWN; i++)
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + Tile::row(i, 2 * h);
            const bool is_row = row < p.rows;
            const float row_term = row_terms && is_row ? row_terms[p.first_row + row] : 0.f;
            bool fine = true;
            visit.begin(row, is_row);
#pragma unroll
            for (uint32_t n = 0; n < 2 * Tile::ACROSS; n++) {
                const bool does = takes[i] >> (16 * h + n) & 1;
                const float near = p.scale * tile.sums[i][n / 2][2 * h + n % 2] + (row_term + of_column[n]);
                fine = fine && (!does || fabsf(near) < INFINITY);
                visit.entry(row, column0 + Tile::column(n / 2, n % 2), near, does);
            }
            if (!fine) visit.refuse(p.first_row + row);
            visit.end(row, is_row);
        }
}

struct Offer {
    unsigned long long *keys;
    uint32_t *counts, *status, capacity;
    const float *bars;
    float bar;
    __device__ __forceinline__ void begin(uint32_t row, bool is_row) { bar = is_row ? bars[row] : 0.f; }
    __device__ __forceinline__ void entry(uint32_t row, uint32_t column, float near, bool does) {
        if (does && near >= bar) {
            const uint32_t at = atomicAdd(&counts[row], 1u);
            // There is room for all columns of a launch: the host sees to it.
            if (at < capacity) keys[(size_t)row * capacity + at] = key_of(near, column);
        }
    }
    // One more than the last such query.
    __device__ __forceinline__ void refuse(uint32_t query) { atomicMax(status, query + 1); }
    __device__ __forceinline__ void end(uint32_t, bool) {}
};

// Grid: (tiles of this launch's columns, tiles of rows). Appends to every row's candidates the entries that are not below
// its bar.
template <class P>
static __device__ void candidates(unsigned long long *keys, uint32_t *counts, uint32_t *status, const float *bars,
                                  const typename P::Value *queries, const typename P::Value *gallery, const float *row_terms,
                                  const float *column_terms, const uint32_t *row_classes, const uint32_t *column_classes,
                                  const Params &p) {
    closeness<P>(queries, gallery, row_terms, column_terms, row_classes, column_classes, p,
                 Offer{keys, counts, status, p.capacity, bars, 0.f});
}

// The key of a row with an entry that is no finite number: the greatest.
constexpr unsigned long long REFUSED = ~0ull;

struct Best {
    unsigned long long *best, most;
    float sign;
    __device__ __forceinline__ void begin(uint32_t, bool) { most = 0; }
    __device__ __forceinline__ void entry(uint32_t, uint32_t column, float near, bool does) {
        const unsigned long long key = does ? key_of(sign * near, column) : 0;
        most = key > most ? key : most;
    }
    __device__ __forceinline__ void refuse(uint32_t) { most = REFUSED; }
    __device__ __forceinline__ void end(uint32_t row, bool is_row) {
        for (uint32_t mask = 1; mask <= 2; mask *= 2) {
            const unsigned long long other = __shfl_xor_sync(EVERY, most, mask);
            most = other > most ? other : most;
        }
        if (is_row && most && threadIdx.x % 4 == 0) atomicMax(&best[row], most);
    }
};

// The same grid. The key of every row's nearest entry under the mask, or of its farthest (flags 1, its closeness negated);
// 0 where the mask leaves none, if it was 0 before.
constexpr uint32_t FARTHEST = 1;
template <class P>
static __device__ void extremes(unsigned long long *best, const typename P::Value *queries,
                                const typename P::Value *gallery, const float *row_terms, const float *column_terms,
                                const uint32_t *row_classes, const uint32_t *column_classes, const Params &p) {
    closeness<P>(queries, gallery, row_terms, column_terms, row_classes, column_classes, p,
                 Best{best, 0, p.flags & FARTHEST ? -1.f : 1.f});
}

#undef BY_PRECISION
#define BY_PRECISION(name, P)                                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) npair_candidates_##name(                                              \
        unsigned long long *keys, uint32_t *counts, uint32_t *status, const float *bars, const P::Value *queries,                  \
        const P::Value *gallery, const float *row_terms, const float *column_terms, const uint32_t *row_classes,                   \
        const uint32_t *column_classes, const Params p) {                                                                          \
        candidates<P>(keys, counts, status, bars, queries, gallery, row_terms, column_terms, row_classes, column_classes, p);      \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) npair_extremes_##name(                                                \
        unsigned long long *best, const P::Value *queries, const P::Value *gallery, const float *row_terms,                        \
        const float *column_terms, const uint32_t *row_classes, const uint32_t *column_classes, const Params p) {                  \
        extremes<P>(best, queries, gallery, row_terms, column_terms, row_classes, column_classes, p);                      \
    }
BY_PRECISION(bf16, Bf16)
BY_PRECISION(f16, F16)
BY_PRECISION(tf32, Tf32)
BY_PRECISION(split, Split)
BY_PRECISION(f32, F32)

// The k-th greatest of `count` keys that differ, digit by digit from the top, 8 bits at a time; by a block, with room for 259 numbers.
static __device__ unsigned long long cut_of(const unsigned long long *held, uint32_t count, uint32_t k, uint32_t *bins) {
    uint32_t *found = bins + 256; // digit, rest
    unsigned long long cut = 0;
    uint32_t rest = k;
    for (int shift = 56; shift >= 0; shift -= 8) {
        bins[threadIdx.x] = 0;
        __syncthreads();
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x)
            if (shift == 56 || held[i] >> (shift + 8) == cut >> (shift + 8)) atomicAdd(&bins[held[i] >> shift & 255], 1u);
        __syncthreads();
        if (threadIdx.x < WARP) {
            // Eight bins of a lane, and how many keys are in them and above.
            const uint32_t lane = threadIdx.x;
            uint32_t own = 0;
            for (uint32_t i = 0; i < 8; i++) own += bins[8 * lane + i];
            uint32_t all = own;
            for (uint32_t step = 1; step < WARP; step *= 2) {
                const uint32_t higher = __shfl_sync(EVERY, all, (lane + step) % WARP);
                all += lane + step < WARP ? higher : 0;
            }
            if (all - own < rest && rest <= all) {
                uint32_t digit = 8 * lane + 7, left = rest - (all - own);
                while (bins[digit] < left) left -= bins[digit--];
                found[0] = digit;
                found[1] = left;
            }
        }
        __syncthreads();
        cut |= (unsigned long long)found[0] << shift;
        rest = found[1];
        __syncthreads();
    }
    return cut;
}

// Blocks that take one row after the other. Of a row with more candidates than p.line they keep the k greatest keys, and move the bar to
// the least of them.
extern "C" __global__ void __launch_bounds__(256) npair_prune(unsigned long long *keys, uint32_t *counts, float *bars, const Params p) {
    SHARED_MEMORY(memory);
    unsigned long long *held = (unsigned long long *)memory; // (capacity)
    uint32_t *bins = (uint32_t *)(held + p.capacity), *kept = bins + 258;
    for (uint32_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const uint32_t count = min(counts[row], p.capacity);
        if (count <= p.line || count < p.k) continue;
        unsigned long long *line = keys + (size_t)row * p.capacity;
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x) held[i] = line[i];
        if (threadIdx.x == 0) *kept = 0;
        const unsigned long long cut = cut_of(held, count, p.k, bins);
        // Keys differ in their columns, so that exactly k are not below the cut.
        for (uint32_t i = threadIdx.x; i < count; i += blockDim.x)
            if (held[i] >= cut) line[atomicAdd(kept, 1u)] = held[i];
        if (threadIdx.x == 0) {
            counts[row] = p.k;
            bars[row] = of_order((uint32_t)(cut >> 32));
        }
        __syncthreads(); // before the next row comes into the same memory
    }
}

// A block per row: its at most k candidates sorted, nearest first, as closeness and place; beyond them minus infinity and
// the greatest number.
extern "C" __global__ void __launch_bounds__(256) npair_sorted(float *near, uint32_t *places, const unsigned long long *keys,
                                                               const uint32_t *counts, const Params p) {
    SHARED_MEMORY(memory);
    unsigned long long *held = (unsigned long long *)memory; // (k, up to a power of two)
    const uint32_t row = blockIdx.x, count = min(counts[row], p.k);
    uint32_t size = 1;
    while (size < p.k) size *= 2;
    for (uint32_t i = threadIdx.x; i < size; i += blockDim.x) held[i] = i < count ? keys[(size_t)row * p.capacity + i] : 0;
    __syncthreads();
    for (uint32_t run = 2; run <= size; run *= 2)
        for (uint32_t step = run / 2; step; step /= 2) {
            for (uint32_t i = threadIdx.x; i < size / 2; i += blockDim.x) {
                const uint32_t low = i / step * step * 2 + i % step, high = low + step;
                const bool descends = (low & run) == 0;
                const unsigned long long a = held[low], b = held[high];
                if ((a < b) == descends) held[low] = b, held[high] = a;
            }
            __syncthreads();
        }
    for (uint32_t i = threadIdx.x; i < p.k; i += blockDim.x) {
        const bool is = i < count;
        near[((size_t)p.first_row + row) * p.k + i] = is ? of_order((uint32_t)(held[i] >> 32)) : -INFINITY;
        places[((size_t)p.first_row + row) * p.k + i] = is ? ~(uint32_t)held[i] : 0xffffffffu;
    }
}

// A thread per row: closeness and place of a key; minus infinity and the greatest number for none, a NaN and the greatest
// number for a row that was refused.
extern "C" __global__ void __launch_bounds__(256) npair_of_keys(float *near, uint32_t *places, const unsigned long long *keys,
                                                                const Params p) {
    const uint32_t row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= p.rows) return;
    const unsigned long long key = keys[row];
    near[row] = key == REFUSED ? NAN : key ? (p.flags & FARTHEST ? -1.f : 1.f) * of_order((uint32_t)(key >> 32)) : -INFINITY;
    places[row] = key && key != REFUSED ? ~(uint32_t)key : 0xffffffffu;
}

// A thread per value.
extern "C" __global__ void __launch_bounds__(256) npair_fill(uint32_t *out, const Params p) {
    for (size_t n = (size_t)blockIdx.x * blockDim.x + threadIdx.x; n < (size_t)p.rows * p.columns; n += (size_t)gridDim.x * blockDim.x)
        out[n] = p.flags;
}
