// Copying rows, turning matrices, gathering weighted rows.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ck_instruction_set.h"

/// A place, counted in floats, and by what to multiply what is there.
typedef struct ck_weighted_tap {
  ptrdiff_t offset;
  float weight;
} ck_weighted_tap;

typedef struct ck_weighted_taps {
  const ck_weighted_tap *taps;
  size_t count;
} ck_weighted_taps;

typedef struct ck_movement_kernels {
  /// Copies `rows` rows of `row_bytes`; strides in bytes.
  void (*copy_rows)(
      void *destination, size_t destination_stride, const void *source, size_t source_stride, size_t row_bytes,
      size_t rows);
  /// destination[c * destination_stride + r] = source[r * source_stride + c], floats, strides in floats.
  void (*transpose)(
      float *destination, size_t destination_stride, const float *source, size_t source_stride, size_t rows,
      size_t columns);
  /// result[i, c] = the sum over the row taps r and column i's taps t of r.weight * t.weight * base[r.offset + t.offset +
  /// c]; those of column i are taps[first_tap[i]] ... taps[first_tap[i + 1] - 1].
  void (*weighted_columns)(
      float *result, const float *base, ck_weighted_taps rows, const ck_weighted_tap *taps, const size_t *first_tap,
      size_t columns, size_t channels);
} ck_movement_kernels;

const ck_movement_kernels *ck_movement_kernels_for(ck_instruction_set level);
