// Elementwise kernels: what IEEE 754 rounds once is exact, NaN and infinities included; elementary functions are
// within a few units in the last place.
#include "checks.h"

typedef double (*binary_reference)(double, double);
typedef double (*unary_reference)(double, double, double);

// Sums, products and quotients of two floats, rounded to double and then to float, are rounded as if once.
static double add_of(double a, double b) { return (float)(a + b); }
static double subtract_of(double a, double b) { return (float)(a - b); }
static double multiply_of(double a, double b) { return (float)(a * b); }
static double divide_of(double a, double b) { return (float)(a / b); }
static double maximum_of(double a, double b) { return isnan(a) || isnan(b) ? NAN : a > b ? a : b; }
static double minimum_of(double a, double b) { return isnan(a) || isnan(b) ? NAN : a < b ? a : b; }
static double greater_of(double a, double b) { return a > b; }
static double greater_equal_of(double a, double b) { return a >= b; }
static double equal_of(double a, double b) { return a == b; }

static double scale_offset_of(double x, double p, double q) { return (float)(p * x + q); }
static double exponential_of(double x, double p, double q) { (void)p, (void)q; return (float)exp(x); }
static double logarithm_of(double x, double p, double q) { (void)p, (void)q; return log(x); }
static double square_root_of(double x, double p, double q) { (void)p, (void)q; return (float)sqrt(x); }
static double reciprocal_of(double x, double p, double q) { (void)p, (void)q; return (float)(1 / x); }
static double absolute_of(double x, double p, double q) { (void)p, (void)q; return fabs(x); }
static double clamp_of(double x, double p, double q) { return isnan(x) ? NAN : fmin(fmax(x, p), q); }
static double leaky_of(double x, double p, double q) { (void)q; return x > 0 ? x : (float)(x * p); }
static double sigmoid_of(double x, double p, double q) { (void)p, (void)q; return 1 / (1 + exp(-x)); }
static double softplus_of(double x, double p, double q) {
  (void)p, (void)q;
  return isnan(x) ? NAN : (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67, 1001};

/// Some of the values that comparisons and roundings trip over.
static void spice(float *values, size_t count) {
  static const float unusual[] = {0, -0.0f, NAN, INFINITY, -INFINITY, 1e-42f, 1, -1, 3e38f};
  for (size_t i = 0; i < count; i += 3) values[i] = unusual[random_below(COUNT_OF(unusual))];
}

static void check_binary(const char *name, ck_binary_kernel kernel, binary_reference reference) {
  static const struct {
    size_t rows, columns;
  } shapes[] = {{1, 1}, {1, 3}, {1, 4}, {2, 5}, {3, 7}, {1, 16}, {5, 17}, {2, 33}, {3, 64}, {1, 1003}};
  enum { plain, scalar_columns, one_row, padded, kinds };
  for (size_t s = 0; s < COUNT_OF(shapes); s++) {
    for (int kind = 0; kind < kinds * kinds; kind++) {
      const size_t rows = shapes[s].rows, columns = shapes[s].columns;
      const int of[2] = {kind % kinds, kind / kinds};
      begin_case(name, "%zu x %zu, inputs of kind %d and %d", rows, columns, of[0], of[1]);
      float *inputs[2];
      size_t row[2], column[2];
      for (int i = 0; i < 2; i++) {
        row[i] = of[i] == plain ? columns : of[i] == scalar_columns ? 1 : of[i] == one_row ? 0 : columns + 3;
        column[i] = of[i] != scalar_columns;
        const size_t count = (rows - 1) * row[i] + (columns - 1) * column[i] + 1;
        inputs[i] = random_floats(count, -2, 2);
        if (s % 2) spice(inputs[i], count);
      }
      double *expected = guarded_doubles(rows * columns);
      for (size_t i = 0; i < rows * columns; i++) {
        expected[i] = reference(
            inputs[0][i / columns * row[0] + i % columns * column[0]],
            inputs[1][i / columns * row[1] + i % columns * column[1]]);
      }
      float *result = guarded_floats(rows * columns);
      kernel(result, rows, columns, inputs[0], row[0], column[0], inputs[1], row[1], column[1]);
      expect_close(result, expected, rows * columns, 0, 1);
      for (int i = 0; i < 2; i++) {
        if (of[i] != plain) continue;
        // In place.
        float *kept = guarded_floats(rows * columns);
        memcpy(kept, inputs[i], rows * columns * sizeof(float));
        kernel(inputs[i], rows, columns, inputs[0], row[0], column[0], inputs[1], row[1], column[1]);
        expect_close(inputs[i], expected, rows * columns, 0, 1);
        memcpy(inputs[i], kept, rows * columns * sizeof(float));
      }
      release_guarded();
    }
  }
}

/// The error allowed is `tolerance` times the result's magnitude, plus `floor`.
static void check_unary(
    const char *name, ck_unary_kernel kernel, unary_reference reference, float p, float q, double low, double high,
    double tolerance, double floor) {
  for (size_t c = 0; c < COUNT_OF(counts); c++) {
    for (int spiced = 0; spiced <= 1; spiced++) {
      const size_t count = counts[c];
      begin_case(name, "%zu values in %g ... %g", count, low, high);
      float *x = random_floats(count, low, high), *result = guarded_floats(count);
      if (spiced) spice(x, count);
      double *expected = guarded_doubles(count);
      for (size_t i = 0; i < count; i++) expected[i] = reference(x[i], p, q);
      kernel(result, x, count, p, q);
      expect_relative(result, expected, count, tolerance, floor);
      float *kept = guarded_floats(count);
      memcpy(kept, result, count * sizeof(float));
      kernel(x, x, count, p, q);
      expect_same(x, kept, count * sizeof(float));
      release_guarded();
    }
  }
}

static void check_others(const ck_pointwise_kernels *kernels) {
  for (size_t c = 0; c < COUNT_OF(counts); c++) {
    const size_t count = counts[c];
    float *x = random_floats(count, -2, 2), *a = random_floats(count, -2, 2), *b = random_floats(count, -2, 2);
    for (size_t i = 0; i < count; i += 5) x[i] = i % 2 ? 0 : -0.0f;
    float *result = guarded_floats(count);
    double *expected = guarded_doubles(count);

    begin_case("leaky_rectifier_gradient", "%zu values", count);
    kernels->leaky_rectifier_gradient(result, x, a, count, 0.01f);
    for (size_t i = 0; i < count; i++) expected[i] = x[i] > 0 ? a[i] : 0.01f * a[i];
    expect_close(result, expected, count, 0, 1);

    begin_case("scaled_add", "%zu values", count);
    kernels->scaled_add(result, a, 0.3f, b, -1.7f, count);
    for (size_t i = 0; i < count; i++) expected[i] = 0.3f * (double)a[i] - 1.7f * (double)b[i];
    expect_close(result, expected, count, 1.5e-7, 4);

    for (int uses_nesterov = 0; uses_nesterov <= 1; uses_nesterov++) {
      begin_case("momentum_step", "%zu values, Nesterov's %d", count, uses_nesterov);
      const ck_momentum_step step = {0.7f, 0.03f, 0.9f, 0.2f, uses_nesterov};
      double *momenta = guarded_doubles(count);
      for (size_t i = 0; i < count; i++) {
        const double direction = (double)step.gradient_factor * b[i] + (double)step.weight_decay * x[i];
        momenta[i] = (double)step.momentum * a[i] + direction;
        const double way = uses_nesterov ? direction + (double)step.momentum * momenta[i] : momenta[i];
        expected[i] = x[i] - (double)step.rate * way;
      }
      float *moved = guarded_floats(count), *p = guarded_floats(count), *m = guarded_floats(count);
      kernels->momentum_step(result, moved, x, a, b, count, step);
      expect_close(result, expected, count, 2e-7, 4);
      expect_close(moved, momenta, count, 2e-7, 4);
      memcpy(p, x, count * sizeof(float));
      memcpy(m, a, count * sizeof(float));
      kernels->momentum_step(p, m, p, m, b, count, step);
      expect_same(p, result, count * sizeof(float));
      expect_same(m, moved, count * sizeof(float));
    }

    begin_case("select", "%zu values", count);
    kernels->select(result, x, a, b, count);
    for (size_t i = 0; i < count; i++) expected[i] = x[i] != 0 ? a[i] : b[i];
    expect_close(result, expected, count, 0, 1);
    release_guarded();
  }
}

static void check(ck_instruction_set level) {
  const ck_pointwise_kernels *kernels = ck_pointwise_kernels_for(level);
  check_binary("add", kernels->add, add_of);
  check_binary("subtract", kernels->subtract, subtract_of);
  check_binary("multiply", kernels->multiply, multiply_of);
  check_binary("divide", kernels->divide, divide_of);
  check_binary("maximum", kernels->maximum, maximum_of);
  check_binary("minimum", kernels->minimum, minimum_of);
  check_binary("greater", kernels->greater, greater_of);
  check_binary("greater_equal", kernels->greater_equal, greater_equal_of);
  check_binary("equal", kernels->equal, equal_of);
  check_unary("scale_offset", kernels->scale_offset, scale_offset_of, 1.75f, 0.3f, -3, 3, 2e-7, 3e-7);
  check_unary("exponential", kernels->exponential, exponential_of, 0, 0, -2, 2, 3e-7, 0);
  check_unary("exponential", kernels->exponential, exponential_of, 0, 0, -87, 88.7, 3e-7, 0);
  check_unary("exponential", kernels->exponential, exponential_of, 0, 0, -110, -80, 3e-7, 3e-45);
  check_unary("logarithm", kernels->logarithm, logarithm_of, 0, 0, 1e-3, 3, 3e-7, 0);
  check_unary("logarithm", kernels->logarithm, logarithm_of, 0, 0, 0.98, 1.02, 3e-7, 0);
  check_unary("logarithm", kernels->logarithm, logarithm_of, 0, 0, -1, 1e30, 3e-7, 0);
  check_unary("square_root", kernels->square_root, square_root_of, 0, 0, -0.1, 100, 0, 0);
  check_unary("reciprocal", kernels->reciprocal, reciprocal_of, 0, 0, -4, 4, 0, 0);
  check_unary("absolute_value", kernels->absolute_value, absolute_of, 0, 0, -4, 4, 0, 0);
  check_unary("clamp", kernels->clamp, clamp_of, -0.5f, 1.25f, -2, 2, 0, 0);
  check_unary("leaky_rectifier", kernels->leaky_rectifier, leaky_of, 0.01f, 0, -2, 2, 0, 0);
  check_unary("sigmoid", kernels->sigmoid, sigmoid_of, 0, 0, -20, 20, 5e-7, 0);
  check_unary("sigmoid", kernels->sigmoid, sigmoid_of, 0, 0, -87, 120, 5e-7, 1e-38);
  check_unary("softplus", kernels->softplus, softplus_of, 0, 0, -30, 30, 5e-7, 0);
  check_unary("softplus", kernels->softplus, softplus_of, 0, 0, -110, 110, 5e-7, 1e-38);
  check_others(kernels);
}

const check_family pointwise_family = {"pointwise", TABLE_OPERATIONS(ck_pointwise_kernels), check};
