// The instructions that C++ has no words for, each with a plain loop for a CPU: everything around them is then tested by
// running the kernels there (NPAIR_EMULATED; see the crate's README).
#pragma once
#include <stdint.h>
#ifndef NPAIR_EMULATED
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

typedef __nv_bfloat16 bf16;
typedef __half f16;

// All of a block's shared memory, whose size the launch says.
#ifdef NPAIR_EMULATED
#define SHARED_MEMORY(name) unsigned char *name = emulated::shared_memory()
#else
extern __shared__ __align__(16) unsigned char npair_shared_memory[];
#define SHARED_MEMORY(name) unsigned char *name = npair_shared_memory
#endif

template <class A, class B> struct Same { static constexpr bool value = false; };
template <class A> struct Same<A, A> { static constexpr bool value = true; };

constexpr float LOG2E = 1.4426950408889634f;
constexpr float LOG2E_REST = 1.9259630e-8f; // of log2 e, which f32 leaves
constexpr float LN2 = 0.6931471805599453f;
constexpr uint32_t WARP = 32;
constexpr uint32_t EVERY = 0xffffffffu;

template <class T> struct Number;
template <> struct Number<float> {
    static __device__ __forceinline__ float wide(float v) { return v; }
    static __device__ __forceinline__ float narrow(float v) { return v; }
};
template <> struct Number<bf16> {
    static __device__ __forceinline__ float wide(bf16 v) { return __bfloat162float(v); }
    static __device__ __forceinline__ bf16 narrow(float v) { return __float2bfloat16_rn(v); }
};
template <> struct Number<f16> {
    static __device__ __forceinline__ float wide(f16 v) { return __half2float(v); }
    static __device__ __forceinline__ f16 narrow(float v) { return __float2half_rn(v); }
};

template <class T> static __device__ __forceinline__ float wide(T v) { return Number<T>::wide(v); }
template <class T> static __device__ __forceinline__ T narrow(float v) { return Number<T>::narrow(v); }

// Two values as one word, the first one low.
template <class T> static __device__ __forceinline__ uint32_t pair(float low, float high) {
    union { T v[2]; uint32_t word; } u;
    u.v[0] = narrow<T>(low);
    u.v[1] = narrow<T>(high);
    return u.word;
}

// Entry by entry the product of two pairs.
template <class T> static __device__ __forceinline__ uint32_t times(uint32_t a, uint32_t b) {
    union { T v[2]; uint32_t word; } x, y, z;
    x.word = a;
    y.word = b;
#ifdef NPAIR_EMULATED
    z.v[0] = narrow<T>(wide(x.v[0]) * wide(y.v[0]));
    z.v[1] = narrow<T>(wide(x.v[1]) * wide(y.v[1]));
#else
    z.v[0] = __hmul(x.v[0], y.v[0]); // paired by the compiler
    z.v[1] = __hmul(x.v[1], y.v[1]);
#endif
    return z.word;
}

// 16 bytes from global to shared memory, not waited for; zeros where they lie outside.
static __device__ __forceinline__ void copy16(void *shared, const void *global, bool inside) {
#ifdef NPAIR_EMULATED
    if (inside) memcpy(shared, global, 16);
    else memset(shared, 0, 16);
#else
    const uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
    const int bytes = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
#endif
}

// Closes a group of copies.
static __device__ __forceinline__ void copies_end() {
#ifndef NPAIR_EMULATED
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until all but the last `N` groups of copies of this thread have arrived.
template <int N> static __device__ __forceinline__ void copies_wait() {
#ifndef NPAIR_EMULATED
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#endif
}

// Four 8 x 8 matrices of 16-bit values: lane 8 i + j names row j of matrix i; every lane gets of matrix i the pair at
// (lane / 4, 2 (lane % 4)), or of its transpose.
template <bool TRANSPOSED> static __device__ __forceinline__ void load_matrices(uint32_t r[4], const void *row) {
#ifdef NPAIR_EMULATED
    const uint32_t lane = threadIdx.x % WARP;
    for (uint32_t i = 0; i < 4; i++) {
        const uint16_t *low = (const uint16_t *)__shfl_sync(EVERY, row, 8 * i + (TRANSPOSED ? 2 * (lane % 4) : lane / 4));
        const uint16_t *high = (const uint16_t *)__shfl_sync(EVERY, row, 8 * i + (TRANSPOSED ? 2 * (lane % 4) + 1 : lane / 4));
        const uint32_t a = TRANSPOSED ? low[lane / 4] : low[2 * (lane % 4)];
        const uint32_t b = TRANSPOSED ? high[lane / 4] : high[2 * (lane % 4) + 1];
        r[i] = a | b << 16;
    }
#else
    const uint32_t from = (uint32_t)__cvta_generic_to_shared(row);
    if (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from) : "memory");
#endif
}

// d += a b for 16 x 16 times 16 x 8, sums in f32. With g = lane / 4 and t = lane % 4 a lane holds of a the pairs at
// (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8), of b those down from (2t, g) and (2t + 8, g), and of d
// (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
template <class T> static __device__ __forceinline__ void multiply16(float d[4], const uint32_t a[4], const uint32_t b[2]) {
#ifdef NPAIR_EMULATED
    struct Held { uint32_t a[4], b[2]; };
    const Held mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    emulated::with_warp(mine, [&](const Held *of) {
        auto value = [](uint32_t word, uint32_t high) {
            union { uint32_t word; T v[2]; } u;
            u.word = word;
            return wide(u.v[high]);
        };
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t row = g + 8 * (i / 2), column = 2 * t + i % 2;
            double sum = d[i];
            for (uint32_t k = 0; k < 16; k++) {
                const float x = value(of[row % 8 * 4 + k % 8 / 2].a[row / 8 + 2 * (k / 8)], k % 2);
                sum += (double)x * value(of[column * 4 + k % 8 / 2].b[k / 8], k % 2);
            }
            d[i] = (float)sum;
        }
    });
#else
    if constexpr (Same<T, bf16>::value)
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                     : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// The nearest number with 10 bits behind the point, as f32.
static __device__ __forceinline__ float tf32(float v) {
#ifdef NPAIR_EMULATED
    uint32_t bits;
    memcpy(&bits, &v, 4);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & ~0x1fffu; // halves away from zero
    memcpy(&v, &bits, 4);
    return v;
#else
    uint32_t bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
    return __uint_as_float(bits);
#endif
}

// d += a b for 16 x 8 times 8 x 8 of tf32 numbers, sums in f32. A lane holds of a (g, t), (g + 8, t), (g, t + 4),
// (g + 8, t + 4), of b (t, g), (t + 4, g), and of d what multiply16 gives it.
static __device__ __forceinline__ void multiply8(float d[4], const float a[4], const float b[2]) {
#ifdef NPAIR_EMULATED
    struct Held { float a[4], b[2]; };
    const Held mine = {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}};
    const uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    emulated::with_warp(mine, [&](const Held *of) {
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t row = g + 8 * (i / 2), column = 2 * t + i % 2;
            double sum = d[i];
            for (uint32_t k = 0; k < 8; k++)
                sum += (double)of[row % 8 * 4 + k % 4].a[row / 8 + 2 * (k / 4)] * of[column * 4 + k % 4].b[k / 4];
            d[i] = (float)sum;
        }
    });
#else
    const uint32_t *x = (const uint32_t *)a, *y = (const uint32_t *)b;
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
#endif
}

// 2^v within two units in the last place, and 0 below 2^-126.
static __device__ __forceinline__ float exp2_fast(float v) {
#ifdef NPAIR_EMULATED
    return exp2f(v);
#else
    float r;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(v));
    return r;
#endif
}

// log(1 + v) for v in [0, 1], to 2e-6 of it.
static __device__ __forceinline__ float log1p_fast(float v) {
    // Below 1/8 by its series, whose next term is v^7 / 7; the logarithm near 1 is good to 2^-22, not to its digits.
    const float series = v * fmaf(v, fmaf(v, fmaf(v, fmaf(v, fmaf(v, -1.f / 6, 0.2f), -0.25f), 1.f / 3), -0.5f), 1.f);
#ifdef NPAIR_EMULATED
    const float log = log1pf(v);
#else
    const float log = __log2f(1.f + v) * LN2;
#endif
    return v < 0.125f ? series : log;
}

// 1 / v within two units in the last place.
static __device__ __forceinline__ float reciprocal(float v) {
#ifdef NPAIR_EMULATED
    return 1.f / v;
#else
    return __fdividef(1.f, v);
#endif
}

// The largest, and the sum, over the four lanes that share a row.
static __device__ __forceinline__ float largest_of_four(float v) {
    v = fmaxf(v, __shfl_xor_sync(EVERY, v, 1));
    return fmaxf(v, __shfl_xor_sync(EVERY, v, 2));
}
static __device__ __forceinline__ float sum_of_four(float v) {
    v += __shfl_xor_sync(EVERY, v, 1);
    return v + __shfl_xor_sync(EVERY, v, 2);
}

// The sum over a warp, in every lane.
static __device__ __forceinline__ float sum_of_warp(float v) {
    for (uint32_t m = WARP / 2; m; m /= 2) v += __shfl_xor_sync(EVERY, v, m);
    return v;
}

// Whole numbers that sort as floats do.
static __device__ __forceinline__ uint32_t order_of(float v) {
    union { float f; uint32_t bits; } u;
    u.f = v + 0.f; // one zero
    return u.bits & 0x80000000u ? ~u.bits : u.bits | 0x80000000u;
}
static __device__ __forceinline__ float of_order(uint32_t order) {
    union { float f; uint32_t bits; } u;
    u.bits = order & 0x80000000u ? order & 0x7fffffffu : ~order;
    return u.f;
}

// The nearer a row the greater its key; of equally near ones the earlier has the greater.
static __device__ __forceinline__ unsigned long long key_of(float closeness, uint32_t index) {
    return (unsigned long long)order_of(closeness) << 32 | (uint32_t)~index;
}
