// The kernels as a library of a CPU: every kernel by its name, and one function that runs it. KERNELS is similarity.metal
// without what stands in [[ ]], which says where on a GPU an argument comes from.
#include KERNELS

extern "C" int npair_launch(void *entry, const uint32_t *grid, uint32_t threads, uint32_t shared, void **buffers, uint32_t count,
                            const Params *p, int reverse) {
    return launch(entry, grid, threads, shared, buffers, count, *p, reverse);
}
