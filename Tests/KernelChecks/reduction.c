// Sums and maxima. Blocks of a sum are added in float32: errors stay below 2e-6 of the sum of magnitudes.
#include "checks.h"

static void check_arrays(const ck_reduction_kernels *kernels, size_t count, double low, double high) {
  float *x = random_floats(count, low, high);
  double sum = 0, magnitudes = 0, squares = 0, largest = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    sum += x[i];
    magnitudes += fabs(x[i]);
    squares += (double)x[i] * x[i];
    largest = fmax(largest, x[i]);
  }
  begin_case("sum", "%zu values in %g ... %g", count, low, high);
  expect_number(kernels->sum(x, count), sum, 2e-6 * magnitudes);
  begin_case("sum_of_squares", "%zu values in %g ... %g", count, low, high);
  expect_number(kernels->sum_of_squares(x, count), squares, 1e-13 * squares);
  begin_case("maximum", "%zu values in %g ... %g", count, low, high);
  expect_number(kernels->maximum(x, count), largest, 0);
  // Every place can hold the largest value, and NaN.
  for (size_t i = 0; i < count; i += 1 + count / 40) {
    const float kept = x[i];
    x[i] = (float)high + 1;
    expect_number(kernels->maximum(x, count), (float)high + 1, 0);
    x[i] = NAN;
    expect(isnan(kernels->maximum(x, count)), "NaN at %zu is lost", i);
    x[i] = kept;
  }
  release_guarded();
}

static void check_columns(const ck_reduction_kernels *kernels, size_t rows, size_t columns, double low, double high) {
  const float *x = random_floats(rows * columns, low, high);
  begin_case("add_columns", "%zu x %zu in %g ... %g", rows, columns, low, high);
  double *sums = guarded_doubles(columns), *expected = guarded_doubles(columns);
  for (size_t c = 0; c < columns; c++) sums[c] = expected[c] = (double)c;
  kernels->add_columns(sums, x, rows, columns);
  for (size_t i = 0; i < rows * columns; i++) expected[i % columns] += x[i];
  for (size_t c = 0; c < columns; c++)
    expect_number(sums[c], expected[c], 1e-6 * (double)rows * fmax(fabs(low), fabs(high)));

  begin_case("maximize_columns", "%zu x %zu", rows, columns);
  float *maxima = guarded_floats(columns);
  for (size_t c = 0; c < columns; c++) expected[c] = maxima[c] = (float)(low + (high - low) * (c % 3 ? 0 : 0.9));
  kernels->maximize_columns(maxima, x, rows, columns);
  for (size_t i = 0; i < rows * columns; i++) expected[i % columns] = fmax(expected[i % columns], x[i]);
  expect_close(maxima, expected, columns, 0, 1);

  begin_case("sum_rows", "%zu x %zu", rows, columns);
  float *row_sums = guarded_floats(rows);
  kernels->sum_rows(row_sums, x, rows, columns, -0.75);
  double *row_expected = guarded_doubles(rows);
  for (size_t r = 0; r < rows; r++) {
    double sum = 0;
    for (size_t c = 0; c < columns; c++) sum += x[r * columns + c];
    row_expected[r] = -0.75 * sum;
  }
  expect_close(row_sums, row_expected, rows, 1e-6, (double)columns * fmax(fabs(low), fabs(high)));
  release_guarded();
}

/// Labels come in runs and single ones, some of them ignored; values that do not count may be NaN.
static void check_class_sums(
    const ck_reduction_kernels *kernels, size_t voxels, size_t classes, int32_t ignored, int runs) {
  begin_case("class_sums", "%zu voxels of %zu classes, ignoring %d", voxels, classes, (int)ignored);
  float *map = random_floats(voxels * classes, -8, 1);
  int16_t *labels = guarded(voxels * sizeof(int16_t), sizeof(int16_t));
  double *sums = guarded_doubles(3 * classes), *expected = guarded_doubles(3 * classes);
  for (size_t k = 0; k < 3 * classes; k++) sums[k] = expected[k] = 0.5 * (double)k;
  int32_t label = 0;
  for (size_t v = 0; v < voxels; v++) {
    if (!runs || random_below(20) == 0) label = (int32_t)random_below((uint32_t)classes);
    labels[v] = (int16_t)label;
    if (ignored != INT32_MIN && random_below(4) == 0) labels[v] = (int16_t)ignored;
    if (labels[v] == ignored) {
      map[v * classes] = NAN;
      continue;
    }
    expected[labels[v]] += map[v * classes + (size_t)labels[v]];
    for (size_t k = 0; k < classes; k++) expected[classes + k] += map[v * classes + k];
    expected[2 * classes + (size_t)labels[v]] += 1;
  }
  expect(kernels->class_sums(sums, map, labels, voxels, classes, ignored), "a label was not known");
  for (size_t k = 0; k < 2 * classes; k++) expect_number(sums[k], expected[k], 2e-6 * 8 * (double)voxels);
  for (size_t k = 2 * classes; k < 3 * classes; k++) expect_number(sums[k], expected[k], 0);
  begin_case("class_values", "%zu voxels of %zu classes, ignoring %d", voxels, classes, (int)ignored);
  const float *own = random_floats(classes, -1, 1), *all = random_floats(classes, -1, 1);
  float *values = guarded_floats(voxels * classes);
  double *wanted = guarded_doubles(voxels * classes);
  for (size_t i = 0; i < voxels * classes; i++) {
    const int32_t label = labels[i / classes], k = (int32_t)(i % classes);
    wanted[i] = label == ignored ? 0 : label == k ? all[k] + own[k] : all[k];
  }
  expect(kernels->class_values(values, own, all, labels, voxels, classes, ignored), "a label was not known");
  expect_close(values, wanted, voxels * classes, 0, 1);

  const size_t place = random_below((uint32_t)voxels);
  labels[place] = (int16_t)classes;
  expect(!kernels->class_sums(sums, map, labels, voxels, classes, ignored), "label %zu passes", classes);
  labels[place] = -7;
  expect(!kernels->class_sums(sums, map, labels, voxels, classes, ignored), "label -7 passes");
  expect(!kernels->class_values(values, own, all, labels, voxels, classes, ignored), "label -7 passes");
  release_guarded();
}

static void check(ck_instruction_set level) {
  const ck_reduction_kernels *kernels = ck_reduction_kernels_for(level);
  static const size_t counts[] = {1000, 1023, 1024, 1025, 1028, 2051, 4097, 20011};
  for (size_t count = 1; count <= 70; count++) check_arrays(kernels, count, -1, 2);
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    check_arrays(kernels, counts[i], -1, 2);
    check_arrays(kernels, counts[i], 9999, 10001);
  }
  // Squares that float32 does not hold.
  check_arrays(kernels, 100, 1e22, 3e22);
  static const size_t voxels[] = {1, 3, 15, 16, 17, 64, 511, 512, 513, 1100},
                      classes[] = {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33, 105};
  for (size_t v = 0; v < COUNT_OF(voxels); v++) {
    for (size_t k = 0; k < COUNT_OF(classes); k++) {
      check_class_sums(kernels, voxels[v], classes[k], INT32_MIN, 1);
      check_class_sums(kernels, voxels[v], classes[k], -1, 0);
      check_class_sums(kernels, voxels[v], classes[k], 1000, 0);
      // A class that is ignored.
      check_class_sums(kernels, voxels[v], classes[k], (int32_t)classes[k] - 1, 0);
    }
  }
  static const size_t rows[] = {1, 2, 3, 31, 32, 33, 64, 101},
                      columns[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65};
  for (size_t r = 0; r < COUNT_OF(rows); r++) {
    for (size_t c = 0; c < COUNT_OF(columns); c++) {
      check_columns(kernels, rows[r], columns[c], -1, 2);
      if (r == COUNT_OF(rows) - 1) check_columns(kernels, rows[r], columns[c], 9999, 10001);
    }
  }
}

const check_family reduction_family = {"reduction", TABLE_OPERATIONS(ck_reduction_kernels), check};
