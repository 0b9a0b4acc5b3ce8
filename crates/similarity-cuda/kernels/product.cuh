// One tile of a product, by all threads of a block: copies run ahead through shared memory, sums stay in registers.
#pragma once
#include "params.cuh"
#include "portable.cuh"

constexpr uint32_t THREADS = 256;
constexpr uint32_t TILE_ROWS = 128;
// Columns of a tile of the matrix, for which a row's entries have one exponent in common.
constexpr uint32_t TILE_COLUMNS = 256;
constexpr uint32_t STAGES = 3;
constexpr uint32_t SHARED = 96 << 10; // what a block asks for

// How numbers are multiplied.
struct Bf16 { typedef bf16 Value; static constexpr uint32_t STEPS = 16, DEPTH = 32; };
struct F16 { typedef f16 Value; static constexpr uint32_t STEPS = 16, DEPTH = 32; };
// f32 rounded to 10 bits: |error| of a product <= 2^-10 of it.
struct Tf32 { typedef float Value; static constexpr uint32_t STEPS = 8, DEPTH = 16; };
// f32 as two such numbers, three of the four products: |error| <= 2^-20.
struct Split { typedef float Value; static constexpr uint32_t STEPS = 8, DEPTH = 16; };
// f32 by multiply-adds of f32.
struct F32 { typedef float Value; static constexpr uint32_t STEPS = 8, DEPTH = 16; };

// How a factor lies: its rows (of the product) one after the other, or its steps.
enum class Lies { ByRows, BySteps };

// What the left factor's entries are multiplied by on their way: nothing, or a power of two for each of its rows, or for
// each of its steps.
enum class Scaled { No, ByRow, ByStep };

template <class P, uint32_t COUNT, Lies LIES> struct Side {
    typedef typename P::Value Value;
    static constexpr uint32_t EACH = 16 / sizeof(Value);          // values of a copy
    static constexpr uint32_t LINES = LIES == Lies::ByRows ? COUNT : P::DEPTH;
    static constexpr uint32_t LENGTH = LIES == Lies::ByRows ? P::DEPTH : COUNT;
    // Lines begin at other banks each: 16 bytes apart for ldmatrix; for f32 read by (g, t) 4 or 8 words.
    static constexpr uint32_t STRIDE = LENGTH + (LIES == Lies::BySteps && sizeof(Value) == 4 ? 8 : EACH);
    static constexpr uint32_t SIZE = LINES * STRIDE;

    // Copies the steps from `step` on of the rows from `row` on; `lines` and `length` end the factor as it lies.
    static __device__ __forceinline__ void copy(Value *to, const Value *from, uint32_t stride, uint32_t row, uint32_t step,
                                                uint32_t rows, uint32_t steps) {
        constexpr uint32_t PER_LINE = LENGTH / EACH, COPIES = LINES * PER_LINE;
        static_assert(COPIES % THREADS == 0, "every thread copies as much");
        const uint32_t line0 = LIES == Lies::ByRows ? row : step, at0 = LIES == Lies::ByRows ? step : row;
        const uint32_t lines = LIES == Lies::ByRows ? rows : steps, length = LIES == Lies::ByRows ? steps : rows;
#pragma unroll
        for (uint32_t i = 0; i < COPIES / THREADS; i++) {
            const uint32_t n = i * THREADS + threadIdx.x, line = n / PER_LINE, at = n % PER_LINE * EACH;
            const bool inside = line0 + line < lines && at0 + at < length;
            const Value *source = inside ? from + (size_t)(line0 + line) * stride + at0 + at : from;
            copy16(to + line * STRIDE + at, source, inside);
        }
    }

    static __device__ __forceinline__ uint32_t place(uint32_t row, uint32_t step) {
        return LIES == Lies::ByRows ? row * STRIDE + step : step * STRIDE + row;
    }
};

// A factor in global memory: values from line to line, and where it ends.
template <class Value> struct Factor {
    const Value *values;
    uint32_t stride, rows, steps;
};

template <class P, uint32_t COLUMNS, Lies LEFT, Lies RIGHT, Scaled SCALED> struct Product {
    typedef typename P::Value Value;
    typedef Side<P, TILE_ROWS, LEFT> Left;
    typedef Side<P, COLUMNS, RIGHT> Right;
    // Eight warps, two above each other: each has 64 rows and a quarter of the columns, 16 x 8 at a time.
    static constexpr uint32_t DOWN = 4, ACROSS = COLUMNS / 32;
    static constexpr uint32_t STAGE = Left::SIZE + Right::SIZE;
    static_assert(STAGES * STAGE * sizeof(Value) <= SHARED, "shared memory");
    static_assert(COLUMNS % 64 == 0 && TILE_ROWS == 128 && THREADS == 256, "warps");

    float sums[DOWN][ACROSS][4];

    // Where the sums belong in the tile: sum (i, j, n) at (row(i, n), column(j, n)).
    static __device__ __forceinline__ uint32_t row(uint32_t i, uint32_t n) {
        return threadIdx.x / WARP / 4 * 64 + i * 16 + n / 2 * 8 + threadIdx.x % WARP / 4;
    }
    static __device__ __forceinline__ uint32_t column(uint32_t j, uint32_t n) {
        return threadIdx.x / WARP % 4 * (COLUMNS / 4) + j * 8 + threadIdx.x % 4 * 2 + n % 2;
    }

    // Which of a thread's sums take part: bit 16 h + 2 j + c of word i says it of sum (i, j, 2 h + c). In most tiles all do.
    static __device__ __forceinline__ void takes_part(uint32_t (&words)[DOWN], uint32_t row0, uint32_t column0, const uint32_t *row_classes,
                                                      const uint32_t *column_classes, const Params &p) {
        static_assert(ACROSS == 8, "16 columns of a thread");
        const uint32_t query0 = p.first_row + row0;
        const bool crosses = query0 < column0 + COLUMNS && column0 < query0 + TILE_ROWS;
        const bool whole = row0 + TILE_ROWS <= p.rows && column0 + COLUMNS <= p.columns;
        const bool classes = of_classes(p.mask), off_diagonal = p.mask == OFF_DIAGONAL || p.mask == SAME_CLASS_OFF_DIAGONAL;
        if (whole && !classes && !(off_diagonal && crosses)) {
#pragma unroll
            for (uint32_t i = 0; i < DOWN; i++) words[i] = EVERY;
            return;
        }
        uint32_t of_row[DOWN][2];
#pragma unroll
        for (uint32_t i = 0; i < DOWN; i++) {
            words[i] = 0;
#pragma unroll
            for (uint32_t h = 0; h < 2; h++) {
                const uint32_t at = row0 + row(i, 2 * h);
                of_row[i][h] = classes && at < p.rows ? row_classes[p.first_row + at] : 0;
            }
        }
#pragma unroll 1
        for (uint32_t n = 0; n < 16; n++) {
            const uint32_t at = column0 + column(n / 2, n % 2);
            if (at >= p.columns) continue;
            const uint32_t of_column = classes ? column_classes[at] : 0;
#pragma unroll
            for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
                for (uint32_t h = 0; h < 2; h++) {
                    const uint32_t line = row0 + row(i, 2 * h);
                    const bool fits = !classes || (of_row[i][h] == of_column) == (p.mask != OTHER_CLASS);
                    const bool takes = line < p.rows && fits && !(off_diagonal && p.first_row + line == at);
                    words[i] |= (uint32_t)takes << (16 * h + n);
                }
        }
    }

    // Sums over the steps from `from` to `to` of left row (row0 + ..) times right row (column0 + ..). `scales` are those of
    // the rows or steps of the left factor, all of its own numbering, in lines of `scale_line` for every TILE_COLUMNS
    // steps (ByRow) or rows (ByStep).
    __device__ __forceinline__ void run(Value *shared, Factor<Value> left, uint32_t row0, Factor<Value> right, uint32_t column0,
                                        uint32_t from, uint32_t to, const float *scales, uint32_t scale_line) {
#pragma unroll
        for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
            for (uint32_t j = 0; j < ACROSS; j++)
#pragma unroll
                for (uint32_t n = 0; n < 4; n++) sums[i][j][n] = 0.f;
        const uint32_t blocks = to > from ? (to - from + P::DEPTH - 1) / P::DEPTH : 0;
        auto fetch = [&](uint32_t block) {
            if (block < blocks) {
                Value *stage = shared + block % STAGES * STAGE;
                const uint32_t step = from + block * P::DEPTH;
                Left::copy(stage, left.values, left.stride, row0, step, left.rows, min(left.steps, to));
                Right::copy(stage + Left::SIZE, right.values, right.stride, column0, step, right.rows, min(right.steps, to));
            }
            copies_end(); // also an empty one, so that groups are counted alike
        };
        for (uint32_t block = 0; block + 1 < STAGES; block++) fetch(block);
        for (uint32_t block = 0; block < blocks; block++) {
            copies_wait<STAGES - 2>();
            __syncthreads();
            fetch(block + STAGES - 1);
            const Value *stage = shared + block % STAGES * STAGE;
            add(stage, stage + Left::SIZE, row0, from + block * P::DEPTH, scales, scale_line);
        }
        copies_wait<0>();
        __syncthreads();
    }

  private:
    __device__ __forceinline__ void add(const Value *left, const Value *right, uint32_t row0, uint32_t step0,
                                        const float *scales, uint32_t scale_line) {
        const uint32_t lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4, warp = threadIdx.x / WARP;
        const uint32_t top = warp / 4 * 64, start = warp % 4 * (COLUMNS / 4);
        float of_row[DOWN][2];
        if constexpr (SCALED == Scaled::ByRow) {
#pragma unroll
            for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
                for (uint32_t h = 0; h < 2; h++)
                    of_row[i][h] = scales[(size_t)(step0 / TILE_COLUMNS) * scale_line + row0 + top + 16 * i + 8 * h + g];
        }
        const float *of_step = SCALED == Scaled::ByStep ? scales + (size_t)(row0 / TILE_COLUMNS) * scale_line + step0 : nullptr;
        // Of f32 one block of steps at a time, or the compiler takes minutes.
#pragma unroll(sizeof(Value) == 2 ? 2 : 1)
        for (uint32_t s = 0; s < P::DEPTH; s += P::STEPS) {
            if constexpr (sizeof(Value) == 2) {
                uint32_t a[DOWN][4], low = 0, high = 0;
                if constexpr (SCALED == Scaled::ByStep) {
                    low = pair<Value>(of_step[s + 2 * t], of_step[s + 2 * t + 1]);
                    high = pair<Value>(of_step[s + 2 * t + 8], of_step[s + 2 * t + 9]);
                }
#pragma unroll
                for (uint32_t i = 0; i < DOWN; i++) {
                    const uint32_t m = top + 16 * i;
                    if constexpr (LEFT == Lies::ByRows)
                        load_matrices<false>(a[i], left + Left::place(m + lane % 16, s + lane / 16 * 8));
                    else
                        load_matrices<true>(a[i], left + Left::place(m + lane / 8 % 2 * 8, s + lane % 8 + lane / 16 * 8));
                    if constexpr (SCALED == Scaled::ByRow) {
                        const uint32_t upper = pair<Value>(of_row[i][0], of_row[i][0]), lower = pair<Value>(of_row[i][1], of_row[i][1]);
                        a[i][0] = times<Value>(a[i][0], upper), a[i][1] = times<Value>(a[i][1], lower);
                        a[i][2] = times<Value>(a[i][2], upper), a[i][3] = times<Value>(a[i][3], lower);
                    }
                    if constexpr (SCALED == Scaled::ByStep) {
                        a[i][0] = times<Value>(a[i][0], low), a[i][1] = times<Value>(a[i][1], low);
                        a[i][2] = times<Value>(a[i][2], high), a[i][3] = times<Value>(a[i][3], high);
                    }
                }
#pragma unroll
                for (uint32_t j = 0; j < ACROSS; j += 2) {
                    const uint32_t n = start + 8 * j;
                    uint32_t b[4];
                    if constexpr (RIGHT == Lies::ByRows)
                        load_matrices<false>(b, right + Right::place(n + lane % 8 + lane / 16 * 8, s + lane / 8 % 2 * 8));
                    else
                        load_matrices<true>(b, right + Right::place(n + lane / 16 * 8, s + lane % 8 + lane / 8 % 2 * 8));
#pragma unroll
                    for (uint32_t i = 0; i < DOWN; i++) {
                        multiply16<Value>(sums[i][j], a[i], b);
                        multiply16<Value>(sums[i][j + 1], a[i], b + 2);
                    }
                }
            } else if constexpr (Same<P, F32>::value) {
#pragma unroll 2
                for (uint32_t k = 0; k < P::STEPS; k++) {
                    float x[DOWN][2];
#pragma unroll
                    for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
                        for (uint32_t h = 0; h < 2; h++) {
                            float v = left[Left::place(top + 16 * i + 8 * h + g, s + k)];
                            if constexpr (SCALED == Scaled::ByRow) v *= of_row[i][h];
                            if constexpr (SCALED == Scaled::ByStep) v *= of_step[s + k];
                            x[i][h] = v;
                        }
#pragma unroll
                    for (uint32_t j = 0; j < ACROSS; j++)
#pragma unroll
                        for (uint32_t c = 0; c < 2; c++) {
                            const float y = right[Right::place(start + 8 * j + 2 * t + c, s + k)];
#pragma unroll
                            for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
                                for (uint32_t h = 0; h < 2; h++) sums[i][j][2 * h + c] = fmaf(x[i][h], y, sums[i][j][2 * h + c]);
                        }
                }
            } else {
                constexpr bool SPLIT = Same<P, Split>::value;
                float a[DOWN][4], rest[SPLIT ? DOWN : 1][4];
#pragma unroll
                for (uint32_t i = 0; i < DOWN; i++)
#pragma unroll
                    for (uint32_t n = 0; n < 4; n++) {
                        const uint32_t step = s + t + n / 2 * 4;
                        float v = left[Left::place(top + 16 * i + n % 2 * 8 + g, step)];
                        if constexpr (SCALED == Scaled::ByRow) v *= of_row[i][n % 2];
                        if constexpr (SCALED == Scaled::ByStep) v *= of_step[step];
                        a[i][n] = tf32(v);
                        if constexpr (SPLIT) rest[i][n] = tf32(v - a[i][n]);
                    }
#pragma unroll
                for (uint32_t j = 0; j < ACROSS; j++) {
                    float b[2], over[2];
#pragma unroll
                    for (uint32_t n = 0; n < 2; n++) {
                        const float v = right[Right::place(start + 8 * j + g, s + t + 4 * n)];
                        b[n] = tf32(v);
                        if constexpr (SPLIT) over[n] = tf32(v - b[n]);
                    }
#pragma unroll
                    for (uint32_t i = 0; i < DOWN; i++) {
                        if constexpr (SPLIT) {
                            multiply8(sums[i][j], rest[i], b);
                            multiply8(sums[i][j], a[i], over);
                        }
                        multiply8(sums[i][j], a[i], b);
                    }
                }
            }
        }
    }
};
