// Normalisation kernels for one instruction set; see simd_target.h.
#include "ck_normalization.h"

// Channels go in blocks of up to two vectors whose terms stay in registers while the rows pass by.
#define CHANNEL_BLOCKS(channels, BODY)                                                        \
  do {                                                                                        \
    size_t channel = 0;                                                                       \
    for (; channel + 2 * SIMD_WIDTH <= channels; channel += 2 * SIMD_WIDTH) BODY(2, channel, SIMD_WIDTH) \
    for (; channel < channels; channel += SIMD_WIDTH)                                         \
      if (channels - channel >= SIMD_WIDTH)                                                   \
        BODY(1, channel, SIMD_WIDTH)                                                          \
      else                                                                                    \
        BODY(1, channel, channels - channel)                                                  \
  } while (0)

// Rows whose float32 sums are added up before they join the others: rounding stays that of short sums.
enum { SIMD_NAME(sum_rows) = 32 };

SIMD_INLINE void SIMD_NAME(moments_block)(
    float *sums, float *squares, const float *x, size_t rows, size_t channels, size_t vectors, size_t lanes) {
  simd_float shift[2], sum[2], square[2];
  for (size_t v = 0; v < vectors; v++) {
    shift[v] = simd_load_lanes(x + v * SIMD_WIDTH, lanes);
    sum[v] = square[v] = simd_broadcast(0);
  }
  for (size_t row = 0; row < rows;) {
    const size_t end = rows - row < SIMD_NAME(sum_rows) ? rows : row + SIMD_NAME(sum_rows);
    simd_float part_sum[2] = {{0}}, part_square[2] = {{0}};
    for (; row < end; row++, x += channels)
      for (size_t v = 0; v < vectors; v++) {
        const simd_float d = simd_load_lanes(x + v * SIMD_WIDTH, lanes) - shift[v];
        part_sum[v] += d;
        part_square[v] = simd_multiply_add(d, d, part_square[v]);
      }
    for (size_t v = 0; v < vectors; v++) {
      sum[v] += part_sum[v];
      square[v] += part_square[v];
    }
  }
  for (size_t v = 0; v < vectors; v++) {
    simd_store_lanes(sums + v * SIMD_WIDTH, sum[v], lanes);
    simd_store_lanes(squares + v * SIMD_WIDTH, square[v], lanes);
  }
}

static void SIMD_NAME(moments)(float *sums, float *squares, const float *x, size_t rows, size_t channels) {
#define BODY(vectors, c, lanes) SIMD_NAME(moments_block)(sums + c, squares + c, x + c, rows, channels, vectors, lanes);
  CHANNEL_BLOCKS(channels, BODY);
#undef BODY
}

SIMD_INLINE void SIMD_NAME(apply_block)(
    float *y, const float *x, size_t rows, size_t channels, ck_normalization_terms terms, size_t c, int activates,
    float slope, size_t vectors, size_t lanes) {
  simd_float mean[2], scale[2], offset[2];
  for (size_t v = 0; v < vectors; v++) {
    mean[v] = simd_load_lanes(terms.mean + c + v * SIMD_WIDTH, lanes);
    scale[v] = simd_load_lanes(terms.scale + c + v * SIMD_WIDTH, lanes);
    offset[v] = simd_load_lanes(terms.offset + c + v * SIMD_WIDTH, lanes);
  }
  for (size_t row = 0; row < rows; row++)
    for (size_t v = 0; v < vectors; v++) {
      const size_t at = row * channels + c + v * SIMD_WIDTH;
      simd_float z = simd_multiply_add(simd_load_lanes(x + at, lanes) - mean[v], scale[v], offset[v]);
      if (activates) z = simd_select(z > simd_broadcast(0), z, z * slope);
      simd_store_lanes(y + at, z, lanes);
    }
}

static void SIMD_NAME(apply)(
    float *y, const float *x, size_t rows, size_t channels, ck_normalization_terms terms, float slope) {
#define BODY(vectors, c, lanes)                                                                \
  {                                                                                            \
    if (slope == 1)                                                                            \
      SIMD_NAME(apply_block)(y, x, rows, channels, terms, c, 0, slope, vectors, lanes);        \
    else                                                                                       \
      SIMD_NAME(apply_block)(y, x, rows, channels, terms, c, 1, slope, vectors, lanes);        \
  }
  CHANNEL_BLOCKS(channels, BODY);
#undef BODY
}

/// What a summand's values at `at`, of channels from `c` on, are read as.
SIMD_INLINE simd_float SIMD_NAME(summand_at)(ck_summand summand, int is_normalized, size_t at, size_t c, size_t lanes) {
  const simd_float x = simd_load_lanes(summand.values + at, lanes);
  if (!is_normalized) return x;
  const simd_float mean = simd_load_lanes(summand.mean + c, lanes);
  const simd_float scale = simd_load_lanes(summand.scale + c, lanes);
  const simd_float offset = simd_load_lanes(summand.offset + c, lanes);
  const simd_float z = simd_multiply_add(x - mean, scale, offset);
  return simd_select(z > simd_broadcast(0), z, z * summand.slope);
}

/// Memory is what takes time: rows are walked from end to end, and the terms come from the nearest cache each time.
SIMD_INLINE void SIMD_NAME(residual_sum_rows)(
    float *y, size_t rows, size_t channels, ck_summand a, int a_is_normalized, ck_summand b, int b_is_normalized,
    float slope) {
  for (size_t row = 0; row < rows; row++)
    for (size_t c = 0; c < channels; c += SIMD_WIDTH) {
      const size_t lanes = channels - c < SIMD_WIDTH ? channels - c : SIMD_WIDTH, at = row * channels + c;
      const simd_float first = SIMD_NAME(summand_at)(a, a_is_normalized, at, c, lanes);
      const simd_float second = SIMD_NAME(summand_at)(b, b_is_normalized, at, c, lanes);
      const simd_float sum = first + second;
      simd_store_lanes(y + at, simd_select(sum > simd_broadcast(0), sum, sum * slope), lanes);
    }
}

static void SIMD_NAME(residual_sum)(
    float *y, size_t rows, size_t channels, ck_summand a, ck_summand b, float slope) {
  if (a.mean && b.mean)
    SIMD_NAME(residual_sum_rows)(y, rows, channels, a, 1, b, 1, slope);
  else if (a.mean)
    SIMD_NAME(residual_sum_rows)(y, rows, channels, a, 1, b, 0, slope);
  else if (b.mean)
    SIMD_NAME(residual_sum_rows)(y, rows, channels, b, 1, a, 0, slope);
  else
    SIMD_NAME(residual_sum_rows)(y, 1, rows * channels, a, 0, b, 0, slope);
}

/// The gradient before the activation, and the normalised input in `normalized`.
SIMD_INLINE simd_float SIMD_NAME(gradient_at)(
    const float *gradient, const float *x, size_t lanes, simd_float mean, simd_float scale, simd_float offset,
    simd_float inverse, simd_float normalized_offset, int activates, float slope, simd_float *normalized) {
  const simd_float centred = simd_load_lanes(x, lanes) - mean;
  simd_float g = simd_load_lanes(gradient, lanes);
  if (activates) {
    const simd_float z = simd_multiply_add(centred, scale, offset);
    g = simd_select(z > simd_broadcast(0), g, g * slope);
  }
  *normalized = simd_multiply_add(centred, inverse, normalized_offset);
  return g;
}

/// Walks gradient and input together; `result` null means: only the sums, otherwise `sums` are of the result if any.
SIMD_INLINE void SIMD_NAME(gradient_block)(
    float *result, float *sums, float *products, const float *gradient, const float *x, size_t rows, size_t channels,
    ck_normalization_terms terms, const float *constant, const float *linear, size_t c, int activates, float slope,
    size_t vectors, size_t lanes) {
  simd_float mean[2], scale[2], offset[2], inverse[2], normalized_offset[2], first[2], second[2], sum[2], product[2];
  for (size_t v = 0; v < vectors; v++) {
    const size_t at = c + v * SIMD_WIDTH;
    mean[v] = simd_load_lanes(terms.mean + at, lanes);
    scale[v] = simd_load_lanes(terms.scale + at, lanes);
    offset[v] = simd_load_lanes(terms.offset + at, lanes);
    inverse[v] = simd_load_lanes(terms.inverse + at, lanes);
    normalized_offset[v] = simd_load_lanes(terms.normalized_offset + at, lanes);
    first[v] = result ? simd_load_lanes(constant + at, lanes) : simd_broadcast(0);
    second[v] = result ? simd_load_lanes(linear + at, lanes) : simd_broadcast(0);
    sum[v] = product[v] = simd_broadcast(0);
  }
  for (size_t row = 0; row < rows;) {
    const size_t end = rows - row < SIMD_NAME(sum_rows) ? rows : row + SIMD_NAME(sum_rows);
    simd_float part_sum[2] = {{0}}, part_product[2] = {{0}};
    for (; row < end; row++)
      for (size_t v = 0; v < vectors; v++) {
        const size_t at = row * channels + c + v * SIMD_WIDTH;
        simd_float normalized;
        const simd_float g = SIMD_NAME(gradient_at)(
            gradient + at, x + at, lanes, mean[v], scale[v], offset[v], inverse[v], normalized_offset[v], activates,
            slope, &normalized);
        if (result) {
          const simd_float rest = simd_multiply_add(normalized, second[v], first[v]);
          const simd_float value = simd_multiply_add(g, scale[v], -rest);
          simd_store_lanes(result + at, value, lanes);
          part_sum[v] += value;
        } else {
          part_sum[v] += g;
          part_product[v] = simd_multiply_add(g, normalized, part_product[v]);
        }
      }
    for (size_t v = 0; v < vectors; v++) {
      sum[v] += part_sum[v];
      product[v] += part_product[v];
    }
  }
  for (size_t v = 0; v < vectors; v++) {
    if (sums) simd_store_lanes(sums + c + v * SIMD_WIDTH, sum[v], lanes);
    if (products) simd_store_lanes(products + c + v * SIMD_WIDTH, product[v], lanes);
  }
}

static void SIMD_NAME(gradient_sums)(
    float *sums, float *products, const float *gradient, const float *x, size_t rows, size_t channels,
    ck_normalization_terms terms, float slope) {
#define BODY(vectors, c, lanes)                                                                              \
  SIMD_NAME(gradient_block)(                                                                                 \
      0, sums, products, gradient, x, rows, channels, terms, 0, 0, c, slope != 1, slope, vectors, lanes);
  CHANNEL_BLOCKS(channels, BODY);
#undef BODY
}

static void SIMD_NAME(gradient)(
    float *result, float *sums, const float *gradient, const float *x, size_t rows, size_t channels,
    ck_normalization_terms terms, const float *constant, const float *linear, float slope) {
#define BODY(vectors, c, lanes)                                                                                 \
  SIMD_NAME(gradient_block)(                                                                                    \
      result, sums, 0, gradient, x, rows, channels, terms, constant, linear, c, slope != 1, slope, vectors, lanes);
  CHANNEL_BLOCKS(channels, BODY);
#undef BODY
}

const ck_normalization_kernels SIMD_NAME(ck_normalization) = {
    .moments = SIMD_NAME(moments),
    .apply = SIMD_NAME(apply),
    .residual_sum = SIMD_NAME(residual_sum),
    .gradient_sums = SIMD_NAME(gradient_sums),
    .gradient = SIMD_NAME(gradient),
};
