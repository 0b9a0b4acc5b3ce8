// The layers' kernels for CUDA, of values in f32 or bf16: what lies between the products. Images are channels last, so everything is a matrix of
// `rows` pixels and `columns` channels. Compiled when a device is first used (NVRTC), and by a C++ compiler for tests, where
// every thread is a fiber (NPAIR_EMULATED).
#ifndef NPAIR_EMULATED
typedef unsigned int uint32_t;
typedef unsigned char uint8_t;
extern __shared__ __align__(16) unsigned char npair_shared_memory[];
#define SHARED_MEMORY(name) float *name = (float *)npair_shared_memory
#else
#define SHARED_MEMORY(name) float *name = (float *)emulated::shared_memory()
#endif
#define KERNEL extern "C" __global__ void
#define INSIDE static __device__ __forceinline__

// As `Params` of `chip/mod.rs`.
struct LayerParams {
    uint32_t rows, columns;
    uint32_t parts, share; // of a sum over rows: how many parts, and the rows of each
    uint32_t across;       // threads of a block side by side
    uint32_t kind;         // of an activation
    uint32_t height, width, kernel_height, kernel_width, stride_height, stride_width, padding_height, padding_width;
    uint32_t map_height, map_width;
    uint32_t before, after; // channels around one that count
    uint32_t flags;
    float a, b, c, d, e, f, g, h, i;
};
typedef LayerParams P;

constexpr uint32_t EVERY_LANE = 0xffffffffu;

// Neighbours that are read and written in one go.
template <uint32_t V> struct alignas(4 * V) Some {
    float v[V];
};

// The upper half of an f32: what values and their gradients may lie in. Arithmetic is that of f32.
struct bf16 {
    unsigned short bits;
};
template <uint32_t V> struct alignas(2 * V) Halves {
    bf16 v[V];
};
INSIDE float wide(float v) { return v; }
INSIDE float wide(bf16 v) {
    union { uint32_t word; float number; } u;
    u.word = (uint32_t)v.bits << 16;
    return u.number;
}
// To the nearest, of two the even one; NaN stays NaN.
INSIDE void narrow(float v, float &to) { to = v; }
INSIDE void narrow(float v, bf16 &to) {
    union { float number; uint32_t word; } u;
    u.number = v;
    to.bits = v != v ? 0x7fff : (u.word + 0x7fff + (u.word >> 16 & 1)) >> 16;
}

template <uint32_t V> INSIDE Some<V> some(const float *at) { return *(const Some<V> *)at; }
template <uint32_t V> INSIDE void put(float *at, const Some<V> &values) { *(Some<V> *)at = values; }
template <uint32_t V> INSIDE Some<V> some(const bf16 *at) {
    const Halves<V> read = *(const Halves<V> *)at;
    Some<V> values;
    for (uint32_t i = 0; i < V; i++) values.v[i] = wide(read.v[i]);
    return values;
}
template <uint32_t V> INSIDE void put(bf16 *at, const Some<V> &values) {
    Halves<V> written;
    for (uint32_t i = 0; i < V; i++) narrow(values.v[i], written.v[i]);
    *(Halves<V> *)at = written;
}

// A kernel for both types, one value a thread at a time or four: npair_x_1, npair_x_4, npair_x_bf16_1, npair_x_bf16_4.
#define BY_FOUR(name, takes, ...)                                                                                              \
    KERNEL npair_##name##_1(takes(float), P p) { name<float, 1>(__VA_ARGS__, p); }                                             \
    KERNEL npair_##name##_4(takes(float), P p) { name<float, 4>(__VA_ARGS__, p); }                                             \
    KERNEL npair_##name##_bf16_1(takes(bf16), P p) { name<bf16, 1>(__VA_ARGS__, p); }                                          \
    KERNEL npair_##name##_bf16_4(takes(bf16), P p) { name<bf16, 4>(__VA_ARGS__, p); }
// A kernel for both types: npair_x, npair_x_bf16.
#define BY_TYPE(name, takes, ...)                                                                                              \
    KERNEL npair_##name(takes(float), P p) { name<float>(__VA_ARGS__, p); }                                                    \
    KERNEL npair_##name##_bf16(takes(bf16), P p) { name<bf16>(__VA_ARGS__, p); }

// --- Activations: every one lets NaN pass -------------------------------------------------------------------------------------

enum Kind { NONE, RELU, RELU6, HARD_SWISH, HARD_SIGMOID, QUICK_GELU, TANH_GELU, GELU };
constexpr float QUICK = 1.702f, TANH = 1.5957691216057308f, CUBE = 0.044715f; // as in activation.rs

INSIDE float cut_below(float x) { return x < 0 ? 0 : x; }
INSIDE float cut_above(float x) { return x > 6 ? 6 : x; }
INSIDE float open(float z) { return 1 / (1 + expf(-z)); }
INSIDE float normal(float x) { return 0.5f * erfcf(-0.70710678118654752f * x); }

INSIDE float activated(uint32_t kind, float x) {
    switch (kind) {
    case RELU: return cut_below(x);
    case RELU6: return cut_above(cut_below(x));
    case HARD_SIGMOID: return cut_above(cut_below(x + 3)) / 6;
    case HARD_SWISH: return x * (cut_above(cut_below(x + 3)) / 6);
    case QUICK_GELU: return x * open(QUICK * x);
    case TANH_GELU: return x * open(TANH * x * (1 + CUBE * x * x));
    case GELU: return x * normal(x);
    default: return x;
    }
}

// The gradient g of an activation's result, led back: from its input x, or its result where that shows the slope.
INSIDE float led_back(uint32_t kind, float x, float g) {
    switch (kind) {
    case RELU: return x <= 0 ? 0 : g;
    case RELU6: return x <= 0 || x >= 6 ? 0 : g;
    case HARD_SIGMOID: return x <= -3 || x >= 3 ? 0 : g / 6;
    case HARD_SWISH: return x >= 3 ? g : x <= -3 ? 0 : g * (x / 3 + 0.5f);
    case QUICK_GELU: {
        const float o = open(QUICK * x);
        return g * (o + x * QUICK * o * (1 - o));
    }
    case TANH_GELU: {
        const float o = open(TANH * x * (1 + CUBE * x * x));
        return g * (o + x * TANH * (1 + 3 * CUBE * x * x) * o * (1 - o));
    }
    case GELU: return g * (normal(x) + x * 0.3989422804014327f * expf(-0.5f * x * x));
    default: return g;
    }
}

#define EACH_OF_VALUES(V)                                                                                                      \
    for (uint32_t at = (blockIdx.x * blockDim.x + threadIdx.x) * V; at < p.rows * p.columns; at += gridDim.x * blockDim.x * V)

// y = act((x - center) scale + bias + plus), per channel what is per channel; x is y's own place where it is absent.
template <class T, uint32_t V>
INSIDE void tail(T *y, const T *x, const float *center, const float *scale, const float *bias, const T *plus, const P &p) {
    const T *from = x ? x : y;
    EACH_OF_VALUES(V) {
        const uint32_t column = at % p.columns;
        Some<V> now = some<V>(from + at);
        if (center) {
            const Some<V> c = some<V>(center + column);
            for (uint32_t i = 0; i < V; i++) now.v[i] -= c.v[i];
        }
        if (scale) {
            const Some<V> s = some<V>(scale + column);
            for (uint32_t i = 0; i < V; i++) now.v[i] *= s.v[i];
        }
        if (bias) {
            const Some<V> b = some<V>(bias + column);
            for (uint32_t i = 0; i < V; i++) now.v[i] += b.v[i];
        }
        if (plus) {
            const Some<V> more = some<V>(plus + at);
            for (uint32_t i = 0; i < V; i++) now.v[i] += more.v[i];
        }
        for (uint32_t i = 0; i < V; i++) now.v[i] = activated(p.kind, now.v[i]);
        put<V>(y + at, now);
    }
}
#define TAKES(T) T *y, const T *x, const float *center, const float *scale, const float *bias, const T *plus
BY_FOUR(tail, TAKES, y, x, center, scale, bias, plus)
#undef TAKES

// dx = the gradient g led back through an activation that `shown` shows.
template <class T, uint32_t V> INSIDE void act_vjp(T *dx, const T *shown, const T *g, const P &p) {
    EACH_OF_VALUES(V) {
        const Some<V> x = some<V>(shown + at);
        Some<V> now = some<V>(g + at);
        for (uint32_t i = 0; i < V; i++) now.v[i] = led_back(p.kind, x.v[i], now.v[i]);
        put<V>(dx + at, now);
    }
}
#define TAKES(T) T *dx, const T *shown, const T *g
BY_FOUR(act_vjp, TAKES, dx, shown, g)
#undef TAKES

// dx = scale g + slope (x - center) + constant, per channel what is per channel.
template <class T, uint32_t V>
INSIDE void norm_input(T *dx, const T *g, const T *x, const float *center, const float *scale, const float *slope, const float *constant,
                       const P &p) {
    EACH_OF_VALUES(V) {
        const uint32_t column = at % p.columns;
        Some<V> now = some<V>(g + at);
        const Some<V> own = some<V>(x + at), c = some<V>(center + column), s = some<V>(scale + column), k = some<V>(slope + column),
                      less = some<V>(constant + column);
        for (uint32_t i = 0; i < V; i++) now.v[i] = s.v[i] * now.v[i] + k.v[i] * (own.v[i] - c.v[i]) + less.v[i];
        put<V>(dx + at, now);
    }
}
#define TAKES(T) T *dx, const T *g, const T *x, const float *center, const float *scale, const float *slope, const float *constant
BY_FOUR(norm_input, TAKES, dx, g, x, center, scale, slope, constant)
#undef TAKES

// --- Sums over rows -----------------------------------------------------------------------------------------------------------

// Adds up what the threads of a block that stand over the same columns have found, and writes it as one part's.
template <uint32_t V> INSIDE void write_part(float *partial, const float (&first)[V], const float (&second)[V], uint32_t column, const P &p) {
    SHARED_MEMORY(shared);
    const uint32_t thread = threadIdx.x, slots = blockDim.x / p.across;
    float *mine = shared + thread * 2 * V;
    for (uint32_t i = 0; i < V; i++) mine[i] = first[i], mine[V + i] = second[i];
    for (uint32_t half = slots / 2; half; half /= 2) {
        __syncthreads();
        if (thread / p.across < half)
            for (uint32_t i = 0; i < 2 * V; i++) mine[i] += shared[(thread + half * p.across) * 2 * V + i];
    }
    if (thread < p.across && column < p.columns)
        for (uint32_t i = 0; i < V; i++) {
            partial[blockIdx.y * p.columns + column + i] = mine[i];
            partial[(p.parts + blockIdx.y) * p.columns + column + i] = mine[V + i];
        }
}

#define EACH_ROW_OF_A_PART(V)                                                                                                  \
    const uint32_t column = (blockIdx.x * p.across + threadIdx.x % p.across) * V;                                              \
    const uint32_t first_row = blockIdx.y * p.share, end = min(p.rows, first_row + p.share), step = blockDim.x / p.across;     \
    if (column < p.columns)                                                                                                    \
        for (uint32_t row = first_row + threadIdx.x / p.across; row < end; row += step)

// Of every channel and part: the sum of g, and of g times (z - center), or times (z - mean) inverse of its row. With an
// activation, g is first led back through it, and kept where `kept` is there.
template <class T, uint32_t V>
INSIDE void sums(float *partial, T *kept, const T *g, const T *shown, const T *z, const float *center, const float *mean,
                 const float *inverse, const P &p) {
    float plain[V] = {}, along[V] = {};
    EACH_ROW_OF_A_PART(V) {
        const size_t at = (size_t)row * p.columns + column;
        Some<V> now = some<V>(g + at);
        if (shown) {
            const Some<V> x = some<V>(shown + at);
            for (uint32_t i = 0; i < V; i++) now.v[i] = led_back(p.kind, x.v[i], now.v[i]);
        }
        if (kept) put<V>(kept + at, now);
        for (uint32_t i = 0; i < V; i++) plain[i] += now.v[i];
        if (!z) continue;
        Some<V> other = some<V>(z + at);
        if (center) {
            const Some<V> c = some<V>(center + column);
            for (uint32_t i = 0; i < V; i++) other.v[i] -= c.v[i];
        }
        if (mean)
            for (uint32_t i = 0; i < V; i++) other.v[i] = (other.v[i] - mean[row]) * inverse[row];
        for (uint32_t i = 0; i < V; i++) along[i] += now.v[i] * other.v[i];
    }
    write_part<V>(partial, plain, along, column, p);
}
#define TAKES(T) float *partial, T *kept, const T *g, const T *shown, const T *z, const float *center, const float *mean, const float *inverse
BY_FOUR(sums, TAKES, partial, kept, g, shown, z, center, mean, inverse)
#undef TAKES

// Of every channel and part: the sums of x and of its square, both less the first row, so that a large mean does not cancel.
template <class T, uint32_t V> INSIDE void moments(float *partial, const T *x, const P &p) {
    float plain[V] = {}, square[V] = {};
    EACH_ROW_OF_A_PART(V) {
        const Some<V> now = some<V>(x + (size_t)row * p.columns + column), first = some<V>(x + column);
        for (uint32_t i = 0; i < V; i++) {
            const float less = now.v[i] - first.v[i];
            plain[i] += less;
            square[i] += less * less;
        }
    }
    write_part<V>(partial, plain, square, column, p);
}
#define TAKES(T) float *partial, const T *x
BY_FOUR(moments, TAKES, partial, x)
#undef TAKES

// Both sums of a channel over all parts, in f64; the block's threads are 8 channels times 32. The whole block has to come.
INSIDE bool whole_sums(const float *partial, const P &p, uint32_t &column, double &first, double &second) {
    SHARED_MEMORY(shared);
    double *mine = (double *)shared + 2 * threadIdx.x;
    column = blockIdx.x * 8 + threadIdx.x % 8;
    first = second = 0;
    if (column < p.columns)
        for (uint32_t part = threadIdx.x / 8; part < p.parts; part += 32) {
            first += partial[part * p.columns + column];
            second += partial[(p.parts + part) * p.columns + column];
        }
    mine[0] = first, mine[1] = second;
    for (uint32_t half = 16; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x / 8 < half) {
            mine[0] = first += mine[16 * half];
            mine[1] = second += mine[16 * half + 1];
        }
    }
    return threadIdx.x < 8 && column < p.columns;
}

KERNEL npair_whole_sums(float *plain, float *along, const float *partial, P p) {
    uint32_t c;
    double first, second;
    if (!whole_sums(partial, p, c, first, second)) return;
    if (plain) plain[c] = first;
    if (along) along[c] = second;
}

// Of a batch norm: mean, 1 / deviation and factor of every channel, and where its running statistics move to by the share a;
// b is the epsilon.
template <class T>
INSIDE void whole_moments(float *mean, float *inverse, float *scale, float *moved_mean, float *moved_variance, const float *partial,
                          const T *x, const float *gamma, const float *running_mean, const float *running_variance, const P &p) {
    uint32_t c;
    double first, second;
    if (!whole_sums(partial, p, c, first, second)) return;
    const double n = p.rows, less = first / n, spread = second / n - less * less, variance = spread < 0 ? 0 : spread;
    const double whole = wide(x[c]) + less, inverted = 1 / sqrt(variance + p.b);
    mean[c] = whole;
    inverse[c] = inverted;
    scale[c] = inverted * gamma[c];
    if (!moved_mean) return;
    moved_mean[c] = (1. - p.a) * running_mean[c] + p.a * whole;
    moved_variance[c] = (1. - p.a) * running_variance[c] + p.a * variance * (n / (n - 1));
}
#define TAKES(T) float *mean, float *inverse, float *scale, float *moved_mean, float *moved_variance, const float *partial, const T *x, const float *gamma, const float *running_mean, const float *running_variance
BY_TYPE(whole_moments, TAKES, mean, inverse, scale, moved_mean, moved_variance, partial, x, gamma, running_mean, running_variance)
#undef TAKES

// Gradients of a batch norm's factors, and what its input's gradient takes per channel:
// dx = scale g + slope (x - mean) + constant.
KERNEL npair_whole_slopes(float *gamma, float *beta, float *slope, float *constant, const float *partial, const float *scale,
                          const float *inverse, P p) {
    uint32_t c;
    double first, second;
    if (!whole_sums(partial, p, c, first, second)) return;
    const double n = p.rows, along = second * inverse[c];
    gamma[c] = along;
    beta[c] = first;
    slope[c] = -along * inverse[c] * scale[c] / n;
    constant[c] = -first * scale[c] / n;
}

// --- Rows: a warp each --------------------------------------------------------------------------------------------------------

INSIDE float over_warp(float v) {
    for (uint32_t step = 16; step; step /= 2) v += __shfl_xor_sync(EVERY_LANE, v, step);
    return v;
}
INSIDE float most_of_warp(float v) {
    for (uint32_t step = 16; step; step /= 2) {
        const float other = __shfl_xor_sync(EVERY_LANE, v, step);
        v = other > v ? other : v;
    }
    return v;
}

#define ROW_OF_A_WARP                                                                                                          \
    const uint32_t lane = threadIdx.x % 32, row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;                                \
    if (row >= p.rows) return;                                                                                                 \
    const size_t start = (size_t)row * p.columns;
#define EACH_OF_A_ROW for (uint32_t c = lane; c < p.columns; c += 32)

// y = (x - mean) / sqrt(variance + a) gamma + beta; mean and 1 / deviation of every row are kept.
template <class T>
INSIDE void layer_norm(T *y, float *means, float *inverses, const T *x, const float *gamma, const float *beta, const P &p) {
    ROW_OF_A_WARP
    const float first = wide(x[start]);
    float sum = 0, squares = 0, rest = 0;
    EACH_OF_A_ROW sum += wide(x[start + c]) - first;
    const float mean = first + over_warp(sum) / p.columns;
    EACH_OF_A_ROW {
        const float less = wide(x[start + c]) - mean;
        rest += less;
        squares += less * less;
    }
    rest = over_warp(rest) / p.columns;
    const float inverse = rsqrtf(over_warp(squares) / p.columns - rest * rest + p.a), exact = mean + rest;
    EACH_OF_A_ROW narrow((wide(x[start + c]) - exact) * inverse * gamma[c] + beta[c], y[start + c]);
    if (lane == 0) means[row] = exact, inverses[row] = inverse;
}
#define TAKES(T) T *y, float *means, float *inverses, const T *x, const float *gamma, const float *beta
BY_TYPE(layer_norm, TAKES, y, means, inverses, x, gamma, beta)
#undef TAKES

template <class T>
INSIDE void layer_norm_vjp(T *dx, const T *g, const T *x, const float *gamma, const float *means, const float *inverses, const P &p) {
    ROW_OF_A_WARP
    const float mean = means[row], inverse = inverses[row];
    float plain = 0, along = 0;
    EACH_OF_A_ROW {
        const float t = wide(g[start + c]) * gamma[c];
        plain += t;
        along += t * (wide(x[start + c]) - mean) * inverse;
    }
    plain = over_warp(plain) / p.columns;
    along = over_warp(along) / p.columns;
    EACH_OF_A_ROW narrow(inverse * (wide(g[start + c]) * gamma[c] - plain - (wide(x[start + c]) - mean) * inverse * along), dx[start + c]);
}
#define TAKES(T) T *dx, const T *g, const T *x, const float *gamma, const float *means, const float *inverses
BY_TYPE(layer_norm_vjp, TAKES, dx, g, x, gamma, means, inverses)
#undef TAKES

// Soft-max of a times every row.
template <class T> INSIDE void softmax(T *y, const T *x, const P &p) {
    ROW_OF_A_WARP
    float most = wide(x[start]), sum = 0;
    EACH_OF_A_ROW most = wide(x[start + c]) > most ? wide(x[start + c]) : most;
    most = most_of_warp(most);
    EACH_OF_A_ROW sum += expf(p.a * (wide(x[start + c]) - most));
    const float share = 1 / over_warp(sum);
    EACH_OF_A_ROW narrow(expf(p.a * (wide(x[start + c]) - most)) * share, y[start + c]);
}
#define TAKES(T) T *y, const T *x
BY_TYPE(softmax, TAKES, y, x)
#undef TAKES
template <class T> INSIDE void softmax_vjp(T *dx, const T *y, const T *g, const P &p) {
    ROW_OF_A_WARP
    float mean = 0;
    EACH_OF_A_ROW mean += wide(y[start + c]) * wide(g[start + c]);
    mean = over_warp(mean);
    EACH_OF_A_ROW narrow(p.a * wide(y[start + c]) * (wide(g[start + c]) - mean), dx[start + c]);
}
#define TAKES(T) T *dx, const T *y, const T *g
BY_TYPE(softmax_vjp, TAKES, dx, y, g)
#undef TAKES

// --- Windows ------------------------------------------------------------------------------------------------------------------

// Numbers of taps, of neighbours.
template <uint32_t V> struct alignas(V) Taps {
    uint8_t v[V];
};

#define EACH_OF_MAPS(V)                                                                                                        \
    for (uint32_t at = (blockIdx.x * blockDim.x + threadIdx.x) * V; at < p.rows * p.map_height * p.map_width * p.columns;      \
         at += gridDim.x * blockDim.x * V)
#define EACH_OF_PIXELS(V)                                                                                                      \
    for (uint32_t at = (blockIdx.x * blockDim.x + threadIdx.x) * V; at < p.rows * p.height * p.width * p.columns;              \
         at += gridDim.x * blockDim.x * V)
#define ITS_WINDOW                                                                                                             \
    const uint32_t c = at % p.columns, place = at / p.columns, j = place % p.map_width, rest = place / p.map_width,            \
                   i = rest % p.map_height, image = rest / p.map_height;                                                       \
    const T *from = x + (size_t)image * p.height * p.width * p.columns + c;
#define EACH_TAP                                                                                                               \
    for (uint32_t u = 0; u < p.kernel_height; u++)                                                                             \
        for (uint32_t v = 0, row = i * p.stride_height + u - p.padding_height; v < p.kernel_width; v++)                        \
            if (const uint32_t column = j * p.stride_width + v - p.padding_width; row < p.height && column < p.width)
#define ITS_PIXEL (from + (row * p.width + column) * p.columns)

// Largest value of every window and, where wanted, the tap it stood at: the first of several; a NaN is larger than everything.
// `rows` are images.
template <class T, uint32_t V> INSIDE void max_pool(T *y, uint8_t *taps, const T *x, const P &p) {
    EACH_OF_MAPS(V) {
        ITS_WINDOW
        Some<V> best = {};
        Taps<V> tap = {};
        bool any = false;
        EACH_TAP {
            const Some<V> now = some<V>(ITS_PIXEL);
            for (uint32_t k = 0; k < V; k++)
                if (!any || now.v[k] > best.v[k] || now.v[k] != now.v[k]) best.v[k] = now.v[k], tap.v[k] = u * p.kernel_width + v;
            any = true;
        }
        put<V>(y + at, best);
        if (taps) *(Taps<V> *)(taps + at) = tap;
    }
}
#define TAKES(T) T *y, uint8_t *taps, const T *x
BY_FOUR(max_pool, TAKES, y, taps, x)
#undef TAKES

// Windows that a pixel lies in, along one axis.
INSIDE uint32_t first_over(uint32_t at, uint32_t kernel, uint32_t stride, uint32_t padding) {
    const uint32_t end = at + padding + 1;
    return end <= kernel ? 0 : (end - kernel + stride - 1) / stride;
}
INSIDE uint32_t end_over(uint32_t at, uint32_t stride, uint32_t padding, uint32_t map) { return min(map, (at + padding) / stride + 1); }

#define EACH_WINDOW_OVER_IT                                                                                                    \
    const uint32_t c = at % p.columns, place = at / p.columns, column = place % p.width, rest = place / p.width,               \
                   row = rest % p.height, image = rest / p.height;                                                             \
    const uint32_t top = first_over(row, p.kernel_height, p.stride_height, p.padding_height),                                  \
                   bottom = end_over(row, p.stride_height, p.padding_height, p.map_height),                                    \
                   left = first_over(column, p.kernel_width, p.stride_width, p.padding_width),                                 \
                   right = end_over(column, p.stride_width, p.padding_width, p.map_width);                                     \
    for (uint32_t i = top; i < bottom; i++)                                                                                    \
        for (uint32_t j = left; j < right; j++)
#define ITS_PLACE ((((size_t)image * p.map_height + i) * p.map_width + j) * p.columns + c)

template <class T, uint32_t V> INSIDE void max_pool_vjp(T *dx, const uint8_t *taps, const T *g, const P &p) {
    EACH_OF_PIXELS(V) {
        Some<V> sum = {};
        EACH_WINDOW_OVER_IT {
            const uint32_t u = row + p.padding_height - i * p.stride_height, v = column + p.padding_width - j * p.stride_width;
            const Taps<V> tap = *(const Taps<V> *)(taps + ITS_PLACE);
            const Some<V> now = some<V>(g + ITS_PLACE);
            for (uint32_t k = 0; k < V; k++)
                if (tap.v[k] == u * p.kernel_width + v) sum.v[k] += now.v[k];
        }
        put<V>(dx + at, sum);
    }
}
#define TAKES(T) T *dx, const uint8_t *taps, const T *g
BY_FOUR(max_pool_vjp, TAKES, dx, taps, g)
#undef TAKES

// How many pixels the mean of a window along one axis is over: those of the image, or with the flag also those of the padding.
INSIDE uint32_t counted(uint32_t i, uint32_t kernel, uint32_t stride, uint32_t padding, uint32_t extent, bool padded) {
    const uint32_t start = i * stride, end = min(start + kernel, extent + 2 * padding);
    if (padded) return end - start;
    const uint32_t from = max(start, padding), to = min(start + kernel, extent + padding);
    return to - from;
}
INSIDE float share_of(uint32_t i, uint32_t j, const P &p) {
    const bool padded = p.flags & 1;
    return 1.f / (counted(i, p.kernel_height, p.stride_height, p.padding_height, p.height, padded) *
                  counted(j, p.kernel_width, p.stride_width, p.padding_width, p.width, padded));
}

template <class T, uint32_t V> INSIDE void mean_pool(T *y, const T *x, const P &p) {
    EACH_OF_MAPS(V) {
        ITS_WINDOW
        Some<V> sum = {};
        EACH_TAP {
            const Some<V> now = some<V>(ITS_PIXEL);
            for (uint32_t k = 0; k < V; k++) sum.v[k] += now.v[k];
        }
        const float share = share_of(i, j, p);
        for (uint32_t k = 0; k < V; k++) sum.v[k] *= share;
        put<V>(y + at, sum);
    }
}
#define TAKES(T) T *y, const T *x
BY_FOUR(mean_pool, TAKES, y, x)
#undef TAKES

template <class T, uint32_t V> INSIDE void mean_pool_vjp(T *dx, const T *g, const P &p) {
    EACH_OF_PIXELS(V) {
        Some<V> sum = {};
        EACH_WINDOW_OVER_IT {
            const Some<V> now = some<V>(g + ITS_PLACE);
            const float share = share_of(i, j, p);
            for (uint32_t k = 0; k < V; k++) sum.v[k] += now.v[k] * share;
        }
        put<V>(dx + at, sum);
    }
}
#define TAKES(T) T *dx, const T *g
BY_FOUR(mean_pool_vjp, TAKES, dx, g)
#undef TAKES

// --- Local response norm: s = a + b sum x^2 over the channels around one, y = x / s^c -----------------------------------------

INSIDE float power_of(float s, float beta) {
    if (beta == 0.75f) {
        const float root = rsqrtf(s);
        return root * sqrtf(root);
    }
    return powf(s, -beta);
}
template <class T> INSIDE float spread_at(const T *x, uint32_t c, const P &p) {
    float sum = 0;
    for (uint32_t j = c > p.before ? c - p.before : 0; j < min(p.columns, c + p.after + 1); j++) sum += wide(x[j]) * wide(x[j]);
    return p.a + p.b * sum;
}

template <class T> INSIDE void response(T *y, const T *x, const P &p) {
    EACH_OF_VALUES(1) {
        const uint32_t c = at % p.columns;
        narrow(wide(x[at]) * power_of(spread_at(x + at - c, c, p), p.c), y[at]);
    }
}
#define TAKES(T) T *y, const T *x
BY_TYPE(response, TAKES, y, x)
#undef TAKES

template <class T> INSIDE void response_vjp(T *dx, const T *x, const T *g, const P &p) {
    EACH_OF_VALUES(1) {
        const uint32_t c = at % p.columns;
        const T *own = x + at - c, *slopes = g + at - c;
        float pull = 0;
        // Those whose sum c is in.
        for (uint32_t j = c > p.after ? c - p.after : 0; j < min(p.columns, c + p.before + 1); j++) {
            const float s = spread_at(own, j, p);
            pull += wide(slopes[j]) * wide(own[j]) * power_of(s, p.c) / s;
        }
        narrow(wide(g[at]) * power_of(spread_at(own, c, p), p.c) - 2 * p.b * p.c * wide(x[at]) * pull, dx[at]);
    }
}
#define TAKES(T) T *dx, const T *x, const T *g
BY_TYPE(response_vjp, TAKES, dx, x, g)
#undef TAKES

// --- Where values stand -------------------------------------------------------------------------------------------------------

// The transpose of each of `parts` matrices.
template <class T> INSIDE void transposed(T *y, const T *x, const P &p) {
    const uint32_t each = p.rows * p.columns;
    for (uint32_t at = blockIdx.x * blockDim.x + threadIdx.x; at < p.parts * each; at += gridDim.x * blockDim.x) {
        const uint32_t row = at % p.rows, column = at / p.rows % p.columns, first = at / each * each;
        y[at] = x[first + row * p.columns + column];
    }
}
#define TAKES(T) T *y, const T *x
BY_TYPE(transposed, TAKES, y, x)
#undef TAKES

// Columns of lines of `width`, from column `before` on: taken out, and put in.
template <class T, uint32_t V> INSIDE void columns(T *y, const T *x, const P &p) {
    EACH_OF_VALUES(V) put<V>(y + at, some<V>(x + at / p.columns * p.width + p.before + at % p.columns));
}
#define TAKES(T) T *y, const T *x
BY_FOUR(columns, TAKES, y, x)
#undef TAKES
template <class T, uint32_t V> INSIDE void beside(T *y, const T *x, const P &p) {
    EACH_OF_VALUES(V) put<V>(y + at / p.columns * p.width + p.before + at % p.columns, some<V>(x + at));
}
#define TAKES(T) T *y, const T *x
BY_FOUR(beside, TAKES, y, x)
#undef TAKES

// Values of (image, token, kind, head, width) and (kind, image, head, token, width): `height` tokens, `parts` kinds, `before` heads,
// `columns` wide. Of a place among the latter: its parts, and where the former has it.
#define ITS_HEAD                                                                                                               \
    const uint32_t w = at % p.columns, t = at / p.columns % p.height, row = at / p.columns / p.height, h = row % p.before,     \
                   image = row / p.before % (p.rows / p.height / p.before / p.parts),                                          \
                   kind = row / p.before / (p.rows / p.height / p.before / p.parts);                                           \
    const size_t flat = (((size_t)(image * p.height + t) * p.parts + kind) * p.before + h) * p.columns + w;
template <class T, uint32_t V> INSIDE void heads(T *y, const T *x, const P &p) {
    EACH_OF_VALUES(V) {
        ITS_HEAD
        put<V>(y + at, some<V>(x + flat));
    }
}
#define TAKES(T) T *y, const T *x
BY_FOUR(heads, TAKES, y, x)
#undef TAKES
// Back, each kind from a tensor of its own.
template <class T, uint32_t V> INSIDE void joined_heads(T *y, const T *a, const T *b, const T *c, const P &p) {
    const uint32_t each = p.rows / p.parts * p.columns;
    EACH_OF_VALUES(V) {
        ITS_HEAD
        const T *from = kind == 0 ? a : kind == 1 ? b : c;
        put<V>(y + flat, some<V>(from + at - kind * each));
    }
}
#define TAKES(T) T *y, const T *a, const T *b, const T *c
BY_FOUR(joined_heads, TAKES, y, a, b, c)
#undef TAKES

// Scale and shift of every channel that do what a norm with given statistics does behind a convolution with this bias; a is the
// epsilon.
KERNEL npair_fold(float *scale, float *shift, const float *gamma, const float *beta, const float *mean, const float *variance,
                  const float *bias, P p) {
    EACH_OF_VALUES(1) {
        const float factor = gamma[at] / sqrtf(variance[at] + p.a);
        scale[at] = factor;
        shift[at] = beta[at] - (mean[at] - (bias ? bias[at] : 0)) * factor;
    }
}

// --- Optimizers ---------------------------------------------------------------------------------------------------------------

// The sum of the squares of a block's share, to place `before` plus the block.
KERNEL npair_squares(float *out, const float *x, P p) {
    SHARED_MEMORY(shared);
    float sum = 0;
    EACH_OF_VALUES(1) sum += x[at] * x[at];
    shared[threadIdx.x] = sum;
    for (uint32_t half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) shared[threadIdx.x] = sum += shared[threadIdx.x + half];
    }
    if (threadIdx.x == 0) out[p.before + blockIdx.x] = sum;
}

// As `AdamRule` has it, in place: a, c the decays of the moments and b, d what they lack of 1; e what the gradient is multiplied by,
// f what decay leaves of the value; g the rate over the first correction, h 1 over the second one, i the epsilon.
KERNEL npair_adam(float *value, float *first, float *second, const float *grad, P p) {
    EACH_OF_VALUES(1) {
        const float g = grad[at] * p.e;
        const float m = p.a * first[at] + p.b * g, v = p.c * second[at] + p.d * g * g;
        first[at] = m;
        second[at] = v;
        value[at] = value[at] * p.f - p.g * m / (sqrtf(v * p.h) + p.i);
    }
}
