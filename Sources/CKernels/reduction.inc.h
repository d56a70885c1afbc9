// Sums and maxima for one instruction set; see simd_target.h.
#include "ck_reduction.h"

enum { SIMD_NAME(sum_block) = 1024 };

#define SUM_KERNEL(name, step)                                                  \
  static double SIMD_NAME(name)(const float *input, size_t count) {                      \
    double total = 0;                                                                    \
    while (count > 0) {                                                                  \
      const size_t block = count < SIMD_NAME(sum_block) ? count : SIMD_NAME(sum_block);  \
      simd_float s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};                                 \
      size_t i = 0;                                                                      \
      for (; i + 4 * SIMD_WIDTH <= block; i += 4 * SIMD_WIDTH) {                         \
        simd_float x = simd_load(input + i);                                             \
        simd_float sum = s0;                                                             \
        s0 = step;                                                                       \
        x = simd_load(input + i + SIMD_WIDTH);                                           \
        sum = s1;                                                                        \
        s1 = step;                                                                       \
        x = simd_load(input + i + 2 * SIMD_WIDTH);                                       \
        sum = s2;                                                                        \
        s2 = step;                                                                       \
        x = simd_load(input + i + 3 * SIMD_WIDTH);                                       \
        sum = s3;                                                                        \
        s3 = step;                                                                       \
      }                                                                                  \
      for (; i < block; i += SIMD_WIDTH) {                                               \
        const size_t lanes = block - i < SIMD_WIDTH ? block - i : SIMD_WIDTH;            \
        const simd_float x = simd_load_partial(input + i, lanes), sum = s0;              \
        s0 = step;                                                                       \
      }                                                                                  \
      total += simd_sum_lanes((s0 + s1) + (s2 + s3));                                    \
      input += block;                                                                    \
      count -= block;                                                                    \
    }                                                                                    \
    return total;                                                                        \
  }

SUM_KERNEL(sum, sum + x)
SUM_KERNEL(sum_of_squares, simd_multiply_add(x, x, sum))

static float SIMD_NAME(maximum)(const float *x, size_t count) {
  size_t i = 0;
  float result = x[0];
  if (count >= SIMD_WIDTH) {
    simd_float best = simd_load(x);
    for (i = SIMD_WIDTH; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) best = simd_maximum(simd_load(x + i), best);
    result = best[0];
    for (int lane = 1; lane < SIMD_WIDTH; lane++)
      result = best[lane] > result || best[lane] != best[lane] ? best[lane] : result;
  }
  for (; i < count; i++) result = x[i] > result || x[i] != x[i] ? x[i] : result;
  return result;
}

static void SIMD_NAME(add_columns)(double *sums, const float *x, size_t rows, size_t columns) {
  // Float32 sums of few rows each, then double: a value of 1e4 with a spread of 1 keeps its digits.
  const size_t block = 32;
  for (size_t first = 0; first < rows; first += block) {
    const size_t count = rows - first < block ? rows - first : block;
    const float *start = x + first * columns;
    for (size_t c = 0; c < columns; c += SIMD_WIDTH) {
      const size_t lanes = columns - c < SIMD_WIDTH ? columns - c : SIMD_WIDTH;
      simd_float s0 = {0}, s1 = {0};
      size_t r = 0;
      if (lanes == SIMD_WIDTH) {
        for (; r + 2 <= count; r += 2) {
          s0 += simd_load(start + r * columns + c);
          s1 += simd_load(start + (r + 1) * columns + c);
        }
      }
      for (; r < count; r++) s0 += simd_load_partial(start + r * columns + c, lanes);
      s0 += s1;
      if (lanes == SIMD_WIDTH)
        for (size_t lane = 0; lane < SIMD_WIDTH; lane++) sums[c + lane] += (double)s0[lane];
      else
        for (size_t lane = 0; lane < lanes; lane++) sums[c + lane] += (double)s0[lane];
    }
  }
}

static void SIMD_NAME(maximize_columns)(float *maxima, const float *x, size_t rows, size_t columns) {
  for (size_t c = 0; c < columns; c += SIMD_WIDTH) {
    const size_t lanes = columns - c < SIMD_WIDTH ? columns - c : SIMD_WIDTH;
    simd_float best = simd_load_partial(maxima + c, lanes);
    for (size_t r = 0; r < rows; r++) best = simd_maximum(simd_load_partial(x + r * columns + c, lanes), best);
    simd_store_partial(maxima + c, best, lanes);
  }
}

static void SIMD_NAME(sum_rows)(float *sums, const float *x, size_t rows, size_t columns, double scale) {
  for (size_t r = 0; r < rows; r++, x += columns) {
    double sum = 0;
    if (columns < 2 * SIMD_WIDTH) {
      for (size_t c = 0; c < columns; c++) sum += (double)x[c];
    } else {
      sum = SIMD_NAME(sum)(x, columns);
    }
    sums[r] = (float)(sum * scale);
  }
}

const ck_reduction_kernels SIMD_NAME(ck_reduction) = {
    .sum = SIMD_NAME(sum),
    .sum_of_squares = SIMD_NAME(sum_of_squares),
    .maximum = SIMD_NAME(maximum),
    .add_columns = SIMD_NAME(add_columns),
    .maximize_columns = SIMD_NAME(maximize_columns),
    .sum_rows = SIMD_NAME(sum_rows),
};
