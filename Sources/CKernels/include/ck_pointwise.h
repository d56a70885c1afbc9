// Elementwise arithmetic on contiguous float arrays.
#pragma once

#include <stddef.h>

#include "ck_instruction_set.h"

typedef struct ck_pointwise_kernels {
  /// result[i] = a[i] + b[i]; result may be a or b.
  void (*add)(float *result, const float *a, const float *b, size_t count);
} ck_pointwise_kernels;

/// The kernels of the highest level that is compiled in and not above `level`.
const ck_pointwise_kernels *ck_pointwise_kernels_for(ck_instruction_set level);
