// Softmax over the channels of channels-last rows.
#pragma once

#include <stddef.h>

#include "ck_instruction_set.h"

typedef struct ck_softmax_kernels {
  /// y[r, c] = e^x[r, c] / sum over c.
  void (*softmax)(float *y, const float *x, size_t rows, size_t channels);
  /// y[r, c] = x[r, c] - ln(sum over c of e^x).
  void (*log_softmax)(float *y, const float *x, size_t rows, size_t channels);
  /// result = y * (gradient - sum over c of gradient * y), y being the softmax.
  void (*softmax_gradient)(float *result, const float *y, const float *gradient, size_t rows, size_t channels);
  /// result = gradient - e^y * sum over c of gradient, y being the log-softmax.
  void (*log_softmax_gradient)(float *result, const float *y, const float *gradient, size_t rows, size_t channels);
} ck_softmax_kernels;

const ck_softmax_kernels *ck_softmax_kernels_for(ck_instruction_set level);
