// The pairwise similarity matrix on Apple's GPUs: the kernels of npair-similarity-cuda under the same names, with the same
// buffers (those written, those read, Params) and the same meaning. A tile is 64 x 64; all sides are multiplied as f32 by
// simdgroup matrices. Compiled when first used, without fast arithmetic: infinities and NaNs have to stay what they are.
#include <metal_stdlib>
#include <metal_simdgroup_matrix>
using namespace metal;

// What every kernel is told beside its buffers: the same fields in the same order as `Params` of npair-similarity.
struct Params {
    uint rows, columns, width, stride, first_row, first_column, line, tiles, mask, kind, parts, flags, k, capacity;
    uint absent; // bit i: buffer i is not there, and is bound to something else
    float scale, share;
};

// A buffer that may not be there.
template <typename T> static inline device const T *present(device const T *buffer, uint at, constant Params &p) {
    return p.absent >> at & 1 ? (device const T *)nullptr : buffer;
}

constant uint OFF_DIAGONAL = 1, SAME_CLASS = 2, SAME_CLASS_OFF_DIAGONAL = 3, OTHER_CLASS = 4;
constant uint LOG_SUM_EXP = 0, SOFTPLUS_SUM = 2;

constant float LOG2E = 1.4426950408889634f, LOG2E_REST = 1.9259630e-8f;
// log 2 as a number with few bits, whose products with whole numbers are exact, and the rest.
constant float LN2_HIGH = 0.693145751953125f, LN2_LOW = 1.4286068203094172e-6f;

constant uint THREADS = 128, SIMD = 32;
constant uint TILE = 64;  // rows and columns
constant uint DEPTH = 16; // steps at a time
constant uint STRIDE = DEPTH + 4;

static inline bool takes_part(uint mask, uint row, uint column, uint row_class, uint column_class) {
    switch (mask) {
    case 0: return true;
    case 1: return row != column;
    case 2: return row_class == column_class;
    case 3: return row_class == column_class && row != column;
    default: return row_class != column_class;
    }
}

static inline bool of_classes(uint mask) { return mask >= SAME_CLASS; }

// log(1 + v) for v >= 0: by its series below 1/8, where the logarithm near 1 has few digits.
static inline float log1p_of(float v) {
    const float series = v * fma(v, fma(v, fma(v, fma(v, fma(v, -1.0f / 6, 0.2f), -0.25f), 1.0f / 3), -0.5f), 1.0f);
    return v < 0.125f ? series : log(1.0f + v);
}

// Whole numbers that sort as floats do, and keys by which the nearer and then the earlier row is the greater.
static inline uint order_of(float v) {
    const uint bits = as_type<uint>(v + 0.0f); // one zero
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
static inline float of_order(uint order) { return as_type<float>(order & 0x80000000u ? order & 0x7fffffffu : ~order); }
static inline ulong key_of(float closeness, uint index) { return ulong(order_of(closeness)) << 32 | ulong(~index); }

// --- A tile of a product --------------------------------------------------------------------------------------------------

// How a factor lies: its rows (of the product) one after the other, or its steps.
enum Lies { ByRows, BySteps };

// Brings the steps from `step` on of 64 rows from `row` on to `to` (row, step), as f32, zeros beyond the factor's ends.
// `scales` if there are some: a factor for every row (by_step 0) or step (by_step 1).
template <typename T, int LIES>
static inline void bring(threadgroup float *to, device const T *from, uint stride, uint row, uint step, uint rows, uint steps,
                         device const float *scales, bool by_step, uint thread_index) {
    for (uint n = thread_index; n < TILE * DEPTH; n += THREADS) {
        // Neighbouring threads read neighbouring values.
        const uint r = LIES == ByRows ? n / DEPTH : n % TILE, s = LIES == ByRows ? n % DEPTH : n / TILE;
        const bool inside = row + r < rows && step + s < steps;
        float v = 0.0f;
        if (inside) {
            v = float(LIES == ByRows ? from[ulong(row + r) * stride + step + s] : from[ulong(step + s) * stride + row + r]);
            if (scales) v *= scales[by_step ? step + s : row + r];
        }
        to[r * STRIDE + s] = v;
    }
}

// Sums over the steps from `from` to `to` of left row (row0 + ..) times right row (column0 + ..), to `out` (64, 64), which
// may be where the factors were. Four simdgroups have 32 x 32 sums each.
template <typename L, typename R, int LEFT, int RIGHT>
static inline void product(threadgroup float *shared, device const L *left, uint left_stride, uint row0, uint left_rows,
                           uint left_steps, device const R *right, uint right_stride, uint column0, uint right_rows,
                           uint right_steps, uint from, uint to, device const float *scales, uint scale_tile, bool by_step,
                           uint scale_line, uint thread_index) {
    threadgroup float *a = shared, *b = shared + TILE * STRIDE;
    const uint simd = thread_index / SIMD, top = simd / 2 * 32, start = simd % 2 * 32;
    simdgroup_float8x8 sums[4][4];
    for (uint i = 0; i < 4; i++)
        for (uint j = 0; j < 4; j++) sums[i][j] = simdgroup_float8x8(0.0f);
    for (uint step = from; step < to; step += DEPTH) {
        // The powers of two of a row change with the tile of columns, which are the steps or the rows here.
        device const float *now = scales ? scales + ulong((by_step ? scale_tile : step) / TILE) * scale_line : scales;
        bring<L, LEFT>(a, left, left_stride, row0, step, left_rows, min(left_steps, to), now, by_step, thread_index);
        bring<R, RIGHT>(b, right, right_stride, column0, step, right_rows, min(right_steps, to), (device const float *)nullptr, false,
                        thread_index);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint s = 0; s < DEPTH; s += 8) {
            simdgroup_float8x8 x[4], y[4];
            for (uint i = 0; i < 4; i++) simdgroup_load(x[i], a + (top + 8 * i) * STRIDE + s, STRIDE);
            for (uint j = 0; j < 4; j++) simdgroup_load(y[j], b + (start + 8 * j) * STRIDE + s, STRIDE, ulong2(0, 0), true);
            for (uint i = 0; i < 4; i++)
                for (uint j = 0; j < 4; j++) simdgroup_multiply_accumulate(sums[i][j], x[i], y[j], sums[i][j]);
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    for (uint i = 0; i < 4; i++)
        for (uint j = 0; j < 4; j++) simdgroup_store(sums[i][j], shared + (top + 8 * i) * TILE + start + 8 * j, TILE);
    threadgroup_barrier(mem_flags::mem_threadgroup);
}

// --- The matrix of a wave -------------------------------------------------------------------------------------------------

// A group has a tile; two threads share a row. See `matrix` of soft.cu.
template <typename T>
static inline void matrix(bool soft, device T *entries, device float *exponents, device float *terms, device float *weights,
                          device const T *queries, device const T *gallery, device const float *reference,
                          device const uint *row_classes, device const uint *column_classes, constant Params &p,
                          threadgroup float *shared, uint3 group, uint3 groups, uint thread_index) {
    const uint column0 = group.x * TILE, row0 = group.y * TILE;
    product<T, T, ByRows, ByRows>(shared, queries, p.stride, row0, p.rows, p.stride, gallery, p.stride, column0, p.columns, p.stride, 0,
                                  p.stride, (device const float *)nullptr, 0, false, 0, thread_index);
    const uint r = thread_index / 2, half_row = thread_index % 2, row = row0 + r;
    threadgroup float *line = shared + r * TILE + half_row * 32;
    const bool is_row = row < p.rows;
    const uint row_class = of_classes(p.mask) && is_row ? row_classes[p.first_row + row] : 0;
    const float above = soft && reference && is_row ? reference[row] : 0.0f;
    float most = -INFINITY, sum = 0.0f, weight = 0.0f;
    for (uint c = 0; c < 32; c++) {
        const uint column = column0 + half_row * 32 + c;
        const bool inside = is_row && column < p.columns;
        const uint column_class = of_classes(p.mask) && inside ? column_classes[column] : 0;
        const bool takes = inside && takes_part(p.mask, p.first_row + row, column, row_class, column_class);
        const float s = line[c];
        if (soft) {
            const float z = s - above, small = exp2(-fabs(z) * LOG2E), share = 1.0f / (1.0f + small);
            const float positive = z > 0.0f || z != z ? z : 0.0f;
            sum += takes ? positive + log1p_of(small) : 0.0f;
            const float e = takes ? (z > 0.0f ? share : small * share) : 0.0f;
            weight += e;
            line[c] = e;
        } else {
            line[c] = takes ? s : -INFINITY;
            most = takes && (s > most || s != s) ? s : most;
        }
    }
    float whole = 0.0f;
    if (!soft) {
        const float other = simd_shuffle_xor(most, 1);
        most = other > most || other != other ? other : most;
        const bool none = most == -INFINITY;
        const float from = none ? 0.0f : most, high = from * LOG2E;
        whole = ceil(high);
        const float offset = high - whole + (fma(from, LOG2E, -high) + from * LOG2E_REST);
        for (uint c = 0; c < 32; c++) {
            line[c] = exp2(fma(line[c] - from, LOG2E, offset));
            sum += line[c];
        }
        if (none) whole = -INFINITY;
    } else {
        weight += simd_shuffle_xor(weight, 1);
    }
    sum += simd_shuffle_xor(sum, 1);
    if (half_row == 0) {
        const ulong at = ulong(group.x) * (groups.y * TILE) + row;
        exponents[at] = whole;
        terms[at] = sum;
        if (soft) weights[at] = weight;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    // Rows and columns beyond the matrix get their zeros too: whole tiles are read back.
    for (uint n = thread_index; n < TILE * TILE; n += THREADS)
        entries[ulong(row0 + n / TILE) * p.line + column0 + n % TILE] = T(shared[n]);
}

// A thread per row of the wave; see npair_rows of soft.cu. Sums of tiles in f32, what rounding takes kept beside.
kernel void npair_rows(device float *results [[buffer(0)]], device float *factors [[buffer(1)]], device float *below [[buffer(2)]],
                       device float *exponents [[buffer(3)]], device const float *terms [[buffer(4)]],
                       device const float *weights [[buffer(5)]], device const float *reference [[buffer(6)]],
                       device const float *upstream [[buffer(7)]], constant Params &p [[buffer(8)]],
                       threadgroup float *shared [[threadgroup(0)]], uint3 group [[threadgroup_position_in_grid]],
                       uint3 groups [[threadgroups_per_grid]], uint thread_index [[thread_index_in_threadgroup]]) {
    const uint row = group.x * 32 + thread_index, line = groups.x * 32;
    if (row >= p.rows) { // the padding of the last tile
        for (uint t = 0; t < p.tiles; t++) exponents[ulong(t) * line + row] = 0.0f;
        factors[row] = 0.0f;
        return;
    }
    device const float *from_above = present(upstream, 7, p), *measured_from = present(reference, 6, p);
    const float counts = p.share * (from_above ? from_above[p.first_row + row] : 1.0f);
    const float above = measured_from ? measured_from[row] : 0.0f;
    const bool soft = p.kind == SOFTPLUS_SUM;
    float most = -INFINITY;
    for (uint t = 0; t < p.tiles; t++) {
        const float e = exponents[ulong(t) * line + row];
        most = e > most || e != e ? e : most;
    }
    float sum = 0.0f, rest = 0.0f, weight = 0.0f;
    for (uint t = 0; t < p.tiles; t++) {
        const ulong at = ulong(t) * line + row;
        const float shift = soft ? 1.0f : most == -INFINITY ? 0.0f : exp2(exponents[at] - most);
        const float term = shift * terms[at] - rest, next = sum + term;
        rest = next - sum - term;
        sum = next;
        if (soft) weight += weights[at];
        exponents[at] = shift;
    }
    float result = sum, factor = 1.0f;
    if (!soft) {
        const float gap = most == -INFINITY ? 0.0f : fma(most, LN2_HIGH, -above) + most * LN2_LOW;
        weight = sum;
        if (p.kind == LOG_SUM_EXP) {
            result = sum > 0.0f || sum != sum ? gap + log(sum) : -INFINITY;
            factor = sum > 0.0f ? 1.0f / sum : sum == 0.0f ? 0.0f : sum;
        } else if (gap > 0.0f) {
            const float all = sum + exp(-gap);
            result = gap + log(all);
            factor = 1.0f / all;
        } else {
            const float scaled = sum * exp(gap);
            result = scaled != scaled ? scaled : log1p_of(scaled);
            factor = exp(gap) / (1.0f + scaled);
        }
    }
    factor *= counts;
    results[p.first_row + row] = result;
    factors[row] = factor;
    below[p.first_row + row] = -weight * factor;
}

// --- Gradients ------------------------------------------------------------------------------------------------------------

// See `of_queries` of soft.cu.
template <typename T>
static inline void of_queries(device float *sums, device const T *entries, device const float *scales, device const T *gallery,
                              constant Params &p, threadgroup float *shared, uint3 group, uint3 groups, uint thread_index) {
    const uint column0 = group.x * TILE, row0 = group.y * TILE, lines = groups.y * TILE;
    const uint from = p.tiles * group.z / p.parts * TILE, to = p.tiles * (group.z + 1) / p.parts * TILE;
    product<T, T, ByRows, BySteps>(shared, entries, p.line, row0, lines, p.line, gallery, p.stride, column0, p.stride, p.columns, from,
                                   to, scales, 0, false, lines, thread_index);
    device float *out = sums + ulong(group.z) * lines * p.stride;
    for (uint n = thread_index; n < TILE * TILE; n += THREADS) {
        const uint column = column0 + n % TILE;
        if (column < p.stride) out[ulong(row0 + n / TILE) * p.stride + column] = shared[n];
    }
}

// See `of_gallery` of soft.cu.
template <typename T>
static inline void of_gallery(device float *sums, device const T *entries, device const float *scales, device const T *queries,
                              constant Params &p, threadgroup float *shared, uint3 group, uint3, uint thread_index) {
    const uint column0 = group.x * TILE, row0 = group.y * TILE, lines = (p.rows + TILE - 1) / TILE * TILE;
    product<T, T, BySteps, BySteps>(shared, entries, p.line, row0, p.line, lines, queries, p.stride, column0, p.stride, p.rows, 0, lines,
                                    scales, row0, true, lines, thread_index);
    for (uint n = thread_index; n < TILE * TILE; n += THREADS) {
        const uint row = row0 + n / TILE, column = column0 + n % TILE;
        if (row >= p.columns || column >= p.stride) continue;
        device float *out = sums + ulong(row) * p.stride + column;
        *out = (p.flags & 1 ? 0.0f : *out) + shared[n];
    }
}

// See `finish` of soft.cu.
template <typename T>
static inline void finish(device T *gradient, device const float *sums, device const float *factors, device const float *below,
                          device const T *other, constant Params &p, uint3 group, uint3 groups, uint thread_index) {
    const ulong count = ulong(p.rows) * p.width, lines = p.line;
    for (ulong n = ulong(group.x) * 256 + thread_index; n < count; n += ulong(groups.x) * 256) {
        const uint row = n / p.width, column = n % p.width;
        float sum = 0.0f;
        for (uint z = 0; z < p.parts; z++) sum += sums[(z * lines + row) * p.stride + column];
        if (factors) sum *= factors[row];
        const ulong at = (ulong(p.first_row) + row) * p.width + column;
        if (below) sum = fma(below[p.first_row + row], float(other[at]), sum);
        gradient[at] = T(sum);
    }
}

// One group: the mean of the rows' results, in a fixed order, what rounding takes kept beside.
kernel void npair_mean(device float *mean [[buffer(0)]], device const float *results [[buffer(1)]], constant Params &p [[buffer(2)]],
                       threadgroup float *shared [[threadgroup(0)]], uint3 group [[threadgroup_position_in_grid]],
                       uint3 groups [[threadgroups_per_grid]], uint thread_index [[thread_index_in_threadgroup]]) {
    float sum = 0.0f, rest = 0.0f;
    for (uint i = thread_index; i < p.rows; i += 256) {
        const float term = results[i] - rest, next = sum + term;
        rest = next - sum - term;
        sum = next;
    }
    shared[thread_index] = sum;
    for (uint part = 128; part; part /= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (thread_index < part) shared[thread_index] += shared[thread_index + part];
    }
    if (thread_index == 0) mean[0] = shared[0] * p.share;
}

// --- Sides ----------------------------------------------------------------------------------------------------------------

// See `padded` of soft.cu.
template <typename T>
static inline void padded(device T *out, device const T *rows, device const float *factors, constant Params &p, uint3 group,
                          uint3 groups, uint thread_index) {
    const ulong count = ulong(p.rows) * p.stride;
    for (ulong n = ulong(group.x) * 256 + thread_index; n < count; n += ulong(groups.x) * 256) {
        const uint row = n / p.stride, column = n % p.stride;
        float v = column < p.width ? float(rows[(ulong(p.first_row) + row) * p.width + column]) : 0.0f;
        if (factors) v *= factors[row];
        out[n] = T(v);
    }
}

// See `diagonal` of soft.cu.
template <typename T>
static inline void diagonal(device float *out, device const T *left, device const T *right, constant Params &p, uint3 group,
                            uint thread_index) {
    const uint row = (group.x * 256 + thread_index) / SIMD;
    float sum = 0.0f;
    if (row < p.rows) {
        const ulong at = (ulong(p.first_row) + row) * p.width;
        for (uint c = thread_index % SIMD; c < p.width; c += SIMD) sum = fma(float(left[at + c]), float(right[at + c]), sum);
    }
    sum = simd_sum(sum);
    if (row < p.rows && thread_index % SIMD == 0) out[row] = sum;
}

// --- Searches -------------------------------------------------------------------------------------------------------------

// See `candidates` of search.cu.
template <typename T>
static inline void candidates(device ulong *keys, device atomic_uint *counts, device atomic_uint *status, device const float *bars,
                              device const T *queries, device const T *gallery, device const float *row_terms,
                              device const float *column_terms, device const uint *row_classes, device const uint *column_classes,
                              constant Params &p, threadgroup float *shared, uint3 group, uint thread_index) {
    const uint column0 = p.first_column + group.x * TILE, row0 = group.y * TILE;
    product<T, T, ByRows, ByRows>(shared, queries, p.stride, row0, p.rows, p.stride, gallery, p.stride, column0, p.columns, p.stride, 0,
                                  p.stride, (device const float *)nullptr, 0, false, 0, thread_index);
    const uint r = thread_index / 2, half_row = thread_index % 2, row = row0 + r, query = p.first_row + row;
    if (row >= p.rows) return;
    threadgroup const float *line = shared + r * TILE + half_row * 32;
    const uint row_class = of_classes(p.mask) ? row_classes[query] : 0;
    const float row_term = row_terms ? row_terms[query] : 0.0f, bar = bars[row];
    for (uint c = 0; c < 32; c++) {
        const uint column = column0 + half_row * 32 + c;
        if (column >= p.columns) break;
        const uint column_class = of_classes(p.mask) ? column_classes[column] : 0;
        if (!takes_part(p.mask, query, column, row_class, column_class)) continue;
        const float near = p.scale * line[c] + (row_term + (column_terms ? column_terms[column] : 0.0f));
        if (!(fabs(near) < INFINITY)) {
            atomic_fetch_max_explicit(status, query + 1, memory_order_relaxed);
        } else if (near >= bar) {
            const uint at = atomic_fetch_add_explicit(&counts[row], 1u, memory_order_relaxed);
            if (at < p.capacity) keys[ulong(row) * p.capacity + at] = key_of(near, column);
        }
    }
}

// The key of a row with an entry that is no finite number: the greatest.
constant ulong REFUSED = 0xfffffffffffffffful;

// See `extremes` of search.cu; a group goes over all tiles of columns, since there is no greatest of 64 bits among groups.
template <typename T>
static inline void extremes(device ulong *best, device const T *queries, device const T *gallery,
                            device const float *row_terms, device const float *column_terms, device const uint *row_classes,
                            device const uint *column_classes, constant Params &p, threadgroup float *shared, uint3 group,
                            uint thread_index) {
    const uint row0 = group.y * TILE, r = thread_index / 2, half_row = thread_index % 2, row = row0 + r, query = p.first_row + row;
    const bool is_row = row < p.rows;
    const uint row_class = of_classes(p.mask) && is_row ? row_classes[query] : 0;
    const float row_term = row_terms && is_row ? row_terms[query] : 0.0f, sign = p.flags & 1 ? -1.0f : 1.0f;
    ulong most = 0;
    for (uint column0 = 0; column0 < p.columns; column0 += TILE) {
        product<T, T, ByRows, ByRows>(shared, queries, p.stride, row0, p.rows, p.stride, gallery, p.stride, column0, p.columns, p.stride,
                                      0, p.stride, (device const float *)nullptr, 0, false, 0, thread_index);
        threadgroup const float *line = shared + r * TILE + half_row * 32;
        for (uint c = 0; c < 32 && is_row; c++) {
            const uint column = column0 + half_row * 32 + c;
            if (column >= p.columns) break;
            const uint column_class = of_classes(p.mask) ? column_classes[column] : 0;
            if (!takes_part(p.mask, query, column, row_class, column_class)) continue;
            const float near = p.scale * line[c] + (row_term + (column_terms ? column_terms[column] : 0.0f));
            const ulong key = fabs(near) < INFINITY ? key_of(sign * near, column) : REFUSED;
            most = key > most ? key : most;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    // 64 bits in two halves: the other thread of the row.
    const uint high = simd_shuffle_xor(uint(most >> 32), 1), low = simd_shuffle_xor(uint(most), 1);
    const ulong other = ulong(high) << 32 | ulong(low);
    most = other > most ? other : most;
    if (is_row && half_row == 0) best[row] = most;
}

// See npair_prune of search.cu.
kernel void npair_prune(device ulong *keys [[buffer(0)]], device uint *counts [[buffer(1)]], device float *bars [[buffer(2)]],
                        constant Params &p [[buffer(3)]], threadgroup float *shared [[threadgroup(0)]],
                        uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
                        uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup ulong *held = (threadgroup ulong *)shared;
    threadgroup atomic_uint *bins = (threadgroup atomic_uint *)(held + p.capacity);
    threadgroup uint *found = (threadgroup uint *)(bins + 256);
    const uint row = group.x, count = min(counts[row], p.capacity);
    if (count <= p.line || count < p.k) return;
    device ulong *line = keys + ulong(row) * p.capacity;
    for (uint i = thread_index; i < count; i += 256) held[i] = line[i];
    ulong cut = 0;
    uint rest = p.k;
    for (int shift = 56; shift >= 0; shift -= 8) {
        atomic_store_explicit(&bins[thread_index], 0u, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        for (uint i = thread_index; i < count; i += 256)
            if (shift == 56 || held[i] >> (shift + 8) == cut >> (shift + 8))
                atomic_fetch_add_explicit(&bins[uint(held[i] >> shift) & 255], 1u, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (thread_index == 0) {
            uint digit = 255, left = rest;
            for (;;) {
                const uint here = atomic_load_explicit(&bins[digit], memory_order_relaxed);
                if (here >= left) break;
                left -= here;
                digit--;
            }
            found[0] = digit;
            found[1] = left;
            found[2] = 0;
        }
        threadgroup_barrier(mem_flags::mem_threadgroup);
        cut |= ulong(found[0]) << shift;
        rest = found[1];
        threadgroup_barrier(mem_flags::mem_threadgroup);
    }
    threadgroup atomic_uint *kept = (threadgroup atomic_uint *)(found + 2);
    for (uint i = thread_index; i < count; i += 256)
        if (held[i] >= cut) line[atomic_fetch_add_explicit(kept, 1u, memory_order_relaxed)] = held[i];
    if (thread_index == 0) {
        counts[row] = p.k;
        bars[row] = of_order(uint(cut >> 32));
    }
}

// See npair_sorted of search.cu.
kernel void npair_sorted(device float *near [[buffer(0)]], device uint *places [[buffer(1)]], device const ulong *keys [[buffer(2)]],
                         device const uint *counts [[buffer(3)]], constant Params &p [[buffer(4)]],
                         threadgroup float *shared [[threadgroup(0)]], uint3 group [[threadgroup_position_in_grid]],
                         uint3 groups [[threadgroups_per_grid]], uint thread_index [[thread_index_in_threadgroup]]) {
    threadgroup ulong *held = (threadgroup ulong *)shared;
    const uint row = group.x, count = min(counts[row], p.k);
    uint size = 1;
    while (size < p.k) size *= 2;
    for (uint i = thread_index; i < size; i += 256) held[i] = i < count ? keys[ulong(row) * p.capacity + i] : 0;
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint run = 2; run <= size; run *= 2)
        for (uint step = run / 2; step; step /= 2) {
            for (uint i = thread_index; i < size / 2; i += 256) {
                const uint low = i / step * step * 2 + i % step, high = low + step;
                const bool descends = (low & run) == 0;
                const ulong a = held[low], b = held[high];
                if ((a < b) == descends) {
                    held[low] = b;
                    held[high] = a;
                }
            }
            threadgroup_barrier(mem_flags::mem_threadgroup);
        }
    for (uint i = thread_index; i < p.k; i += 256) {
        const bool is = i < count;
        near[(ulong(p.first_row) + row) * p.k + i] = is ? of_order(uint(held[i] >> 32)) : -INFINITY;
        places[(ulong(p.first_row) + row) * p.k + i] = is ? ~uint(held[i]) : 0xffffffffu;
    }
}

// See npair_of_keys of search.cu.
kernel void npair_of_keys(device float *near [[buffer(0)]], device uint *places [[buffer(1)]], device const ulong *keys [[buffer(2)]],
                          constant Params &p [[buffer(3)]], threadgroup float *shared [[threadgroup(0)]],
                          uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
                          uint thread_index [[thread_index_in_threadgroup]]) {
    const uint row = group.x * 256 + thread_index;
    if (row >= p.rows) return;
    const ulong key = keys[row];
    near[row] = key == REFUSED ? NAN : key ? (p.flags & 1 ? -1.0f : 1.0f) * of_order(uint(key >> 32)) : -INFINITY;
    places[row] = key && key != REFUSED ? ~uint(key) : 0xffffffffu;
}

// A thread per word.
kernel void npair_fill(device uint *out [[buffer(0)]], constant Params &p [[buffer(1)]], threadgroup float *shared [[threadgroup(0)]],
                       uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]],
                       uint thread_index [[thread_index_in_threadgroup]]) {
    const ulong count = ulong(p.rows) * p.columns;
    for (ulong n = ulong(group.x) * 256 + thread_index; n < count; n += ulong(groups.x) * 256) out[n] = p.flags;
}

// --- The entries ----------------------------------------------------------------------------------------------------------

#define HERE(last)                                                                                                                 \
    constant Params &p [[buffer(last)]], threadgroup float *shared [[threadgroup(0)]], uint3 group [[threadgroup_position_in_grid]], \
        uint3 groups [[threadgroups_per_grid]], uint thread_index [[thread_index_in_threadgroup]]

#define BY_TYPE(name, T)                                                                                                           \
    kernel void npair_matrix_##name(device T *entries [[buffer(0)]], device float *exponents [[buffer(1)]],                        \
                                    device float *terms [[buffer(2)]], device float *weights [[buffer(3)]],                        \
                                    device const T *queries [[buffer(4)]], device const T *gallery [[buffer(5)]],                  \
                                    device const float *reference [[buffer(6)]], device const uint *row_classes [[buffer(7)]],     \
                                    device const uint *column_classes [[buffer(8)]], HERE(9)) {                                    \
        matrix<T>(false, entries, exponents, terms, weights, queries, gallery, present(reference, 6, p), row_classes, column_classes, p, shared,  \
                  group, groups, thread_index);                                                                                    \
    }                                                                                                                              \
    kernel void npair_margins_##name(device T *entries [[buffer(0)]], device float *exponents [[buffer(1)]],                       \
                                     device float *terms [[buffer(2)]], device float *weights [[buffer(3)]],                       \
                                     device const T *queries [[buffer(4)]], device const T *gallery [[buffer(5)]],                 \
                                     device const float *reference [[buffer(6)]], device const uint *row_classes [[buffer(7)]],    \
                                     device const uint *column_classes [[buffer(8)]], HERE(9)) {                                   \
        matrix<T>(true, entries, exponents, terms, weights, queries, gallery, present(reference, 6, p), row_classes, column_classes, p, shared,   \
                  group, groups, thread_index);                                                                                    \
    }                                                                                                                              \
    kernel void npair_of_queries_##name##_64(device float *sums [[buffer(0)]], device const T *entries [[buffer(1)]],              \
                                             device const float *scales [[buffer(2)]], device const T *gallery [[buffer(3)]],      \
                                             HERE(4)) {                                                                            \
        of_queries<T>(sums, entries, scales, gallery, p, shared, group, groups, thread_index);                                     \
    }                                                                                                                              \
    kernel void npair_of_gallery_##name##_64(device float *sums [[buffer(0)]], device const T *entries [[buffer(1)]],              \
                                             device const float *scales [[buffer(2)]], device const T *queries [[buffer(3)]],      \
                                             HERE(4)) {                                                                            \
        of_gallery<T>(sums, entries, scales, queries, p, shared, group, groups, thread_index);                                     \
    }                                                                                                                              \
    kernel void npair_finish_##name(device T *gradient [[buffer(0)]], device const float *sums [[buffer(1)]],                      \
                                    device const float *factors [[buffer(2)]], device const float *below [[buffer(3)]],            \
                                    device const T *other [[buffer(4)]], HERE(5)) {                                                \
        finish<T>(gradient, sums, present(factors, 2, p), present(below, 3, p), other, p, group, groups, thread_index);                                          \
    }                                                                                                                              \
    kernel void npair_padded_##name(device T *out [[buffer(0)]], device const T *rows [[buffer(1)]],                               \
                                    device const float *factors [[buffer(2)]], HERE(3)) {                                          \
        padded<T>(out, rows, present(factors, 2, p), p, group, groups, thread_index);                                                             \
    }                                                                                                                              \
    kernel void npair_diagonal_##name(device float *out [[buffer(0)]], device const T *left [[buffer(1)]],                         \
                                      device const T *right [[buffer(2)]], HERE(3)) {                                              \
        diagonal<T>(out, left, right, p, group, thread_index);                                                                     \
    }                                                                                                                              \
    kernel void npair_candidates_##name(device ulong *keys [[buffer(0)]], device atomic_uint *counts [[buffer(1)]],                \
                                        device atomic_uint *status [[buffer(2)]], device const float *bars [[buffer(3)]],          \
                                        device const T *queries [[buffer(4)]], device const T *gallery [[buffer(5)]],              \
                                        device const float *row_terms [[buffer(6)]], device const float *column_terms [[buffer(7)]], \
                                        device const uint *row_classes [[buffer(8)]],                                              \
                                        device const uint *column_classes [[buffer(9)]], HERE(10)) {                               \
        candidates<T>(keys, counts, status, bars, queries, gallery, present(row_terms, 6, p), present(column_terms, 7, p), row_classes, column_classes, p, shared, \
                      group, thread_index);                                                                                        \
    }                                                                                                                              \
    kernel void npair_extremes_##name(device ulong *best [[buffer(0)]], device const T *queries [[buffer(1)]],                     \
                                      device const T *gallery [[buffer(2)]], device const float *row_terms [[buffer(3)]],          \
                                      device const float *column_terms [[buffer(4)]], device const uint *row_classes [[buffer(5)]], \
                                      device const uint *column_classes [[buffer(6)]], HERE(7)) {                                  \
        extremes<T>(best, queries, gallery, present(row_terms, 3, p), present(column_terms, 4, p), row_classes, column_classes, p, \
                    shared, group, thread_index);                                                                                  \
    }

BY_TYPE(f32, float)
BY_TYPE(f16, half)
#if defined(__HAVE_BFLOAT__)
BY_TYPE(bf16, bfloat)
#endif
