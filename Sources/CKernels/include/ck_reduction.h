// Sums and maxima. Sums add short blocks in float32 and the blocks in double precision, where nothing else is said.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ck_instruction_set.h"

typedef struct ck_reduction_kernels {
  double (*sum)(const float *x, size_t count);
  /// In double precision throughout: squares of all finite values are finite.
  double (*sum_of_squares)(const float *x, size_t count);
  /// The largest value, NaN if there is one; count is at least 1.
  float (*maximum)(const float *x, size_t count);
  /// sums[c] += the sum over rows of x[r, c], rows contiguous.
  void (*add_columns)(double *sums, const float *x, size_t rows, size_t columns);
  /// maxima[c] = the larger of it and every x[r, c].
  void (*maximize_columns)(float *maxima, const float *x, size_t rows, size_t columns);
  /// sums[r] = scale * the sum of row r.
  void (*sum_rows)(float *sums, const float *x, size_t rows, size_t columns, double scale);
  /// Adds to sums[0, k] the values map[v, k] of voxels with label k, to sums[1, k] those of all voxels, and to sums[2, k]
  /// the number of voxels with label k. Voxels with the label `ignored` do not count. Returns 0 where a label that counts
  /// is not in 0 ..< classes; then the sums mean nothing.
  int (*class_sums)(
      double *sums, const float *map, const int16_t *labels, size_t voxels, size_t classes, int32_t ignored);
  /// map[v, k] = all[k], with own[k] added where the label is k; zeros where it is `ignored`. Returns 0 where a label that
  /// counts is not in 0 ..< classes; then the map means nothing.
  int (*class_values)(
      float *map, const float *own, const float *all, const int16_t *labels, size_t voxels, size_t classes,
      int32_t ignored);
} ck_reduction_kernels;

const ck_reduction_kernels *ck_reduction_kernels_for(ck_instruction_set level);
