// What every kernel is told beside its buffers: the same fields in the same order as `Params` of npair-similarity.
#pragma once
#include <stdint.h>

struct Params {
    uint32_t rows;         // queries of this launch
    uint32_t columns;      // gallery rows; of a search, the end of this launch's
    uint32_t width;        // D of a side, or of what is written
    uint32_t stride;       // values from row to row of a padded side
    uint32_t first_row;    // the first query of this launch among all
    uint32_t first_column; // the first gallery row of this launch
    uint32_t line;         // entries from row to row of the matrix kept meanwhile
    uint32_t tiles;        // tiles of columns
    uint32_t mask;         // a Mask
    uint32_t kind;         // a Kind
    uint32_t parts;        // sums that are added up
    uint32_t flags;        // of the kernel
    uint32_t k;            // neighbours
    uint32_t capacity;     // candidates of a row
    uint32_t absent;       // bit i: buffer i is not there; here its address says it too
    float scale;           // of a product
    float share;           // of a row
};

enum Mask : uint32_t { ALL = 0, OFF_DIAGONAL = 1, SAME_CLASS = 2, SAME_CLASS_OFF_DIAGONAL = 3, OTHER_CLASS = 4 };
enum Kind : uint32_t { LOG_SUM_EXP = 0, LOG1P_SUM_EXP = 1, SOFTPLUS_SUM = 2 };

static __device__ __forceinline__ bool of_classes(uint32_t mask) { return mask >= SAME_CLASS; }
