// Sums and maxima. Sums add short blocks in float32 and the blocks in double precision.
#pragma once

#include <stddef.h>

#include "ck_instruction_set.h"

typedef struct ck_reduction_kernels {
  double (*sum)(const float *x, size_t count);
  double (*sum_of_squares)(const float *x, size_t count);
  /// The largest value, NaN if there is one; count is at least 1.
  float (*maximum)(const float *x, size_t count);
  /// sums[c] += the sum over rows of x[r, c], rows contiguous.
  void (*add_columns)(double *sums, const float *x, size_t rows, size_t columns);
  /// maxima[c] = the larger of it and every x[r, c].
  void (*maximize_columns)(float *maxima, const float *x, size_t rows, size_t columns);
  /// sums[r] = scale * the sum of row r.
  void (*sum_rows)(float *sums, const float *x, size_t rows, size_t columns, double scale);
} ck_reduction_kernels;

const ck_reduction_kernels *ck_reduction_kernels_for(ck_instruction_set level);
