// The layers' kernels as a library of a CPU: every kernel by its name, and one function that runs it.
#include "cuda.h"
#define NPAIR_EMULATED
inline float rsqrtf(float v) { return 1 / std::sqrt(v); }
#include "../kernels/layers.cu"

extern "C" int npair_launch(void *kernel, const uint32_t *grid, uint32_t threads, uint32_t shared, void **buffers, uint32_t count,
                            const LayerParams *p, int reverse) {
    return launch(kernel, grid, threads, shared, buffers, count, *p, reverse);
}
