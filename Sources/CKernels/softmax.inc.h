// Softmax kernels for one instruction set; see simd_target.h.
//
// SIMD_WIDTH rows are worked on at once, one row a lane, because segmentation has few channels: their values are
// turned through a buffer of [channel][row]. Rows with more channels than the buffer holds go through it in parts.
#include "ck_softmax.h"
#include "simd_math.h"

enum { SIMD_NAME(part) = 64 };

typedef struct {
  _Alignas(64) float values[SIMD_NAME(part)][SIMD_WIDTH];
} SIMD_NAME(turned);

SIMD_INLINE void SIMD_NAME(turn_in)(
    SIMD_NAME(turned) * buffer, const float *x, size_t rows, size_t channels, size_t first, size_t count) {
  for (size_t row = 0; row < SIMD_WIDTH; row++) {
    // Lanes without a row repeat the last row; what they hold is never stored.
    const float *source = x + (row < rows ? row : rows - 1) * channels + first;
    for (size_t c = 0; c < count; c++) buffer->values[c][row] = source[c];
  }
}

SIMD_INLINE void SIMD_NAME(turn_out)(
    float *y, const SIMD_NAME(turned) * buffer, size_t rows, size_t channels, size_t first, size_t count) {
  for (size_t row = 0; row < rows; row++) {
    float *destination = y + row * channels + first;
    for (size_t c = 0; c < count; c++) destination[c] = buffer->values[c][row];
  }
}

SIMD_INLINE void SIMD_NAME(softmax_block)(float *y, const float *x, size_t rows, size_t channels, int logarithmic) {
  SIMD_NAME(turned) buffer;
  simd_float maximum = simd_broadcast(-INFINITY), sum = simd_broadcast(0);
  const int fits = channels <= SIMD_NAME(part);
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    SIMD_NAME(turn_in)(&buffer, x, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) maximum = simd_maximum(simd_load(buffer.values[c]), maximum);
  }
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    if (!fits) SIMD_NAME(turn_in)(&buffer, x, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) {
      const simd_float e = simd_exp(simd_load(buffer.values[c]) - maximum);
      sum += e;
      if (!logarithmic) simd_store(buffer.values[c], e);
    }
  }
  const simd_float offset = logarithmic ? simd_log(sum) : 1.0f / sum;
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    if (!fits) SIMD_NAME(turn_in)(&buffer, x, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) {
      simd_float value = simd_load(buffer.values[c]);
      if (logarithmic)
        value = value - maximum - offset;
      else
        value = (fits ? value : simd_exp(value - maximum)) * offset;
      simd_store(buffer.values[c], value);
    }
    SIMD_NAME(turn_out)(y, &buffer, rows, channels, first, count);
  }
}

SIMD_INLINE void SIMD_NAME(softmax_gradient_block)(
    float *result, const float *y, const float *gradient, size_t rows, size_t channels, int logarithmic) {
  SIMD_NAME(turned) values, gradients;
  simd_float sum = simd_broadcast(0);
  const int fits = channels <= SIMD_NAME(part);
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    SIMD_NAME(turn_in)(&gradients, gradient, rows, channels, first, count);
    SIMD_NAME(turn_in)(&values, y, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) {
      const simd_float g = simd_load(gradients.values[c]);
      sum = logarithmic ? sum + g : simd_multiply_add(g, simd_load(values.values[c]), sum);
    }
  }
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    if (!fits) {
      SIMD_NAME(turn_in)(&gradients, gradient, rows, channels, first, count);
      SIMD_NAME(turn_in)(&values, y, rows, channels, first, count);
    }
    for (size_t c = 0; c < count; c++) {
      const simd_float g = simd_load(gradients.values[c]), value = simd_load(values.values[c]);
      simd_store(values.values[c], logarithmic ? g - simd_exp(value) * sum : value * (g - sum));
    }
    SIMD_NAME(turn_out)(result, &values, rows, channels, first, count);
  }
}

#define FOR_ROW_BLOCKS(call)                                                  \
  for (size_t row = 0; row < rows; row += SIMD_WIDTH) {                       \
    const size_t count = rows - row < SIMD_WIDTH ? rows - row : SIMD_WIDTH;   \
    const size_t at = row * channels;                                         \
    call;                                                                     \
  }

static void SIMD_NAME(softmax)(float *y, const float *x, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_block)(y + at, x + at, count, channels, 0))
}

static void SIMD_NAME(log_softmax)(float *y, const float *x, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_block)(y + at, x + at, count, channels, 1))
}

static void SIMD_NAME(softmax_gradient)(
    float *result, const float *y, const float *gradient, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_gradient_block)(result + at, y + at, gradient + at, count, channels, 0))
}

static void SIMD_NAME(log_softmax_gradient)(
    float *result, const float *y, const float *gradient, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_gradient_block)(result + at, y + at, gradient + at, count, channels, 1))
}

const ck_softmax_kernels SIMD_NAME(ck_softmax) = {
    .softmax = SIMD_NAME(softmax),
    .log_softmax = SIMD_NAME(log_softmax),
    .softmax_gradient = SIMD_NAME(softmax_gradient),
    .log_softmax_gradient = SIMD_NAME(log_softmax_gradient),
};
