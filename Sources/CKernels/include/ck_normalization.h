// Instance and batch normalisation over rows of channels, fused with a leaky rectifier.
#pragma once

#include <stddef.h>

#include "ck_instruction_set.h"

/// What one channel vector of an instance needs; every pointer holds `channels` floats.
typedef struct ck_normalization_terms {
  /// The mean, rounded; what rounding lost is inside `offset` and `normalized_offset`.
  const float *mean;
  /// y = (x - mean) * scale + offset
  const float *scale, *offset;
  /// (x - mean) * inverse + normalized_offset has mean 0 and variance 1.
  const float *inverse, *normalized_offset;
} ck_normalization_terms;

/// Rows of values that are added to others, as leaky((x - mean) * scale + offset, slope) with `channels` floats of each
/// term; null pointers where they are added as they are.
typedef struct ck_summand {
  const float *values;
  const float *mean, *scale, *offset;
  float slope;
} ck_summand;

typedef struct ck_normalization_kernels {
  /// Per channel, with d = x - first row: sums[c] = sum of d, squares[c] = sum of d * d. Rows are contiguous.
  void (*moments)(float *sums, float *squares, const float *x, size_t rows, size_t channels);
  /// y = leaky((x - mean) * scale + offset, slope); slope 1 is no activation.
  void (*apply)(float *y, const float *x, size_t rows, size_t channels, ck_normalization_terms terms, float slope);
  /// y = leaky(a + b, slope); y may be the values of a summand.
  void (*residual_sum)(float *y, size_t rows, size_t channels, ck_summand a, ck_summand b, float slope);
  /// Per channel: sums[c] = sum of g, products[c] = sum of g * normalized x, where g is the gradient before the
  /// activation.
  void (*gradient_sums)(
      float *sums, float *products, const float *gradient, const float *x, size_t rows, size_t channels,
      ck_normalization_terms terms, float slope);
  /// result = scale * g - constant[c] - linear[c] * normalized x; sums[c] = sum of it, unless null.
  void (*gradient)(
      float *result, float *sums, const float *gradient, const float *x, size_t rows, size_t channels,
      ck_normalization_terms terms, const float *constant, const float *linear, float slope);
} ck_normalization_kernels;

const ck_normalization_kernels *ck_normalization_kernels_for(ck_instruction_set level);
