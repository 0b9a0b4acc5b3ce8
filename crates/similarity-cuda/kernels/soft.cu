// Soft reductions of every row of queries gallery^T, and the gradients of both sides, a wave of rows at a time. The matrix
// of a wave is kept as e = 2^(s log2 e - t) in the sides' own type, t a whole number for every row and tile of columns, so
// that every entry is at most 1 and is put on its row's own scale by a power of two: without rounding, and by one
// multiplication of a pair. What remains is a factor per row, which the rows of the other factor take.
#include "product.cuh"

// --- The matrix of a wave -------------------------------------------------------------------------------------------------

// A reduction over the columns of a tile, for every row: first over a thread's own entries, then the four lanes of a row,
// then the four warps beside each other, through shared memory.
template <class Tile, bool LARGEST> static __device__ __forceinline__ void over_columns(float (&of_row)[4][2], float *shared) {
    const uint32_t lane = threadIdx.x % WARP, beside = threadIdx.x / WARP % 4;
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const float v = LARGEST ? largest_of_four(of_row[i][h]) : sum_of_four(of_row[i][h]);
            if (lane % 4 == 0) shared[beside * TILE_ROWS + Tile::row(i, 2 * h)] = v;
        }
    __syncthreads();
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const float *v = shared + Tile::row(i, 2 * h);
            const float a = v[0], b = v[TILE_ROWS], c = v[2 * TILE_ROWS], d = v[3 * TILE_ROWS];
            of_row[i][h] = LARGEST ? fmaxf(fmaxf(a, b), fmaxf(c, d)) : a + b + (c + d);
        }
    __syncthreads();
}

// Grid: (tiles of columns, tiles of rows). Writes the entries, and of every row and tile the exponent, the sum of the
// terms, and of soft margins (SOFT, for SOFTPLUS_SUM) the sum of the weights. `reference` is that of the wave's rows.
template <class P, bool SOFT>
static __device__ void matrix(typename P::Value *entries, float *exponents, float *terms, float *weights,
                              const typename P::Value *queries, const typename P::Value *gallery, const float *reference,
                              const uint32_t *row_classes, const uint32_t *column_classes, const Params &p) {
    typedef typename P::Value Value;
    typedef Product<P, TILE_COLUMNS, Lies::ByRows, Lies::ByRows, Scaled::No> Tile;
    SHARED_MEMORY(memory);
    const uint32_t column0 = blockIdx.x * TILE_COLUMNS, row0 = blockIdx.y * TILE_ROWS;
    Tile tile;
    tile.run((Value *)memory, {queries, p.stride, p.rows, p.stride}, row0, {gallery, p.stride, p.columns, p.stride}, column0, 0,
             p.stride, nullptr, 0);
    float *shared = (float *)memory;
    uint32_t takes[Tile::DOWN];
    Tile::takes_part(takes, row0, column0, row_classes, column_classes, p);
    float base[4][2], sum[4][2], weight[4][2];
#pragma unroll
    for (uint32_t i = 0; i < Tile::DOWN; i++)
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            base[i][h] = -INFINITY, sum[i][h] = 0.f, weight[i][h] = 0.f;
            const uint32_t row = row0 + Tile::row(i, 2 * h);
            const float above = SOFT && reference && row < p.rows ? reference[row] : 0.f;
#pragma unroll
            for (uint32_t n = 0; n < 2 * Tile::ACROSS; n++) {
                float &s = tile.sums[i][n / 2][2 * h + n % 2];
                const bool does = takes[i] >> (16 * h + n) & 1;
                if (SOFT) {
                    const float z = s - above, small = exp2_fast(-fabsf(z) * LOG2E), share = reciprocal(1.f + small);
                    sum[i][h] += does ? fmaxf(z, 0.f) + log1p_fast(small) : 0.f;
                    s = does ? (z > 0.f ? share : small * share) : 0.f;
                    // fmaxf(NaN, 0) is 0, but a NaN has to come out as one.
                    sum[i][h] += does && z != z ? z : 0.f;
                    weight[i][h] += s;
                } else {
                    s = does ? s : -INFINITY;
                    base[i][h] = s > base[i][h] || s != s ? s : base[i][h];
                }
            }
        }
    if (SOFT) {
        over_columns<Tile, false>(weight, shared);
    } else {
        over_columns<Tile, true>(base, shared);
#pragma unroll
        for (uint32_t i = 0; i < Tile::DOWN; i++)
#pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                // The whole number above the largest, in powers of two, and how far it is above it: log2 e as two numbers,
                // or a large logit would leave no digits of the difference.
                const float most = base[i][h] == -INFINITY ? 0.f : base[i][h], high = most * LOG2E;
                const float whole = ceilf(high), offset = high - whole + (fmaf(most, LOG2E, -high) + most * LOG2E_REST);
                base[i][h] = base[i][h] == -INFINITY ? -INFINITY : whole;
#pragma unroll
                for (uint32_t n = 0; n < 2 * Tile::ACROSS; n++) {
                    float &s = tile.sums[i][n / 2][2 * h + n % 2];
                    s = exp2_fast(fmaf(s - most, LOG2E, offset));
                    sum[i][h] += s;
                }
            }
    }
    over_columns<Tile, false>(sum, shared);
    const bool writes = threadIdx.x / WARP % 4 == 0 && threadIdx.x % 4 == 0;
#pragma unroll
    for (uint32_t i = 0; i < Tile::DOWN; i++)
#pragma unroll
        for (uint32_t h = 0; h < 2; h++) {
            const uint32_t row = row0 + Tile::row(i, 2 * h);
            if (writes) {
                const size_t at = (size_t)blockIdx.x * (gridDim.y * TILE_ROWS) + row;
                exponents[at] = SOFT ? 0.f : base[i][h];
                terms[at] = sum[i][h];
                if (SOFT) weights[at] = weight[i][h];
            }
            // Rows and columns beyond the matrix get their zeros too: whole tiles are read back.
            Value *line = entries + (size_t)row * p.line + column0;
#pragma unroll
            for (uint32_t j = 0; j < Tile::ACROSS; j++) {
                const float a = tile.sums[i][j][2 * h], b = tile.sums[i][j][2 * h + 1];
                if constexpr (sizeof(Value) == 2)
                    *(uint32_t *)(line + Tile::column(j, 0)) = pair<Value>(a, b);
                else
                    *(float2 *)(line + Tile::column(j, 0)) = make_float2(a, b);
            }
        }
}

// Threads of a block that share 32 rows, each every eighth tile. Results, the factor that makes a row's entries derivatives, what
// its reference gets, and in place of the exponents the powers of two that put the tiles on one scale.
// `upstream` is that of all rows; without it every row counts `share`.
constexpr uint32_t SLICES = 8;
extern "C" __global__ void __launch_bounds__(WARP *SLICES) npair_rows(float *results, float *factors, float *below, float *exponents,
                                                                     const float *terms, const float *weights, const float *reference,
                                                                     const float *upstream, const Params p) {
    SHARED_MEMORY(memory);
    double *sums = (double *)memory, *all_weights = sums + WARP * SLICES;
    float *largest = (float *)(all_weights + WARP * SLICES);
    const uint32_t lane = threadIdx.x % WARP, slice = threadIdx.x / WARP;
    const uint32_t row = blockIdx.x * WARP + lane, line = gridDim.x * WARP;
    const bool is_row = row < p.rows; // or the padding of the last tile
    float most = -INFINITY;
#pragma unroll 4
    for (uint32_t t = slice; is_row && t < p.tiles; t += SLICES) {
        const float e = exponents[(size_t)t * line + row];
        most = e > most || e != e ? e : most;
    }
    largest[threadIdx.x] = most;
    __syncthreads();
    for (uint32_t s = 0; s < SLICES; s++) {
        const float e = largest[s * WARP + lane];
        most = e > most || e != e ? e : most;
    }
    double sum = 0., weight = 0.;
#pragma unroll 4
    for (uint32_t t = slice; t < p.tiles; t += SLICES) {
        const size_t at = (size_t)t * line + row;
        // Entries of a tile in which none takes part are zeros, on any scale; 1 spares the gradients a multiplication.
        const float e = is_row ? exponents[at] : -INFINITY;
        const float shift = p.kind == SOFTPLUS_SUM || e == -INFINITY ? 1.f : exp2f(e - most);
        if (is_row) sum += (double)shift * terms[at];
        if (is_row && p.kind == SOFTPLUS_SUM) weight += weights[at];
        exponents[at] = shift;
    }
    sums[threadIdx.x] = sum;
    all_weights[threadIdx.x] = weight;
    __syncthreads();
    if (slice) return;
    for (uint32_t s = 1; s < SLICES; s++) sum += sums[s * WARP + lane], weight += all_weights[s * WARP + lane];
    if (!is_row) {
        factors[row] = 0.f;
        return;
    }
    const float counts = p.share * (upstream ? upstream[p.first_row + row] : 1.f);
    const float above = reference ? reference[row] : 0.f;
    double result = sum, factor = 1.;
    if (p.kind != SOFTPLUS_SUM) {
        // The sum is of 2^-most exp(s); where it is measured from, `above`, is far below, far above or near.
        const double gap = most == -INFINITY ? 0. : (double)most * 0.69314718055994530942 - above;
        weight = sum;
        if (p.kind == LOG_SUM_EXP) {
            result = sum > 0. || sum != sum ? gap + log(sum) : -INFINITY;
            factor = sum > 0. ? 1. / sum : sum == 0. ? 0. : sum;
        } else if (gap > 0.) {
            const double all = sum + exp(-gap);
            result = gap + log(all);
            factor = 1. / all;
        } else {
            const double scaled = sum * exp(gap);
            result = log1p(scaled);
            factor = exp(gap) / (1. + scaled);
        }
    }
    factor *= counts;
    results[p.first_row + row] = (float)result;
    factors[row] = (float)factor;
    below[p.first_row + row] = (float)(-weight * factor);
}

// --- Gradients ------------------------------------------------------------------------------------------------------------

// Grid: (tiles of the width, tiles of rows, parts). Part z of the sums over columns of e times the gallery, still without
// the rows' factors: (parts, rows of whole tiles, width).
template <class P, uint32_t COLUMNS>
static __device__ void of_queries(float *sums, const typename P::Value *entries, const float *scales,
                                  const typename P::Value *gallery, const Params &p) {
    typedef typename P::Value Value;
    typedef Product<P, COLUMNS, Lies::ByRows, Lies::BySteps, Scaled::ByRow> Tile;
    SHARED_MEMORY(memory);
    const uint32_t column0 = blockIdx.x * COLUMNS, row0 = blockIdx.y * TILE_ROWS, lines = gridDim.y * TILE_ROWS;
    // Whole tiles of columns, as evenly as can be.
    const uint32_t from = (uint64_t)p.tiles * blockIdx.z / p.parts * TILE_COLUMNS;
    const uint32_t to = (uint64_t)p.tiles * (blockIdx.z + 1) / p.parts * TILE_COLUMNS;
    Tile tile;
    tile.run((Value *)memory, {entries, p.line, lines, p.line}, row0, {gallery, p.stride, p.stride, p.columns}, column0, from, to,
             scales, lines);
    float *out = sums + (size_t)blockIdx.z * lines * p.stride;
#pragma unroll
    for (uint32_t i = 0; i < Tile::DOWN; i++)
#pragma unroll
        for (uint32_t j = 0; j < Tile::ACROSS; j++)
#pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                const uint32_t row = row0 + Tile::row(i, 2 * h), column = column0 + Tile::column(j, 0);
                if (column < p.stride)
                    *(float2 *)(out + (size_t)row * p.stride + column) = make_float2(tile.sums[i][j][2 * h], tile.sums[i][j][2 * h + 1]);
            }
}

// Grid: (tiles of the width, tiles of columns). Adds the wave's e^T times its queries, which carry the rows' factors, to
// the gallery's sums (columns, width), or begins them.
constexpr uint32_t BEGINS = 1;
template <class P, uint32_t COLUMNS>
static __device__ void of_gallery(float *sums, const typename P::Value *entries, const float *scales,
                                  const typename P::Value *queries, const Params &p) {
    typedef typename P::Value Value;
    typedef Product<P, COLUMNS, Lies::BySteps, Lies::BySteps, Scaled::ByStep> Tile;
    SHARED_MEMORY(memory);
    const uint32_t column0 = blockIdx.x * COLUMNS, row0 = blockIdx.y * TILE_ROWS;
    const uint32_t lines = (p.rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    Tile tile;
    tile.run((Value *)memory, {entries, p.line, p.line, lines}, row0, {queries, p.stride, p.stride, p.rows}, column0, 0, lines,
             scales, lines);
#pragma unroll
    for (uint32_t i = 0; i < Tile::DOWN; i++)
#pragma unroll
        for (uint32_t j = 0; j < Tile::ACROSS; j++)
#pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                const uint32_t row = row0 + Tile::row(i, 2 * h), column = column0 + Tile::column(j, 0);
                if (row >= p.columns || column >= p.stride) continue;
                float2 *out = (float2 *)(sums + (size_t)row * p.stride + column);
                const float2 old = p.flags & BEGINS ? make_float2(0.f, 0.f) : *out;
                *out = make_float2(old.x + tile.sums[i][j][2 * h], old.y + tile.sums[i][j][2 * h + 1]);
            }
}

// A block per row: the parts of a gradient added up, times the row's factor if there are factors, plus the row of the
// other side times `below` if that is given (the diagonal's part); in the sides' own type, without padding.
template <class T>
static __device__ void finish(T *gradient, const float *sums, const float *factors, const float *below, const T *other,
                              const Params &p) {
    const size_t lines = p.line;
    for (uint32_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const float factor = factors ? factors[row] : 1.f, of_other = below ? below[p.first_row + row] : 0.f;
        const size_t start = ((size_t)p.first_row + row) * p.width;
        for (uint32_t column = 2 * threadIdx.x; column < p.width; column += 2 * blockDim.x) {
            float2 sum = make_float2(0.f, 0.f);
#pragma unroll 4
            for (uint32_t z = 0; z < p.parts; z++) {
                const float2 part = *(const float2 *)(sums + ((size_t)z * lines + row) * p.stride + column);
                sum.x += part.x, sum.y += part.y;
            }
            const float of_pair[2] = {sum.x, sum.y};
#pragma unroll
            for (uint32_t c = 0; c < 2; c++) {
                if (column + c >= p.width) break;
                const size_t at = start + column + c;
                const float v = of_pair[c] * factor;
                gradient[at] = narrow<T>(below ? fmaf(of_other, wide(other[at]), v) : v);
            }
        }
    }
}

// One block: the mean of the rows' results, in f64 in a fixed order.
extern "C" __global__ void __launch_bounds__(256) npair_mean(float *mean, const float *results, const Params p) {
    SHARED_MEMORY(memory);
    double *sums = (double *)memory, sum = 0.;
    for (uint32_t i = threadIdx.x; i < p.rows; i += 256) sum += results[i];
    sums[threadIdx.x] = sum;
    for (uint32_t half = 128; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    if (threadIdx.x == 0) mean[0] = (float)(sums[0] * p.share);
}

// --- Sides ----------------------------------------------------------------------------------------------------------------

// A block per row: with room for whole copies, times its factor if there are factors.
template <class T> static __device__ void padded(T *out, const T *rows, const float *factors, const Params &p) {
    for (uint32_t row = blockIdx.x; row < p.rows; row += gridDim.x) {
        const float factor = factors ? factors[row] : 1.f;
        const T *from = rows + ((size_t)p.first_row + row) * p.width;
        for (uint32_t column = threadIdx.x; column < p.stride; column += blockDim.x)
            out[(size_t)row * p.stride + column] = narrow<T>(column < p.width ? wide(from[column]) * factor : 0.f);
    }
}

// A warp per row: inner products of the rows of two sides, or of a side with itself.
template <class T> static __device__ void diagonal(float *out, const T *left, const T *right, const Params &p) {
    const uint32_t row = (blockIdx.x * blockDim.x + threadIdx.x) / WARP;
    float sum = 0.f;
    if (row < p.rows) {
        const size_t at = ((size_t)p.first_row + row) * p.width;
        for (uint32_t c = threadIdx.x % WARP; c < p.width; c += WARP) sum = fmaf(wide(left[at + c]), wide(right[at + c]), sum);
    }
    sum = sum_of_warp(sum);
    if (row < p.rows && threadIdx.x % WARP == 0) out[row] = sum;
}

#define BY_PRECISION(name, P)                                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) npair_matrix_##name(                                                  \
        P::Value *entries, float *exponents, float *terms, float *weights, const P::Value *queries, const P::Value *gallery,       \
        const float *reference, const uint32_t *row_classes, const uint32_t *column_classes, const Params p) {                     \
        matrix<P, false>(entries, exponents, terms, weights, queries, gallery, reference, row_classes, column_classes, p);         \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) npair_margins_##name(                                                 \
        P::Value *entries, float *exponents, float *terms, float *weights, const P::Value *queries, const P::Value *gallery,       \
        const float *reference, const uint32_t *row_classes, const uint32_t *column_classes, const Params p) {                     \
        matrix<P, true>(entries, exponents, terms, weights, queries, gallery, reference, row_classes, column_classes, p);          \
    }
#define GRADIENTS(name, P, COLUMNS)                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) npair_of_queries_##name##_##COLUMNS(                                  \
        float *sums, const P::Value *entries, const float *scales, const P::Value *gallery, const Params p) {                      \
        of_queries<P, COLUMNS>(sums, entries, scales, gallery, p);                                                                 \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(THREADS, 1) npair_of_gallery_##name##_##COLUMNS(                                  \
        float *sums, const P::Value *entries, const float *scales, const P::Value *queries, const Params p) {                      \
        of_gallery<P, COLUMNS>(sums, entries, scales, queries, p);                                                                 \
    }
BY_PRECISION(bf16, Bf16)
BY_PRECISION(f16, F16)
BY_PRECISION(tf32, Tf32)
BY_PRECISION(split, Split)
BY_PRECISION(f32, F32)
// Wide tiles reuse more, narrow ones waste less where D is small.
GRADIENTS(bf16, Bf16, 256)
GRADIENTS(bf16, Bf16, 128)
GRADIENTS(f16, F16, 256)
GRADIENTS(f16, F16, 128)
GRADIENTS(tf32, Tf32, 128)
GRADIENTS(split, Split, 128)
GRADIENTS(f32, F32, 128)

#define BY_TYPE(name, T)                                                                                                           \
    extern "C" __global__ void __launch_bounds__(256) npair_finish_##name(T *gradient, const float *sums, const float *factors,    \
                                                                          const float *below, const T *other, const Params p) {   \
        finish<T>(gradient, sums, factors, below, other, p);                                                                       \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) npair_padded_##name(T *out, const T *rows, const float *factors,             \
                                                                          const Params p) {                                        \
        padded<T>(out, rows, factors, p);                                                                                          \
    }                                                                                                                              \
    extern "C" __global__ void __launch_bounds__(256) npair_diagonal_##name(float *out, const T *left, const T *right,             \
                                                                            const Params p) {                                      \
        diagonal<T>(out, left, right, p);                                                                                          \
    }
BY_TYPE(bf16, bf16)
BY_TYPE(f16, f16)
BY_TYPE(f32, float)
