// Resampling kernels for one instruction set; see simd_target.h. The loops over neighbouring columns are plain, so
// that the compiler vectorises them for the level's width.
#include "ck_resampling.h"

#define SPLINE_POLE (-0.26794919243112270647)
#define SPLINE_GAIN 6.0

/// Turns `size` rows of samples, multiplied by SPLINE_GAIN, into cubic B-spline coefficients along the rows.
/// The signal continues by half-sample reflection. Unser, Aldroubi, Eden: "B-spline signal processing", 1993.
static void SIMD_NAME(prefilter)(double *restrict data, size_t size, size_t width) {
  if (size < 2) {
    for (size_t w = 0; w < width * size; w++) data[w] /= SPLINE_GAIN;
    return;
  }
  // The pole's 30th power is below double precision.
  size_t reach = size < 30 ? size : 30;
  double power = SPLINE_POLE;
  for (size_t i = 0; i < reach; i++) {
    // Row 0 changes last, so it is read here as it was.
    if (i > 0) {
      const double *restrict row = data + i * width;
      for (size_t w = 0; w < width; w++) data[w] += power * row[w];
    } else {
      for (size_t w = 0; w < width; w++) data[w] += power * data[w];
    }
    power *= SPLINE_POLE;
  }
  for (size_t i = 1; i < size; i++) {
    const double *before = data + (i - 1) * width;
    double *row = data + i * width;
#pragma clang loop vectorize(assume_safety)
    for (size_t w = 0; w < width; w++) row[w] += SPLINE_POLE * before[w];
  }
  double *last = data + (size - 1) * width;
  for (size_t w = 0; w < width; w++) last[w] *= SPLINE_POLE / (SPLINE_POLE - 1.0);
  for (size_t i = size - 1; i > 0; i--) {
    const double *after = data + i * width;
    double *row = data + (i - 1) * width;
#pragma clang loop vectorize(assume_safety)
    for (size_t w = 0; w < width; w++) row[w] = SPLINE_POLE * (after[w] - row[w]);
  }
}

/// One output sample of `width` columns.
static inline __attribute__((always_inline)) void SIMD_NAME(combine)(const double *restrict data,
                                                                     const double *restrict weights, size_t taps,
                                                                     size_t width, float *restrict out, float low,
                                                                     float high) {
#define STORE(expression)                          \
  for (size_t w = 0; w < width; w++) {             \
    float value = (float)(expression);             \
    value = value < low ? low : value;             \
    out[w] = value > high ? high : value;          \
  }
  if (taps == 4) {
    double w0 = weights[0], w1 = weights[1], w2 = weights[2], w3 = weights[3];
    const double *restrict r1 = data + width, *restrict r2 = data + 2 * width, *restrict r3 = data + 3 * width;
    STORE(w0 * data[w] + w1 * r1[w] + w2 * r2[w] + w3 * r3[w])
  } else if (taps == 2) {
    double w0 = weights[0], w1 = weights[1];
    const double *restrict r1 = data + width;
    STORE(w0 * data[w] + w1 * r1[w])
  } else if (taps == 1) {
    double w0 = weights[0];
    STORE(w0 * data[w])
  } else {
    for (size_t w = 0; w < width; w++) {
      double sum = 0;
      for (size_t k = 0; k < taps; k++) sum += weights[k] * data[k * width + w];
      float value = (float)sum;
      value = value < low ? low : value;
      out[w] = value > high ? high : value;
    }
  }
#undef STORE
}

static void SIMD_NAME(pad)(double *data, size_t size, size_t padding, size_t width) {
  double *first = data + padding * width, *last = data + (padding + size - 1) * width;
  for (size_t i = 0; i < padding; i++) {
    __builtin_memcpy(data + i * width, first, width * sizeof(double));
    __builtin_memcpy(last + (i + 1) * width, last, width * sizeof(double));
  }
}

static void SIMD_NAME(columns)(const ck_resampling_axis *axis, const float *source, ptrdiff_t source_stride,
                               size_t width, float *destination, ptrdiff_t destination_stride, double *scratch,
                               float low, float high) {
  size_t unit = CK_RESAMPLING_WIDTH_UNIT;
  size_t padded_width = (width + unit - 1) / unit * unit;
  double gain = axis->prefilter ? SPLINE_GAIN : 1.0;
  for (size_t i = 0; i < axis->input_size; i++) {
    const float *restrict row = source + (ptrdiff_t)i * source_stride;
    double *restrict target = scratch + (axis->padding + i) * padded_width;
    for (size_t w = 0; w < width; w++) target[w] = gain * row[w];
    for (size_t w = width; w < padded_width; w++) target[w] = 0;
  }
  SIMD_NAME(pad)(scratch, axis->input_size, axis->padding, padded_width);
  if (axis->prefilter) SIMD_NAME(prefilter)(scratch, axis->input_size + 2 * axis->padding, padded_width);
  if (width == padded_width) {
    for (size_t i = 0; i < axis->output_size; i++) {
      SIMD_NAME(combine)(scratch + (size_t)axis->starts[i] * width, axis->weights + i * axis->taps, axis->taps, width,
                         destination + (ptrdiff_t)i * destination_stride, low, high);
    }
  } else {
    float buffer[CK_RESAMPLING_MAXIMUM_WIDTH] __attribute__((aligned(64)));
    for (size_t i = 0; i < axis->output_size; i++) {
      SIMD_NAME(combine)(scratch + (size_t)axis->starts[i] * padded_width, axis->weights + i * axis->taps, axis->taps,
                         padded_width, buffer, low, high);
      __builtin_memcpy(destination + (ptrdiff_t)i * destination_stride, buffer, width * sizeof(float));
    }
  }
}

static void SIMD_NAME(rows)(const ck_resampling_axis *axis, const float *source, ptrdiff_t source_stride,
                            size_t row_count, float *destination, ptrdiff_t destination_stride, double *scratch,
                            float low, float high) {
  enum { width = CK_RESAMPLING_ROWS, block = 16 };
  double gain = axis->prefilter ? SPLINE_GAIN : 1.0;
  double *inner = scratch + axis->padding * width;
  size_t size = axis->input_size;
  if (row_count < width) __builtin_memset(inner, 0, size * width * sizeof(double));
  for (size_t first = 0; first < size; first += block) {
    size_t count = size - first < block ? size - first : block;
    for (size_t r = 0; r < row_count; r++) {
      const float *restrict row = source + (ptrdiff_t)r * source_stride + first;
      double *restrict target = inner + first * width + r;
      for (size_t j = 0; j < count; j++) target[j * width] = gain * row[j];
    }
  }
  SIMD_NAME(pad)(scratch, size, axis->padding, width);
  if (axis->prefilter) SIMD_NAME(prefilter)(scratch, size + 2 * axis->padding, width);
  float results[block * width] __attribute__((aligned(64)));
  for (size_t first = 0; first < axis->output_size; first += block) {
    size_t count = axis->output_size - first < block ? axis->output_size - first : block;
    for (size_t j = 0; j < count; j++) {
      size_t i = first + j;
      SIMD_NAME(combine)(scratch + (size_t)axis->starts[i] * width, axis->weights + i * axis->taps, axis->taps, width,
                         results + j * width, low, high);
    }
    for (size_t r = 0; r < row_count; r++) {
      float *restrict out = destination + (ptrdiff_t)r * destination_stride + first;
      for (size_t j = 0; j < count; j++) out[j] = results[j * width + r];
    }
  }
}

static void SIMD_NAME(extrema)(const float *values, size_t count, float *low, float *high) {
  // Sixteen independent lanes, so that the loop vectorises without reassociation.
  float lows[16], highs[16];
  for (int lane = 0; lane < 16; lane++) {
    lows[lane] = *low;
    highs[lane] = *high;
  }
  size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int lane = 0; lane < 16; lane++) {
      float value = values[i + lane];
      lows[lane] = value < lows[lane] ? value : lows[lane];
      highs[lane] = value > highs[lane] ? value : highs[lane];
    }
  }
  for (; i < count; i++) {
    lows[0] = values[i] < lows[0] ? values[i] : lows[0];
    highs[0] = values[i] > highs[0] ? values[i] : highs[0];
  }
  for (int lane = 0; lane < 16; lane++) {
    *low = lows[lane] < *low ? lows[lane] : *low;
    *high = highs[lane] > *high ? highs[lane] : *high;
  }
}

static void SIMD_NAME(round_to_half)(float *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t bits;
    __builtin_memcpy(&bits, values + i, 4);
    uint32_t sign = bits & 0x80000000u, magnitude = bits & 0x7FFFFFFFu;
    // Normal float16 keep 10 bits of the mantissa's 23.
    uint32_t rounded = (magnitude + 0xFFFu + ((magnitude >> 13) & 1u)) & ~0x1FFFu;
    rounded = rounded > 0x477FE000u ? 0x7F800000u : rounded;
    // NaN stays NaN.
    rounded = magnitude > 0x7F800000u ? magnitude : rounded;
    float small;
    __builtin_memcpy(&small, &magnitude, 4);
    // Subnormal float16 are multiples of 2^-24, the spacing of floats just above 0.5.
    small = (small + 0.5f) - 0.5f;
    uint32_t small_bits;
    __builtin_memcpy(&small_bits, &small, 4);
    rounded = magnitude < 0x38800000u ? small_bits : rounded;
    rounded |= sign;
    __builtin_memcpy(values + i, &rounded, 4);
  }
}

static void SIMD_NAME(update_maximum)(const float *restrict values, float *restrict best, int16_t *restrict winner,
                                      int16_t label, size_t count) {
  for (size_t i = 0; i < count; i++) {
    int is_better = values[i] > best[i];
    best[i] = is_better ? values[i] : best[i];
    winner[i] = is_better ? label : winner[i];
  }
}

/// exp(x) to about one unit in the last place, for x <= 88; 0 below -87. Cephes' expf (Moshier).
static inline __attribute__((always_inline)) float SIMD_NAME(exponential)(float x) {
  float clamped = x < -87.0f ? -87.0f : x;
  // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
  float n = (clamped * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
  float r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  int32_t bits = ((int32_t)n + 127) << 23;
  float scale;
  __builtin_memcpy(&scale, &bits, 4);
  return x < -87.0f ? 0.0f : p * scale;
}

static void SIMD_NAME(softmax)(float *values, size_t channels, size_t stride, size_t count) {
  enum { block = 256 };
  float largest[block], sum[block];
  for (size_t first = 0; first < count; first += block) {
    size_t width = count - first < block ? count - first : block;
    for (size_t i = 0; i < width; i++) {
      largest[i] = values[first + i];
      sum[i] = 0;
    }
    for (size_t c = 1; c < channels; c++) {
      const float *restrict row = values + c * stride + first;
      for (size_t i = 0; i < width; i++) largest[i] = row[i] > largest[i] ? row[i] : largest[i];
    }
    for (size_t c = 0; c < channels; c++) {
      float *restrict row = values + c * stride + first;
      for (size_t i = 0; i < width; i++) {
        row[i] = SIMD_NAME(exponential)(row[i] - largest[i]);
        sum[i] += row[i];
      }
    }
    for (size_t c = 0; c < channels; c++) {
      float *restrict row = values + c * stride + first;
      for (size_t i = 0; i < width; i++) row[i] /= sum[i];
    }
  }
}

static void SIMD_NAME(sigmoid)(float *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    float magnitude = values[i] < 0 ? -values[i] : values[i];
    // Of the negative magnitude, so that nothing overflows.
    float power = SIMD_NAME(exponential)(-magnitude);
    values[i] = (values[i] < 0 ? power : 1.0f) / (1.0f + power);
  }
}

const ck_resampling_kernels SIMD_NAME(ck_resampling) = {
    .columns = SIMD_NAME(columns),
    .rows = SIMD_NAME(rows),
    .extrema = SIMD_NAME(extrema),
    .round_to_half = SIMD_NAME(round_to_half),
    .update_maximum = SIMD_NAME(update_maximum),
    .softmax = SIMD_NAME(softmax),
    .sigmoid = SIMD_NAME(sigmoid),
};
