// Normalisation over rows of channels. Values stay clear of the rectifier's kink, where one rounding would choose the
// other slope.
#include "checks.h"

static void check_shape(const ck_normalization_kernels *kernels, size_t rows, size_t channels, float slope,
    double mean) {
  const size_t count = rows * channels;
  float *parts[7];
  for (int i = 0; i < 7; i++) parts[i] = random_floats(channels, i == 0 ? mean - 0.5 : 0.2, i == 0 ? mean + 0.5 : 1.5);
  const ck_normalization_terms terms = {parts[0], parts[1], parts[2], parts[3], parts[4]};
  float *x = random_floats(count, mean - 3, mean + 3);
  const float *gradient = random_floats(count, -1, 1);
  double *y = guarded_doubles(count), *result = guarded_doubles(count), *sums = guarded_doubles(channels),
         *products = guarded_doubles(channels), *sizes = guarded_doubles(channels);
  for (size_t i = 0; i < count; i++) {
    const size_t c = i % channels;
    double z = ((double)x[i] - terms.mean[c]) * terms.scale[c] + terms.offset[c];
    if (fabs(z) < 0.01) {
      x[i] += 0.5f;
      z = ((double)x[i] - terms.mean[c]) * terms.scale[c] + terms.offset[c];
    }
    const double normalized = ((double)x[i] - terms.mean[c]) * terms.inverse[c] + terms.normalized_offset[c];
    const double g = z > 0 ? gradient[i] : (double)gradient[i] * slope;
    y[i] = z > 0 ? z : z * slope;
    if (i < channels) sums[c] = products[c] = sizes[c] = 0;
    sums[c] += g;
    products[c] += g * normalized;
    result[i] = terms.scale[c] * g - parts[5][c] - parts[6][c] * normalized;
  }
  // A result may be the input of an activation as large as 3 * 1.5 + 1.5, and rounds like that.
  const double size = 8;

  float *floats = guarded_floats(count), *first = guarded_floats(channels), *second = guarded_floats(channels);
  begin_case("apply", "%zu x %zu slope %g mean %g", rows, channels, (double)slope, mean);
  kernels->apply(floats, x, rows, channels, terms, slope);
  expect_close(floats, y, count, 3e-7, size);

  // The sum of the normalised input, or of the input as it is, and of another; kept clear of the kink too.
  for (int normalized = 0; normalized <= 3; normalized++) {
    begin_case("residual_sum", "%zu x %zu slope %g mean %g normalised %d", rows, channels, (double)slope, mean, normalized);
    float *other = random_floats(count, -2, 2);
    double *sum = guarded_doubles(count);
    const ck_summand a = {x, normalized & 1 ? parts[0] : 0, parts[1], parts[2], 0.3f};
    const ck_summand b = {other, normalized & 2 ? parts[5] : 0, parts[6], parts[3], 1};
    for (size_t i = 0; i < count; i++) {
      const size_t c = i % channels;
      const double z = ((double)x[i] - parts[0][c]) * parts[1][c] + parts[2][c];
      const double first = normalized & 1 ? (z > 0 ? z : z * 0.3f) : x[i];
      for (int again = 0; again < 2; again++) {
        const double second =
            normalized & 2 ? ((double)other[i] - parts[5][c]) * parts[6][c] + parts[3][c] : other[i];
        sum[i] = first + second;
        if (fabs(sum[i]) > 0.01) break;
        other[i] += 0.5f;
      }
      if (sum[i] < 0) sum[i] *= slope;
    }
    float *written = guarded_floats(count), *over = guarded_floats(count);
    kernels->residual_sum(written, rows, channels, a, b, slope);
    expect_close(written, sum, count, 3e-7, size + fabs(mean));
    memcpy(over, other, count * sizeof(float));
    const ck_summand overwritten = {over, b.mean, b.scale, b.offset, b.slope};
    kernels->residual_sum(over, rows, channels, a, overwritten, slope);
    expect_same(over, written, count * sizeof(float));
  }

  begin_case("gradient_sums", "%zu x %zu slope %g mean %g", rows, channels, (double)slope, mean);
  kernels->gradient_sums(first, second, gradient, x, rows, channels, terms, slope);
  expect_close(first, sums, channels, 3e-7, (double)rows);
  expect_close(second, products, channels, 3e-7, (double)rows * size);

  begin_case("gradient", "%zu x %zu slope %g mean %g", rows, channels, (double)slope, mean);
  kernels->gradient(floats, 0, gradient, x, rows, channels, terms, parts[5], parts[6], slope);
  expect_close(floats, result, count, 3e-7, size);
  kernels->gradient(floats, first, gradient, x, rows, channels, terms, parts[5], parts[6], slope);
  expect_close(floats, result, count, 3e-7, size);
  memset(sums, 0, channels * sizeof *sums);
  for (size_t i = 0; i < count; i++) sums[i % channels] += result[i];
  expect_close(first, sums, channels, 3e-7, (double)rows * size);

  begin_case("moments", "%zu x %zu mean %g", rows, channels, mean);
  kernels->moments(first, second, x, rows, channels);
  memset(sums, 0, channels * sizeof *sums);
  memset(products, 0, channels * sizeof *products);
  for (size_t i = 0; i < count; i++) {
    const double d = (double)x[i] - x[i % channels];
    sums[i % channels] += d;
    products[i % channels] += d * d;
    sizes[i % channels] += fabs(d);
  }
  for (size_t c = 0; c < channels; c++) {
    expect_number(first[c], sums[c], 1e-6 * sizes[c]);
    expect_number(second[c], products[c], 2e-6 * products[c]);
  }
  release_guarded();
}

static void check(ck_instruction_set level) {
  const ck_normalization_kernels *kernels = ck_normalization_kernels_for(level);
  static const size_t rows[] = {1, 2, 3, 31, 32, 33, 64, 100},
                      channels[] = {1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40, 65};
  for (size_t r = 0; r < COUNT_OF(rows); r++) {
    for (size_t c = 0; c < COUNT_OF(channels); c++) {
      check_shape(kernels, rows[r], channels[c], 1, 0);
      check_shape(kernels, rows[r], channels[c], 0.01f, 0);
      check_shape(kernels, rows[r], channels[c], 0.01f, 100);
    }
  }
}

const check_family normalization_family = {"normalization", TABLE_OPERATIONS(ck_normalization_kernels), check};
