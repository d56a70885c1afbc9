// Copying rows, turning matrices, gathering weighted rows.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ck_instruction_set.h"

typedef struct ck_movement_kernels {
  /// Copies `rows` rows of `row_bytes`; strides in bytes.
  void (*copy_rows)(
      void *destination, size_t destination_stride, const void *source, size_t source_stride, size_t row_bytes,
      size_t rows);
  /// destination[c * destination_stride + r] = source[r * source_stride + c], floats, strides in floats.
  void (*transpose)(
      float *destination, size_t destination_stride, const float *source, size_t source_stride, size_t rows,
      size_t columns);
  /// result[c] = the sum over taps of weights[t] * base[offsets[t] + c].
  void (*weighted_rows)(
      float *result, const float *base, const ptrdiff_t *offsets, const float *weights, size_t taps, size_t channels);
} ck_movement_kernels;

const ck_movement_kernels *ck_movement_kernels_for(ck_instruction_set level);
