// Elementwise kernels for one instruction set; see simd_target.h.
#include "ck_pointwise.h"
#include "simd_math.h"

// A row's last elements go through the same vector arithmetic as the others, so that a value does not depend on its
// place.
#define BINARY_KERNEL(name, expression)                                                                             \
  SIMD_INLINE simd_float SIMD_NAME(name##_of)(simd_float a, simd_float b) { return expression; }                    \
  static void SIMD_NAME(name)(                                                                                      \
      float *result, size_t rows, size_t columns, const float *a, size_t a_row, size_t a_column, const float *b,    \
      size_t b_row, size_t b_column) {                                                                              \
    for (size_t row = 0; row < rows; row++, result += columns, a += a_row, b += b_row) {                            \
      size_t i = 0;                                                                                                 \
      if (a_column && b_column) {                                                                                   \
        for (; i + SIMD_WIDTH <= columns; i += SIMD_WIDTH)                                                          \
          simd_store(result + i, SIMD_NAME(name##_of)(simd_load(a + i), simd_load(b + i)));                         \
        if (i < columns)                                                                                            \
          simd_store_partial(                                                                                       \
              result + i,                                                                                           \
              SIMD_NAME(name##_of)(simd_load_partial(a + i, columns - i), simd_load_partial(b + i, columns - i)),   \
              columns - i);                                                                                         \
      } else if (a_column) {                                                                                        \
        const simd_float other = simd_broadcast(*b);                                                                \
        for (; i + SIMD_WIDTH <= columns; i += SIMD_WIDTH)                                                          \
          simd_store(result + i, SIMD_NAME(name##_of)(simd_load(a + i), other));                                    \
        if (i < columns)                                                                                            \
          simd_store_partial(                                                                                       \
              result + i, SIMD_NAME(name##_of)(simd_load_partial(a + i, columns - i), other), columns - i);         \
      } else {                                                                                                      \
        const simd_float other = simd_broadcast(*a);                                                                \
        const simd_float single = simd_broadcast(*b);                                                               \
        for (; i < columns; i += SIMD_WIDTH) {                                                                      \
          const size_t lanes = columns - i < SIMD_WIDTH ? columns - i : SIMD_WIDTH;                                 \
          const simd_float value = b_column ? simd_load_partial(b + i, lanes) : single;                             \
          simd_store_partial(result + i, SIMD_NAME(name##_of)(other, value), lanes);                                \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
  }

#define UNARY_KERNEL(name, expression)                                                                    \
  SIMD_INLINE simd_float SIMD_NAME(name##_of)(simd_float x, float p, float q) { return expression; }      \
  static void SIMD_NAME(name)(float *result, const float *input, size_t count, float p, float q) {        \
    size_t i = 0;                                                                                         \
    for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH)                                                      \
      simd_store(result + i, SIMD_NAME(name##_of)(simd_load(input + i), p, q));                           \
    if (i < count)                                                                                        \
      simd_store_partial(                                                                                 \
          result + i, SIMD_NAME(name##_of)(simd_load_partial(input + i, count - i), p, q), count - i);    \
  }

#define ONE_WHERE(mask) (simd_float)((mask) & (simd_int)simd_broadcast(1.0f))

BINARY_KERNEL(add, a + b)
BINARY_KERNEL(subtract, a - b)
BINARY_KERNEL(multiply, a *b)
BINARY_KERNEL(divide, a / b)
BINARY_KERNEL(maximum, simd_maximum(a, b))
BINARY_KERNEL(minimum, simd_minimum(a, b))
BINARY_KERNEL(greater, ONE_WHERE(a > b))
BINARY_KERNEL(greater_equal, ONE_WHERE(a >= b))
BINARY_KERNEL(equal, ONE_WHERE(a == b))

UNARY_KERNEL(scale_offset, simd_multiply_add(x, simd_broadcast(p), simd_broadcast(q)))
UNARY_KERNEL(exponential, simd_exp(x))
UNARY_KERNEL(logarithm, simd_log(x))
UNARY_KERNEL(square_root, __builtin_elementwise_sqrt(x))
UNARY_KERNEL(reciprocal, 1.0f / x)
UNARY_KERNEL(absolute_value, (simd_float)((simd_int)x & 0x7FFFFFFF))
UNARY_KERNEL(clamp, simd_minimum(simd_maximum(x, simd_broadcast(p)), simd_broadcast(q)))
UNARY_KERNEL(leaky_rectifier, simd_select(x > simd_broadcast(0), x, x *p))
UNARY_KERNEL(sigmoid, simd_sigmoid(x))
UNARY_KERNEL(softplus, simd_softplus(x))

static void SIMD_NAME(leaky_rectifier_gradient)(
    float *result, const float *x, const float *gradient, size_t count, float slope) {
  for (size_t i = 0; i < count; i += SIMD_WIDTH) {
    if (i + SIMD_WIDTH <= count) {
      const simd_float g = simd_load(gradient + i);
      simd_store(result + i, simd_select(simd_load(x + i) > simd_broadcast(0), g, g * slope));
    } else {
      const simd_float g = simd_load_partial(gradient + i, count - i);
      const simd_float value = simd_load_partial(x + i, count - i);
      simd_store_partial(result + i, simd_select(value > simd_broadcast(0), g, g * slope), count - i);
    }
  }
}

static void SIMD_NAME(scaled_add)(
    float *result, const float *a, float a_scale, const float *b, float b_scale, size_t count) {
  const simd_float b_factor = simd_broadcast(b_scale);
  size_t i = 0;
  for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH)
    simd_store(result + i, simd_multiply_add(simd_load(b + i), b_factor, simd_load(a + i) * a_scale));
  if (i < count) {
    const simd_float x = simd_load_partial(a + i, count - i), y = simd_load_partial(b + i, count - i);
    simd_store_partial(result + i, simd_multiply_add(y, b_factor, x * a_scale), count - i);
  }
}

static void SIMD_NAME(select)(
    float *result, const float *condition, const float *a, const float *b, size_t count) {
  for (size_t i = 0; i < count; i++) result[i] = condition[i] != 0 ? a[i] : b[i];
}

/// Every product and sum is rounded by itself, as written: that is what `momentum_step` promises.
SIMD_INLINE void SIMD_NAME(momentum_vector)(
    float *new_parameter, float *new_momentum, simd_float parameter, simd_float momentum, simd_float gradient,
    ck_momentum_step step, size_t lanes) {
  const simd_float scaled = gradient * step.gradient_factor;
  const simd_float decay = parameter * step.weight_decay;
  const simd_float direction = scaled + decay;
  const simd_float kept = momentum * step.momentum;
  const simd_float moved = kept + direction;
  const simd_float ahead = moved * step.momentum;
  const simd_float way = step.uses_nesterov ? direction + ahead : moved;
  const simd_float change = way * step.rate;
  const simd_float result = parameter - change;
  if (lanes == SIMD_WIDTH) {
    simd_store(new_momentum, moved);
    simd_store(new_parameter, result);
  } else {
    simd_store_partial(new_momentum, moved, lanes);
    simd_store_partial(new_parameter, result, lanes);
  }
}

static void SIMD_NAME(momentum_step)(
    float *new_parameter, float *new_momentum, const float *parameter, const float *momentum, const float *gradient,
    size_t count, ck_momentum_step step) {
  size_t i = 0;
  for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH)
    SIMD_NAME(momentum_vector)(
        new_parameter + i, new_momentum + i, simd_load(parameter + i), simd_load(momentum + i),
        simd_load(gradient + i), step, SIMD_WIDTH);
  if (i < count)
    SIMD_NAME(momentum_vector)(
        new_parameter + i, new_momentum + i, simd_load_partial(parameter + i, count - i),
        simd_load_partial(momentum + i, count - i), simd_load_partial(gradient + i, count - i), step, count - i);
}

const ck_pointwise_kernels SIMD_NAME(ck_pointwise) = {
    .add = SIMD_NAME(add),
    .subtract = SIMD_NAME(subtract),
    .multiply = SIMD_NAME(multiply),
    .divide = SIMD_NAME(divide),
    .maximum = SIMD_NAME(maximum),
    .minimum = SIMD_NAME(minimum),
    .greater = SIMD_NAME(greater),
    .greater_equal = SIMD_NAME(greater_equal),
    .equal = SIMD_NAME(equal),
    .scale_offset = SIMD_NAME(scale_offset),
    .exponential = SIMD_NAME(exponential),
    .logarithm = SIMD_NAME(logarithm),
    .square_root = SIMD_NAME(square_root),
    .reciprocal = SIMD_NAME(reciprocal),
    .absolute_value = SIMD_NAME(absolute_value),
    .clamp = SIMD_NAME(clamp),
    .leaky_rectifier = SIMD_NAME(leaky_rectifier),
    .sigmoid = SIMD_NAME(sigmoid),
    .softplus = SIMD_NAME(softplus),
    .leaky_rectifier_gradient = SIMD_NAME(leaky_rectifier_gradient),
    .scaled_add = SIMD_NAME(scaled_add),
    .select = SIMD_NAME(select),
    .momentum_step = SIMD_NAME(momentum_step),
};
