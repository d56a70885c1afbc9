// Elementwise arithmetic on float arrays.
#pragma once

#include <stddef.h>

#include "ck_instruction_set.h"

#pragma clang assume_nonnull begin

/// result[r, c] = f(a[r, c], b[r, c]) for contiguous rows of the result. An input has its own row stride, and its
/// column stride is 1, or 0 to use one value for a whole row. The result may be an input of the same layout.
typedef void (*ck_binary_kernel)(
    float *result, size_t rows, size_t columns, const float *a, size_t a_row, size_t a_column, const float *b,
    size_t b_row, size_t b_column);

/// result[i] = f(x[i]; p, q); result may be x.
typedef void (*ck_unary_kernel)(float *result, const float *x, size_t count, float p, float q);

/// With d = gradient_factor * gradient + weight_decay * parameter and m = momentum * old momentum + d, a step goes along d +
/// momentum * m with Nesterov's momentum and along m without, `rate` times as far.
typedef struct ck_momentum_step {
  float gradient_factor, weight_decay, momentum, rate;
  int uses_nesterov;
} ck_momentum_step;

typedef struct ck_pointwise_kernels {
  ck_binary_kernel _Nonnull add;
  ck_binary_kernel _Nonnull subtract;
  ck_binary_kernel _Nonnull multiply;
  ck_binary_kernel _Nonnull divide;
  ck_binary_kernel _Nonnull maximum;
  ck_binary_kernel _Nonnull minimum;
  /// 1 where the comparison of a with b holds, else 0.
  ck_binary_kernel _Nonnull greater;
  ck_binary_kernel _Nonnull greater_equal;
  ck_binary_kernel _Nonnull equal;

  /// p x + q
  ck_unary_kernel _Nonnull scale_offset;
  ck_unary_kernel _Nonnull exponential;
  ck_unary_kernel _Nonnull logarithm;
  ck_unary_kernel _Nonnull square_root;
  ck_unary_kernel _Nonnull reciprocal;
  ck_unary_kernel _Nonnull absolute_value;
  /// x held between p and q.
  ck_unary_kernel _Nonnull clamp;
  /// x where x > 0, else p x.
  ck_unary_kernel _Nonnull leaky_rectifier;
  ck_unary_kernel _Nonnull sigmoid;
  /// ln(1 + e^x)
  ck_unary_kernel _Nonnull softplus;

  /// result[i] = gradient[i] where x[i] > 0, else slope * gradient[i]; result may be an input.
  void (*leaky_rectifier_gradient)(float *result, const float *x, const float *gradient, size_t count, float slope);
  /// result[i] = a_scale * a[i] + b_scale * b[i]; result may be an input.
  void (*scaled_add)(float *result, const float *a, float a_scale, const float *b, float b_scale, size_t count);
  /// result[i] = condition[i] != 0 ? a[i] : b[i]; result may be an input.
  void (*select)(float *result, const float *condition, const float *a, const float *b, size_t count);
  /// A step of gradient descent with momentum, of `count` parameters; results may be inputs.
  void (*momentum_step)(
      float *new_parameter, float *new_momentum, const float *parameter, const float *momentum, const float *gradient,
      size_t count, ck_momentum_step step);
} ck_pointwise_kernels;

/// The kernels of the highest level that is compiled in and not above `level`.
const ck_pointwise_kernels *ck_pointwise_kernels_for(ck_instruction_set level);

#pragma clang assume_nonnull end
