// Softmax over channels, its logarithm and their gradients, against exp and log in double precision: relative errors
// of 2e-6, which the rounding of arguments of up to 80 costs; absolute ones for logarithms.
#include "checks.h"

static void check_shape(const ck_softmax_kernels *kernels, size_t rows, size_t channels, double range, double offset) {
  const size_t count = rows * channels;
  const float *x = random_floats(count, offset - range, offset + range), *gradient = random_floats(count, -1, 1);
  double *softmax = guarded_doubles(count), *logarithm = guarded_doubles(count), *expected = guarded_doubles(count);
  for (size_t r = 0; r < rows; r++) {
    double largest = -INFINITY, sum = 0;
    for (size_t c = 0; c < channels; c++) largest = fmax(largest, x[r * channels + c]);
    for (size_t c = 0; c < channels; c++) sum += exp(x[r * channels + c] - largest);
    for (size_t c = 0; c < channels; c++) {
      const size_t i = r * channels + c;
      softmax[i] = exp(x[i] - largest) / sum;
      logarithm[i] = x[i] - largest - log(sum);
    }
  }
  float *y = guarded_floats(count), *result = guarded_floats(count);
  begin_case("softmax", "%zu x %zu around %g", rows, channels, offset);
  kernels->softmax(y, x, rows, channels);
  expect_relative(y, softmax, count, 2e-6, 1e-37);

  begin_case("softmax_gradient", "%zu x %zu around %g", rows, channels, offset);
  kernels->softmax_gradient(result, y, gradient, rows, channels);
  for (size_t r = 0; r < rows; r++) {
    double sum = 0;
    for (size_t c = 0; c < channels; c++) sum += (double)gradient[r * channels + c] * y[r * channels + c];
    for (size_t c = 0; c < channels; c++) {
      const size_t i = r * channels + c;
      expected[i] = y[i] * (gradient[i] - sum);
    }
  }
  expect_close(result, expected, count, 1e-6, 1);

  begin_case("log_softmax", "%zu x %zu around %g", rows, channels, offset);
  kernels->log_softmax(y, x, rows, channels);
  expect_relative(y, logarithm, count, 1e-6, 1e-6);

  begin_case("log_softmax_gradient", "%zu x %zu around %g", rows, channels, offset);
  kernels->log_softmax_gradient(result, y, gradient, rows, channels);
  for (size_t r = 0; r < rows; r++) {
    double sum = 0;
    for (size_t c = 0; c < channels; c++) sum += gradient[r * channels + c];
    for (size_t c = 0; c < channels; c++) {
      const size_t i = r * channels + c;
      expected[i] = gradient[i] - exp(y[i]) * sum;
    }
  }
  expect_close(result, expected, count, 1e-6, sqrt((double)channels) + 1);
  release_guarded();
}

static void check(ck_instruction_set level) {
  const ck_softmax_kernels *kernels = ck_softmax_kernels_for(level);
  static const size_t rows[] = {1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 37},
                      channels[] = {1, 2, 3, 4, 5, 7, 14, 16, 63, 64, 65, 130};
  for (size_t r = 0; r < COUNT_OF(rows); r++) {
    for (size_t c = 0; c < COUNT_OF(channels); c++) {
      check_shape(kernels, rows[r], channels[c], 4, 0);
      check_shape(kernels, rows[r], channels[c], 40, -500);
    }
  }
}

const check_family softmax_family = {"softmax", TABLE_OPERATIONS(ck_softmax_kernels), check};
