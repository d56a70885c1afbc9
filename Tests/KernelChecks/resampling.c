// Resampling along an axis: double precision inside, so that results are those of plain sums rounded once. The spline's
// coefficients are solved for as a tridiagonal system, which is how they are defined, not by recursive filters.
#include "checks.h"

/// Replaces samples by the coefficients of the cubic B-spline through them; the signal continues by reflection.
static void solve_spline(double *samples, size_t size) {
  double *upper = guarded_doubles(size);
  // Rows (1, 4, 1) / 6; at the ends the neighbour outside is the end itself.
  for (size_t i = 0; i < size; i++) {
    const double before = i > 0 ? upper[i - 1] : 0;
    const double diagonal = 4 + (i == 0) + (i + 1 == size) - before;
    upper[i] = 1 / diagonal;
    samples[i] = (6 * samples[i] - (i > 0 ? samples[i - 1] : 0)) / diagonal;
  }
  for (size_t i = size - 1; i > 0; i--) samples[i - 1] -= upper[i - 1] * samples[i];
}

typedef struct resampling_case {
  size_t input, output, padding, taps;
  int prefilter;
} resampling_case;

// The recursive filters start as if the signal went on for long: callers pad it by 12, as SciPy does.
static const resampling_case cases[] = {
    {1, 1, 0, 1, 0}, {1, 5, 1, 2, 0},  {7, 9, 0, 2, 0},   {17, 40, 1, 4, 0}, {40, 17, 2, 3, 0},
    {9, 3, 0, 7, 0}, {1, 4, 12, 4, 1}, {8, 13, 12, 4, 1}, {33, 50, 12, 4, 1}, {50, 18, 12, 4, 1},
};

/// The axis of a case with random starts and weights.
static ck_resampling_axis axis_of(const resampling_case *test) {
  const size_t padded = test->input + 2 * test->padding;
  int32_t *starts = guarded(test->output * sizeof(int32_t), sizeof(int32_t));
  double *weights = guarded_doubles(test->output * test->taps);
  for (size_t i = 0; i < test->output; i++) starts[i] = (int32_t)random_below((uint32_t)(padded - test->taps + 1));
  for (size_t i = 0; i < test->output * test->taps; i++) weights[i] = random_number(-0.5, 1);
  return (ck_resampling_axis){test->input, test->output, test->padding, test->taps, test->prefilter, starts, weights};
}

/// One line of samples, `stride` apart, to `result`, `result_stride` apart.
static void resample(const ck_resampling_axis *axis, const float *source, ptrdiff_t stride, double *result,
    ptrdiff_t result_stride, float low, float high) {
  const size_t padded = axis->input_size + 2 * axis->padding;
  double *samples = guarded_doubles(padded);
  for (size_t i = 0; i < padded; i++) {
    size_t from = i < axis->padding ? 0 : i - axis->padding;
    if (from >= axis->input_size) from = axis->input_size - 1;
    samples[i] = source[(ptrdiff_t)from * stride];
  }
  if (axis->prefilter) solve_spline(samples, padded);
  for (size_t i = 0; i < axis->output_size; i++) {
    double sum = 0;
    for (size_t k = 0; k < axis->taps; k++)
      sum += axis->weights[i * axis->taps + k] * samples[(size_t)axis->starts[i] + k];
    result[(ptrdiff_t)i * result_stride] = fmin(fmax(sum, low), high);
  }
}

static void check_axis(const ck_resampling_kernels *kernels, const resampling_case *test, int clamps) {
  static const size_t widths[] = {1, 2, 3, 4, 5, 15, 16, 17, 32, 33, 63, 256}, row_counts[] = {1, 2, 5, 16, 31, 32};
  const float low = clamps ? -0.25f : -1e30f, high = clamps ? 0.5f : 1e30f;
  const size_t padded = test->input + 2 * test->padding;
  for (size_t w = 0; w < COUNT_OF(widths); w++) {
    const size_t width = widths[w], unit = CK_RESAMPLING_WIDTH_UNIT;
    if (width > 33 && test->input > 20) continue;
    begin_case(
        "columns", "%zu -> %zu, padding %zu, %zu taps, prefilter %d, width %zu, clamps %d", test->input, test->output,
        test->padding, test->taps, test->prefilter, width, clamps);
    const ck_resampling_axis axis = axis_of(test);
    const ptrdiff_t stride = (ptrdiff_t)width + 3, result_stride = (ptrdiff_t)width;
    const float *source = random_floats((test->input - 1) * (size_t)stride + width, -1, 1);
    float *result = guarded_floats(test->output * width);
    double *scratch = guarded(padded * ((width + unit - 1) / unit * unit) * sizeof(double), 64);
    double *expected = guarded_doubles(test->output * width);
    for (size_t i = 0; i < width; i++) resample(&axis, source + i, stride, expected + i, result_stride, low, high);
    kernels->columns(&axis, source, stride, width, result, result_stride, scratch, low, high);
    expect_close(result, expected, test->output * width, 1e-6, 0);
    release_guarded();
  }
  for (size_t r = 0; r < COUNT_OF(row_counts); r++) {
    const size_t rows = row_counts[r];
    begin_case(
        "rows", "%zu -> %zu, padding %zu, %zu taps, prefilter %d, %zu rows, clamps %d", test->input, test->output,
        test->padding, test->taps, test->prefilter, rows, clamps);
    const ck_resampling_axis axis = axis_of(test);
    const ptrdiff_t stride = (ptrdiff_t)test->input + 2, result_stride = (ptrdiff_t)test->output;
    const float *source = random_floats((rows - 1) * (size_t)stride + test->input, -1, 1);
    float *result = guarded_floats(test->output * rows);
    double *scratch = guarded(padded * CK_RESAMPLING_ROWS * sizeof(double), 64);
    double *expected = guarded_doubles(test->output * rows);
    for (size_t i = 0; i < rows; i++) {
      resample(&axis, source + (ptrdiff_t)i * stride, 1, expected + (ptrdiff_t)i * result_stride, 1, low, high);
    }
    kernels->rows(&axis, source, stride, rows, result, result_stride, scratch, low, high);
    expect_close(result, expected, test->output * rows, 1e-6, 0);
    release_guarded();
  }
}

/// The nearest multiple of float16's spacing there, halves to even.
static double half_of(double value) {
  if (!isfinite(value) || value == 0) return value;
  int exponent;
  frexp(value, &exponent);
  const double spacing = ldexp(1, exponent - 1 < -14 ? -24 : exponent - 11);
  const double rounded = rint(value / spacing) * spacing;
  return fabs(rounded) > 65504 ? copysign(INFINITY, value) : rounded;
}

static void check_elements(const ck_resampling_kernels *kernels, size_t count) {
  float *values = random_floats(count, -3, 3);
  double *expected = guarded_doubles(count);

  begin_case("extrema", "%zu values", count);
  if (count > 4) values[count / 2] = NAN;
  float low = 0.5f, high = 0.6f, expected_low = low, expected_high = high;
  for (size_t i = 0; i < count; i++) {
    if (values[i] < expected_low) expected_low = values[i];
    if (values[i] > expected_high) expected_high = values[i];
  }
  kernels->extrema(values, count, &low, &high);
  expect_number(low, expected_low, 0);
  expect_number(high, expected_high, 0);

  begin_case("round_to_half", "%zu values", count);
  static const float unusual[] = {0, -0.0f, NAN, INFINITY, -INFINITY, 65504, 65519.9f, 65520, -7e4f, 6.1e-5f, 6.0e-5f,
                                  2.9e-8f, 3e-8f, 1e-40f, 1.00048828125f, 1.00146484375f, 2049, 2051};
  for (size_t i = 0; i < count; i++) {
    values[i] = i % 2 ? unusual[random_below(COUNT_OF(unusual))]
                      : (float)ldexp(random_number(-1, 1), (int)random_below(44) - 26);
    expected[i] = half_of(values[i]);
  }
  kernels->round_to_half(values, count);
  expect_close(values, expected, count, 0, 1);

  begin_case("update_maximum", "%zu values", count);
  float *best = random_floats(count, -1, 1);
  int16_t *winner = guarded(count * sizeof *winner, sizeof *winner), *expected_winner = guarded(count * 2, 2);
  for (size_t i = 0; i < count; i++) {
    values[i] = i % 7 == 3 ? best[i] : (float)random_number(-1, 1);
    winner[i] = (int16_t)i;
    expected_winner[i] = values[i] > best[i] ? -9 : (int16_t)i;
    expected[i] = values[i] > best[i] ? values[i] : best[i];
  }
  kernels->update_maximum(values, best, winner, -9, count);
  expect_close(best, expected, count, 0, 1);
  expect_same(winner, expected_winner, count * sizeof *winner);

  begin_case("sigmoid", "%zu values", count);
  for (size_t i = 0; i < count; i++) {
    values[i] = (float)random_number(i % 3 ? -20 : -120, i % 3 ? 20 : 120);
    expected[i] = 1 / (1 + exp(-(double)values[i]));
  }
  kernels->sigmoid(values, count);
  expect_relative(values, expected, count, 1e-6, 2e-38);
  release_guarded();

  for (size_t channels = 1; channels <= 14; channels += channels < 4 ? 1 : 5) {
    begin_case("softmax", "%zu channels of %zu values", channels, count);
    const size_t stride = count + 5, all = (channels - 1) * stride + count;
    float *planes = random_floats(all, -30, 30);
    double *planes_expected = guarded_doubles(all);
    for (size_t i = 0; i < all; i++) planes_expected[i] = planes[i];
    for (size_t i = 0; i < count; i++) {
      double largest = -INFINITY, sum = 0;
      for (size_t c = 0; c < channels; c++) largest = fmax(largest, planes[c * stride + i]);
      for (size_t c = 0; c < channels; c++) sum += exp(planes[c * stride + i] - largest);
      for (size_t c = 0; c < channels; c++)
        planes_expected[c * stride + i] = exp(planes[c * stride + i] - largest) / sum;
    }
    kernels->softmax(planes, channels, stride, count);
    // Differences of up to 60 are rounded before exp takes them.
    expect_relative(planes, planes_expected, all, 5e-6, 1e-37);
    release_guarded();
  }
}

static void check(ck_instruction_set level) {
  const ck_resampling_kernels *kernels = ck_resampling_kernels_for(level);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    check_axis(kernels, &cases[i], 0);
    check_axis(kernels, &cases[i], 1);
  }
  static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 100, 255, 256, 257, 1003};
  for (size_t i = 0; i < COUNT_OF(counts); i++) check_elements(kernels, counts[i]);
}

const check_family resampling_family = {"resampling", TABLE_OPERATIONS(ck_resampling_kernels), check};
