// CUDA's words for kernels that run as fibers of a CPU. Compile the .cu files as C++17 with this included first
// (`-include cuda.h -DNPAIR_EMULATED`): what has no words here is behind functions of portable.cuh.
#pragma once
#include "fiber.h"
#include <algorithm>
#include <cmath>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict

using std::max;
using std::min;

namespace emulated {
struct Index { uint32_t x, y = 0, z = 0; };
inline Index thread_place() { return {thread_index()}; }
inline Index block_size() { return {block->threads, 1, 1}; }
inline Index block_place() { return {block->place.x, block->place.y, block->place.z}; }
inline Index grid_size() { return {block->grid.x, block->grid.y, block->grid.z}; }
} // namespace emulated
#define threadIdx (emulated::thread_place())
#define blockIdx (emulated::block_place())
#define blockDim (emulated::block_size())
#define gridDim (emulated::grid_size())

inline void __syncthreads() { emulated::block_barrier(); }
inline void __syncwarp(unsigned = ~0u) { emulated::warp_barrier(); }
template <class T> T __shfl_sync(unsigned, T v, uint32_t lane) { return emulated::of_lane(v, lane); }
template <class T> T __shfl_xor_sync(unsigned, T v, uint32_t mask) {
    return emulated::of_lane(v, (emulated::thread_index() % emulated::LANES) ^ mask);
}
// Fibers take turns: nothing comes between.
template <class T> T atomicAdd(T *at, T v) { const T old = *at; *at = old + v; return old; }
template <class T> T atomicMax(T *at, T v) { const T old = *at; *at = old > v ? old : v; return old; }

struct alignas(8) float2 { float x, y; };
inline float2 make_float2(float x, float y) { return {x, y}; }
struct alignas(16) uint4 { uint32_t x, y, z, w; };
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

struct __nv_bfloat16 { uint16_t bits; };
inline float __bfloat162float(__nv_bfloat16 v) {
    const uint32_t bits = (uint32_t)v.bits << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
inline __nv_bfloat16 __float2bfloat16_rn(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return {(uint16_t)(f != f ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}
struct __half { uint16_t bits; };
inline float __half2float(__half v) {
    _Float16 h;
    memcpy(&h, &v.bits, 2);
    return (float)h;
}
inline __half __float2half_rn(float f) {
    const _Float16 h = (_Float16)f;
    __half out;
    memcpy(&out.bits, &h, 2);
    return out;
}

// Runs a kernel that takes `count` buffers and a struct of parameters, by its address.
template <class P>
int launch(void *kernel, const uint32_t *grid, uint32_t threads, uint32_t shared, void **b, uint32_t count, const P &p, int reverse) {
    auto run = [&](auto call) { emulated::run({grid[0], grid[1], grid[2]}, threads, shared, reverse != 0, call); };
    typedef void *B;
    switch (count) {
    case 1: run([&] { ((void (*)(B, P))kernel)(b[0], p); }); return 0;
    case 2: run([&] { ((void (*)(B, B, P))kernel)(b[0], b[1], p); }); return 0;
    case 3: run([&] { ((void (*)(B, B, B, P))kernel)(b[0], b[1], b[2], p); }); return 0;
    case 4: run([&] { ((void (*)(B, B, B, B, P))kernel)(b[0], b[1], b[2], b[3], p); }); return 0;
    case 5: run([&] { ((void (*)(B, B, B, B, B, P))kernel)(b[0], b[1], b[2], b[3], b[4], p); }); return 0;
    case 6: run([&] { ((void (*)(B, B, B, B, B, B, P))kernel)(b[0], b[1], b[2], b[3], b[4], b[5], p); }); return 0;
    case 7: run([&] { ((void (*)(B, B, B, B, B, B, B, P))kernel)(b[0], b[1], b[2], b[3], b[4], b[5], b[6], p); }); return 0;
    case 8: run([&] { ((void (*)(B, B, B, B, B, B, B, B, P))kernel)(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], p); }); return 0;
    case 9: run([&] { ((void (*)(B, B, B, B, B, B, B, B, B, P))kernel)(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], p); }); return 0;
    case 10: run([&] { ((void (*)(B, B, B, B, B, B, B, B, B, B, P))kernel)(b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], p); }); return 0;
    default: return 1;
    }
}
