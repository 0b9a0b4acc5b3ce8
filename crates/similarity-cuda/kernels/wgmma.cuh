// What compute capability 9.0 has beyond 8.0, each instruction in one function with a plain loop for a CPU: barriers that count bytes,
// copies of boxes by the copy engine, and products by a group of four warps whose factors lie in shared memory.
#pragma once
#include "portable.cuh"

constexpr uint32_t GROUP = 128; // threads of a group

// The values of a factor from line to line, as the driver writes it for the copy engine; the emulator's is in words.
#ifdef NPAIR_EMULATED
struct TensorMap {
    uint64_t address, width, rows, stride;
    uint32_t box_width, box_rows;
    uint64_t woven, rest[10];
};
static inline void expect_woven(const TensorMap *map, bool woven) {
    if ((map->woven != 0) != woven) fprintf(stderr, "a map that is %swoven\n", woven ? "not " : ""), abort();
}
#define TENSOR_MAP(name) const TensorMap *name
#define MAP(name) name
#else
struct alignas(64) TensorMap { uint64_t words[16]; };
#define TENSOR_MAP(name) const __grid_constant__ TensorMap name
#define MAP(name) &name
#endif

static __device__ __forceinline__ uint32_t shared_address(const void *at) {
#ifdef NPAIR_EMULATED
    return (uint32_t)((const unsigned char *)at - emulated::shared_memory());
#else
    return (uint32_t)__cvta_generic_to_shared(at);
#endif
}

// --- Barriers -------------------------------------------------------------------------------------------------------------

// A phase of a barrier ends when as many threads as it was made for have arrived and all bytes that were announced are there.
typedef uint64_t Barrier;

#ifdef NPAIR_EMULATED
struct BarrierState { uint16_t expected, pending; uint16_t phase, unused; };
// The bytes of a phase are there as soon as they are announced: copies are done at once.
static inline void barrier_step(BarrierState *b) {
    // Shared memory that nothing was made in is full of ones.
    if (b->expected == 0xffff || !b->pending) fprintf(stderr, "an arrival at what is no barrier\n"), abort();
    emulated::moved();
    if (--b->pending) return;
    b->pending = b->expected;
    b->phase ^= 1;
}
#endif

static __device__ __forceinline__ void barrier_init(Barrier *barrier, uint32_t arrivals) {
#ifdef NPAIR_EMULATED
    *(BarrierState *)barrier = {(uint16_t)arrivals, (uint16_t)arrivals, 0, 0};
#else
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
#endif
}

// Makes barriers that were just made known to the copy engine.
static __device__ __forceinline__ void barriers_made() {
#ifndef NPAIR_EMULATED
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

static __device__ __forceinline__ void barrier_arrive(Barrier *barrier) {
#ifdef NPAIR_EMULATED
    barrier_step((BarrierState *)barrier);
#else
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#endif
}

// Announces bytes, before they are copied, and arrives; in the emulator called after the copies.
static __device__ __forceinline__ void barrier_announce(Barrier *barrier, uint32_t bytes) {
#ifdef NPAIR_EMULATED
    (void)bytes;
    (void)barrier;
#else
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
#endif
}
// The end of the copies that were announced.
static __device__ __forceinline__ void barrier_copied(Barrier *barrier) {
#ifdef NPAIR_EMULATED
    barrier_step((BarrierState *)barrier);
#else
    (void)barrier;
#endif
}

// Waits until the phase of this parity has ended.
static __device__ __forceinline__ void barrier_wait(Barrier *barrier, uint32_t parity) {
#ifdef NPAIR_EMULATED
    while (((volatile BarrierState *)barrier)->phase == parity) emulated::yield();
#else
    uint32_t done = 0;
#ifdef NPAIR_IMPATIENT // for kernels that are new: an error in place of a machine that hangs
    uint32_t tries = 0;
#endif
    while (!done) {
        asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                     : "=r"(done) : "r"(shared_address(barrier)), "r"(parity) : "memory");
#ifdef NPAIR_IMPATIENT
        if (++tries > 20'000'000) __trap();
#endif
    }
#endif
}

// All threads of a group; `number` names it, from 1 on.
static __device__ __forceinline__ void group_barrier(uint32_t number) {
#ifdef NPAIR_EMULATED
    emulated::named_barrier(number, GROUP, false);
#else
    asm volatile("bar.sync %0, %1;" ::"r"(number), "n"(GROUP) : "memory");
#endif
}

// The same, and whether it is so for any of them.
static __device__ __forceinline__ bool any_of_group(uint32_t number, bool is) {
#ifdef NPAIR_EMULATED
    return emulated::named_barrier(number, GROUP, is);
#else
    uint32_t any;
    asm volatile("{\n.reg .pred p, q;\nsetp.ne.u32 p, %1, 0;\nbarrier.red.or.pred q, %2, %3, p;\nselp.u32 %0, 1, 0, q;\n}"
                 : "=r"(any) : "r"((uint32_t)is), "r"(number), "n"(GROUP) : "memory");
    return any;
#endif
}

// --- Copies ---------------------------------------------------------------------------------------------------------------

// Lines of 128 bytes have their chunks of 16 in another order in each of eight lines: the same bank for no two rows.
static __device__ __forceinline__ uint32_t swizzled(uint32_t address) { return address ^ (address >> 7 & 7) << 4; }

// A box of a factor from (row, column) on: 64 values of a line, as many lines as its map says, zeros outside.
static __device__ __forceinline__ void copy_box(void *shared, const TensorMap *map, Barrier *barrier, uint32_t column, uint32_t row) {
#ifdef NPAIR_EMULATED
    (void)barrier;
    expect_woven(map, false);
    unsigned char *memory = emulated::shared_memory();
    const uint32_t base = shared_address(shared);
    for (uint32_t r = 0; r < map->box_rows; r++)
        for (uint32_t c = 0; c < map->box_width; c++) {
            const bool inside = row + r < map->rows && column + c < map->width;
            const uint16_t *from = (const uint16_t *)map->address + (size_t)(row + r) * map->stride + column + c;
            const uint16_t value = inside ? *from : 0;
            memcpy(memory + swizzled(base + 128 * r + 2 * c), &value, 2);
        }
#else
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
                 ::"r"(shared_address(shared)), "l"(map), "r"(column), "r"(row), "r"(shared_address(barrier)) : "memory");
#endif
}

// 256 lines from 32 `group` on, every 32 in another order: line 8 q + 2 t + c of them is row 8 t + 2 q + c. A thread of a group then holds
// eight neighbours of a row in a row. All lines have to be there.
static __device__ __forceinline__ void copy_woven(void *shared, const TensorMap *map, Barrier *barrier, uint32_t column, uint32_t group) {
#ifdef NPAIR_EMULATED
    (void)barrier;
    expect_woven(map, true);
    unsigned char *memory = emulated::shared_memory();
    const uint32_t base = shared_address(shared);
    for (uint32_t r = 0; r < map->box_rows; r++)
        for (uint32_t c = 0; c < map->box_width; c++) {
            const size_t row = 32 * group + r / 32 * 32 + r % 8 / 2 * 8 + r % 32 / 8 * 2 + r % 2;
            const uint16_t *from = (const uint16_t *)map->address + row * map->stride + column + c;
            const uint16_t value = row < map->rows && column + c < map->width ? *from : 0;
            memcpy(memory + swizzled(base + 128 * r + 2 * c), &value, 2);
        }
#else
    asm volatile("cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %3, %3, %4}], [%5];"
                 ::"r"(shared_address(shared)), "l"(map), "r"(column), "r"(0), "r"(group), "r"(shared_address(barrier)) : "memory");
#endif
}

// What threads wrote to shared memory is there for the products, after a barrier.
static __device__ __forceinline__ void written_for_products() {
#ifndef NPAIR_EMULATED
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// --- Products -------------------------------------------------------------------------------------------------------------

// Where a factor lies in shared memory, in lines of 128 bytes with swizzled chunks. If its lines are rows (of 64 steps): the next
// eight rows are `down` bytes further. If they are steps (of 64 rows): the next eight steps are `down` bytes, the next 64 rows
// `across` bytes further.
static __device__ __forceinline__ uint64_t place_of(const void *shared, uint32_t across, uint32_t down) {
    const uint64_t swizzle128 = 1ull << 62;
    return swizzle128 | (uint64_t)(down >> 4) << 32 | (uint64_t)(across >> 4) << 16 | (shared_address(shared) & 0x3ffff) >> 4;
}

#ifdef NPAIR_EMULATED
template <class T> static inline float value_at(uint64_t place, bool by_steps, uint32_t row, uint32_t step) {
    const uint32_t start = (place & 0x3fff) << 4, across = (place >> 16 & 0x3fff) << 4, down = (place >> 32 & 0x3fff) << 4;
    const uint32_t offset = by_steps ? row / 64 * across + step / 8 * down + step % 8 * 128 + row % 64 * 2
                                     : row / 8 * down + row % 8 * 128 + step * 2;
    T value;
    memcpy(&value, emulated::shared_memory() + swizzled(start + offset), 2);
    return wide(value);
}
#endif

// Before the first product after other instructions have touched the sums or the factors.
static __device__ __forceinline__ void products_begin() {
#ifndef NPAIR_EMULATED
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}
// Keeps the compiler from moving what reads or writes sums across this.
static __device__ __forceinline__ void products_hold(float (&sums)[128]) {
#ifndef NPAIR_EMULATED
#pragma unroll
    for (uint32_t n = 0; n < 128; n++) asm volatile("" : "+f"(sums[n])::"memory");
#else
    (void)sums;
#endif
}
// Closes a group of products.
static __device__ __forceinline__ void products_end() {
#ifndef NPAIR_EMULATED
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}
// Waits until all but the last `N` groups are done, for all four warps: they multiply together, so that one thread may say for all of
// them that a factor is no longer needed.
template <int N> static __device__ __forceinline__ void products_wait() {
#ifdef NPAIR_EMULATED
    emulated::named_barrier(8 + threadIdx.x / GROUP, GROUP, false);
#else
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
#endif
}

// d = a b, or d += a b: 64 x 16 times 16 x 256 by a group, sums in f32, not waited for. With warp w, g = lane / 4 and t = lane % 4 a thread
// holds at 4 j + 2 h + c the sum at (16 w + g + 8 h, 8 j + 2 t + c).
template <class T, bool A_BY_STEPS, bool B_BY_STEPS>
static __device__ __forceinline__ void multiply_group(float (&d)[128], uint64_t a, uint64_t b, bool adds) {
#ifdef NPAIR_EMULATED
    const uint32_t thread = threadIdx.x % GROUP, row = thread / WARP * 16 + thread % WARP / 4;
    for (uint32_t h = 0; h < 2; h++) {
        float left[16];
        for (uint32_t k = 0; k < 16; k++) left[k] = value_at<T>(a, A_BY_STEPS, row + 8 * h, k);
        for (uint32_t j = 0; j < 32; j++)
            for (uint32_t c = 0; c < 2; c++) {
                float &sum = d[4 * j + 2 * h + c];
                double all = adds ? sum : 0.;
                for (uint32_t k = 0; k < 16; k++) all += (double)left[k] * value_at<T>(b, B_BY_STEPS, 8 * j + 2 * (thread % 4) + c, k);
                sum = (float)all;
            }
    }
#else
#define NPAIR_8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define NPAIR_64(i) NPAIR_8(i), NPAIR_8(i + 8), NPAIR_8(i + 16), NPAIR_8(i + 24), NPAIR_8(i + 32), NPAIR_8(i + 40), NPAIR_8(i + 48), NPAIR_8(i + 56)
#define NPAIR_WGMMA(type)                                                                                                          \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\nwgmma.mma_async.sync.aligned.m64n256k16.f32." type "." type " {"      \
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "                                      \
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "                            \
                 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "                            \
                 "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"  \
                 "}, %128, %129, p, 1, 1, %131, %132;\n}"                                                                          \
                 : NPAIR_64(0), NPAIR_64(64)                                                                                       \
                 : "l"(a), "l"(b), "r"((uint32_t)adds), "n"((int)A_BY_STEPS), "n"((int)B_BY_STEPS))
    if constexpr (Same<T, bf16>::value)
        NPAIR_WGMMA("bf16");
    else
        NPAIR_WGMMA("f16");
#undef NPAIR_WGMMA
#undef NPAIR_64
#undef NPAIR_8
#endif
}

// --- Registers ------------------------------------------------------------------------------------------------------------

// What this group gives up of its registers, or takes of those that others gave up.
template <int N> static __device__ __forceinline__ void registers_fewer() {
#ifndef NPAIR_EMULATED
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
#endif
}
template <int N> static __device__ __forceinline__ void registers_more() {
#ifndef NPAIR_EMULATED
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
#endif
}

// --- Sums in memory -------------------------------------------------------------------------------------------------------

// Adds two sums to what lies there, without waiting.
static __device__ __forceinline__ void add_pair(float *at, float a, float b) {
#ifdef NPAIR_EMULATED
    at[0] += a;
    at[1] += b;
#else
    asm volatile("red.relaxed.gpu.global.add.v2.f32 [%0], {%1, %2};" ::"l"(at), "f"(a), "f"(b) : "memory");
#endif
}
