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

/// Channels up to which SIMD_WIDTH rows, which are as many vectors, are turned by permutations. Where there are none it is
/// done value by value.
enum { SIMD_NAME(few_channels) = SIMD_WIDTH >= 8 ? 8 : 0 };

/// Where the values of turned vectors come from, and those of rows.
typedef struct {
  simd_int vector[SIMD_NAME(few_channels) + 1], lane[SIMD_NAME(few_channels) + 1];
  simd_int channel[SIMD_NAME(few_channels) + 1], row[SIMD_NAME(few_channels) + 1];
} SIMD_NAME(turning);

SIMD_INLINE SIMD_NAME(turning) SIMD_NAME(turning_of)(size_t channels) {
  SIMD_NAME(turning) turning = {{{0}}};
  if (channels > SIMD_NAME(few_channels)) return turning;
  for (size_t i = 0; i < channels * SIMD_WIDTH; i++) {
    const size_t channel = i % channels, row = i / channels;
    turning.vector[channel][row] = (int32_t)(i / SIMD_WIDTH);
    turning.lane[channel][row] = (int32_t)(i % SIMD_WIDTH);
    turning.channel[i / SIMD_WIDTH][i % SIMD_WIDTH] = (int32_t)channel;
    turning.row[i / SIMD_WIDTH][i % SIMD_WIDTH] = (int32_t)row;
  }
  return turning;
}

/// Makes `count` vectors of as many: lane i of vector v is lane places[v][i] of vector sources[v][i].
SIMD_INLINE void SIMD_NAME(gather)(
    float *to, const float *from, const simd_int *sources, const simd_int *places, size_t count) {
  for (size_t v = 0; v < count; v++) {
    simd_int value = {0};
    for (size_t source = 0; source < count; source++)
      value |= simd_permute((simd_int)simd_load(from + source * SIMD_WIDTH), places[v]) &
          (sources[v] == (int32_t)source);
    simd_store(to + v * SIMD_WIDTH, (simd_float)value);
  }
}

SIMD_INLINE void SIMD_NAME(turn_in)(
    SIMD_NAME(turned) * buffer, const SIMD_NAME(turning) * turning, const float *x, size_t rows, size_t channels,
    size_t first, size_t count) {
  if (channels <= SIMD_NAME(few_channels) && rows == SIMD_WIDTH) {
    SIMD_NAME(gather)(buffer->values[0], x, turning->vector, turning->lane, channels);
    return;
  }
  for (size_t row = 0; row < SIMD_WIDTH; row++) {
    // Lanes without a row repeat the last row; what they hold is never stored.
    const float *source = x + (row < rows ? row : rows - 1) * channels + first;
    for (size_t c = 0; c < count; c++) buffer->values[c][row] = source[c];
  }
}

SIMD_INLINE void SIMD_NAME(turn_out)(
    float *y, const SIMD_NAME(turned) * buffer, const SIMD_NAME(turning) * turning, size_t rows, size_t channels,
    size_t first, size_t count) {
  if (channels <= SIMD_NAME(few_channels) && rows == SIMD_WIDTH) {
    SIMD_NAME(gather)(y, buffer->values[0], turning->channel, turning->row, channels);
    return;
  }
  for (size_t row = 0; row < rows; row++) {
    float *destination = y + row * channels + first;
    for (size_t c = 0; c < count; c++) destination[c] = buffer->values[c][row];
  }
}

SIMD_INLINE void SIMD_NAME(softmax_block)(
    float *y, const float *x, const SIMD_NAME(turning) * turning, size_t rows, size_t channels, int logarithmic) {
  SIMD_NAME(turned) buffer;
  simd_float maximum = simd_broadcast(-INFINITY), sum = simd_broadcast(0);
  const int fits = channels <= SIMD_NAME(part);
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    SIMD_NAME(turn_in)(&buffer, turning, x, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) maximum = simd_maximum(simd_load(buffer.values[c]), maximum);
  }
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    if (!fits) SIMD_NAME(turn_in)(&buffer, turning, x, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) {
      const simd_float e = simd_exp(simd_load(buffer.values[c]) - maximum);
      sum += e;
      if (!logarithmic) simd_store(buffer.values[c], e);
    }
  }
  const simd_float offset = logarithmic ? simd_log(sum) : 1.0f / sum;
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    if (!fits) SIMD_NAME(turn_in)(&buffer, turning, x, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) {
      simd_float value = simd_load(buffer.values[c]);
      if (logarithmic)
        value = value - maximum - offset;
      else
        value = (fits ? value : simd_exp(value - maximum)) * offset;
      simd_store(buffer.values[c], value);
    }
    SIMD_NAME(turn_out)(y, &buffer, turning, rows, channels, first, count);
  }
}

SIMD_INLINE void SIMD_NAME(softmax_gradient_block)(
    float *result, const float *y, const float *gradient, const SIMD_NAME(turning) * turning, size_t rows,
    size_t channels, int logarithmic) {
  SIMD_NAME(turned) values, gradients;
  simd_float sum = simd_broadcast(0);
  const int fits = channels <= SIMD_NAME(part);
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    SIMD_NAME(turn_in)(&gradients, turning, gradient, rows, channels, first, count);
    SIMD_NAME(turn_in)(&values, turning, y, rows, channels, first, count);
    for (size_t c = 0; c < count; c++) {
      const simd_float g = simd_load(gradients.values[c]);
      sum = logarithmic ? sum + g : simd_multiply_add(g, simd_load(values.values[c]), sum);
    }
  }
  for (size_t first = 0; first < channels; first += SIMD_NAME(part)) {
    const size_t count = channels - first < SIMD_NAME(part) ? channels - first : SIMD_NAME(part);
    if (!fits) {
      SIMD_NAME(turn_in)(&gradients, turning, gradient, rows, channels, first, count);
      SIMD_NAME(turn_in)(&values, turning, y, rows, channels, first, count);
    }
    for (size_t c = 0; c < count; c++) {
      const simd_float g = simd_load(gradients.values[c]), value = simd_load(values.values[c]);
      simd_store(values.values[c], logarithmic ? g - simd_exp(value) * sum : value * (g - sum));
    }
    SIMD_NAME(turn_out)(result, &values, turning, rows, channels, first, count);
  }
}

#define FOR_ROW_BLOCKS(call)                                                  \
  const SIMD_NAME(turning) turning = SIMD_NAME(turning_of)(channels);         \
  for (size_t row = 0; row < rows; row += SIMD_WIDTH) {                       \
    const size_t count = rows - row < SIMD_WIDTH ? rows - row : SIMD_WIDTH;   \
    const size_t at = row * channels;                                         \
    call;                                                                     \
  }

static void SIMD_NAME(softmax)(float *y, const float *x, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_block)(y + at, x + at, &turning, count, channels, 0))
}

static void SIMD_NAME(log_softmax)(float *y, const float *x, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_block)(y + at, x + at, &turning, count, channels, 1))
}

static void SIMD_NAME(softmax_gradient)(
    float *result, const float *y, const float *gradient, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_gradient_block)(result + at, y + at, gradient + at, &turning, count, channels, 0))
}

static void SIMD_NAME(log_softmax_gradient)(
    float *result, const float *y, const float *gradient, size_t rows, size_t channels) {
  FOR_ROW_BLOCKS(SIMD_NAME(softmax_gradient_block)(result + at, y + at, gradient + at, &turning, count, channels, 1))
}

const ck_softmax_kernels SIMD_NAME(ck_softmax) = {
    .softmax = SIMD_NAME(softmax),
    .log_softmax = SIMD_NAME(log_softmax),
    .softmax_gradient = SIMD_NAME(softmax_gradient),
    .log_softmax_gradient = SIMD_NAME(log_softmax_gradient),
};
