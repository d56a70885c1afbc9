// Convolution against its definition in double precision: every pass and algorithm, sources that are normalised while
// they are read, results cut into two tensors, and the moments of results.
//
// Errors are relative to the largest element of the result. Direct sums of a few thousand products round to 3e-6;
// Winograd's transforms with tiles of 2 to 5e-6, with tiles of 4 to 2e-5, with tiles of 6 to 5e-5.
#include "checks.h"

static const struct {
  ck_convolution_algorithm algorithm;
  const char *name, *gradient_name;
  double tolerance;
} algorithms[] = {
    {CK_CONVOLUTION_DIRECT, "direct", "direct input gradient", 3e-6},
    {CK_CONVOLUTION_WINOGRAD2, "winograd2", "winograd2 input gradient", 5e-6},
    {CK_CONVOLUTION_WINOGRAD4, "winograd4", "winograd4 input gradient", 2e-5},
    {CK_CONVOLUTION_WINOGRAD6, "winograd6", "winograd6 input gradient", 5e-5},
    {CK_CONVOLUTION_AUTO, "auto", "auto input gradient", 2e-5},
    {CK_CONVOLUTION_FASTEST, "fastest", "fastest input gradient", 5e-5},
};

/// Gradients of weights that were checked and kept points.
static int kept_points;

typedef struct convolution_case {
  int batch, inputs, outputs;
  int input[3], kernel[3];
  /// Zeros in `stride` and `dilation` count as 1, in `groups` too; `padding` is that of the lower side plus 1, and 0
  /// stands for half the kernel. `upper` is the same.
  int stride[3], padding[3], upper[3], dilation[3], groups;
} convolution_case;

#define CUBE(n) {n, n, n}

static const convolution_case plain_cases[] = {
    {1, 1, 1, CUBE(3), CUBE(3)},
    {2, 5, 7, {5, 6, 7}, CUBE(3)},
    {1, 32, 32, {4, 7, 14}, CUBE(3)},
    {1, 32, 33, {4, 5, 4}, CUBE(3)},
    {1, 33, 65, {3, 4, 13}, CUBE(3)},
    {1, 1, 32, {5, 6, 30}, CUBE(3)},
    {1, 2, 20, {1, 9, 30}, {1, 3, 3}},
    {2, 16, 24, {1, 17, 19}, {1, 3, 3}},
    {1, 12, 16, {11, 9, 13}, CUBE(3)},
    {5, 3, 6, {3, 2, 5}, CUBE(3)},
    // Several stacks of tiles along z and y.
    {2, 16, 20, {19, 21, 7}, CUBE(3)},
    // Many channels and few tiles: gradients of weights keep points.
    {2, 81, 100, {5, 6, 3}, CUBE(3)},
    {3, 136, 240, {1, 7, 9}, {1, 3, 3}},
    {1, 56, 97, {5, 4, 6}, CUBE(3), .stride = CUBE(2)},
    // Lines, columns, and a kernel that is flat along y.
    {2, 6, 10, {1, 1, 23}, {1, 1, 3}},
    {2, 6, 10, {9, 1, 1}, {3, 1, 1}},
    {1, 20, 20, {9, 1, 18}, {3, 1, 3}},
    {1, 4, 12, {6, 7, 8}, {3, 3, 1}},
    // 1x1.
    {1, 24, 3, {5, 6, 7}, CUBE(1)},
    {3, 4, 4, {3, 3, 2}, CUBE(1)},
    {2, 17, 21, {1, 5, 9}, CUBE(1)},
    {2, 40, 2, {3, 2, 35}, CUBE(1)},
    {1, 20, 1, {2, 3, 16}, CUBE(1)},
    {1, 16, 8, {2, 3, 21}, CUBE(1)},
    {1, 16, 8, {4, 4, 12}, CUBE(1), .stride = CUBE(2)},
    // Strides.
    {2, 16, 24, {7, 8, 9}, CUBE(3), .stride = CUBE(2)},
    {1, 16, 24, {7, 8, 9}, CUBE(3), .stride = {1, 2, 2}},
    {1, 33, 40, {6, 13, 17}, CUBE(3), .stride = {2, 1, 1}},
    {2, 20, 34, {1, 17, 31}, {1, 3, 3}, .stride = {1, 2, 2}},
    {1, 18, 36, {9, 1, 12}, {3, 1, 3}, .stride = {2, 1, 2}},
    {1, 16, 32, {7, 9, 1}, {3, 3, 1}, .stride = {1, 2, 1}},
    {1, 16, 24, {7, 8, 9}, CUBE(3), .stride = {1, 1, 2}},
    {3, 8, 20, {8, 6, 7}, CUBE(3), .stride = CUBE(2), .padding = CUBE(1), .upper = CUBE(1)},
    {1, 64, 48, {4, 8, 6}, CUBE(2), .stride = CUBE(2), .padding = CUBE(1), .upper = CUBE(1)},
    {1, 3, 9, {9, 10, 11}, CUBE(2), .stride = CUBE(3), .padding = CUBE(1), .upper = CUBE(1)},
    {1, 4, 8, {6, 6, 6}, CUBE(4), .stride = CUBE(2), .padding = CUBE(2), .upper = CUBE(2)},
    {2, 5, 18, {1, 11, 26}, {1, 5, 5}, .stride = {1, 2, 2}},
    // Groups.
    {1, 8, 12, {6, 7, 8}, CUBE(3), .groups = 4},
    {1, 8, 12, {6, 7, 8}, CUBE(3), .stride = CUBE(2), .groups = 4},
    {1, 6, 6, {6, 7, 8}, {3, 1, 3}, .groups = 6},
    {2, 24, 36, {1, 6, 13}, CUBE(1), .groups = 2},
    // Dilation, odd kernels, odd paddings.
    {1, 10, 9, {9, 9, 11}, CUBE(3), .padding = CUBE(3), .upper = CUBE(3), .dilation = CUBE(2)},
    {1, 10, 9, {9, 10, 11}, CUBE(3), .stride = CUBE(2), .padding = CUBE(3), .upper = CUBE(3), .dilation = CUBE(2)},
    {1, 20, 9, {7, 8, 11}, CUBE(3), .stride = {1, 2, 3}, .padding = {2, 4, 3}, .upper = {2, 4, 3},
     .dilation = {1, 3, 2}},
    {1, 10, 9, {9, 10, 11}, {5, 3, 7}, .stride = {3, 2, 1}, .padding = {3, 2, 4}, .upper = {3, 2, 4}},
    {3, 3, 17, CUBE(5), CUBE(3), .padding = CUBE(1), .upper = CUBE(1)},
    {1, 18, 20, {4, 5, 16}, CUBE(3), .padding = CUBE(1), .upper = CUBE(1)},
    {1, 9, 4, CUBE(6), CUBE(3), .padding = {1, 3, 2}, .upper = {2, 1, 3}},
    {1, 7, 5, {6, 5, 4}, CUBE(3), .padding = {5, 4, 4}, .upper = {5, 4, 4}},
    // Few pixels of many channels: tasks that share the channels.
    {1, 40, 48, CUBE(2), CUBE(3)},
    {1, 144, 136, {2, 3, 2}, CUBE(3)},
    // Many blocks of rows and tiles: partial gradients of many splits.
    {2, 4, 8, {1, 96, 130}, {1, 3, 3}},
};

/// Cases with sources of their own: two of `inputs` if `second` is not 0, else one.
static const struct {
  convolution_case geometry;
  int second;
} fused_cases[] = {
    {{1, 32, 32, {5, 6, 17}, CUBE(3)}, 0},
    {{3, 16, 40, {5, 6, 7}, CUBE(3)}, 0},
    {{2, 16, 24, {6, 8, 9}, CUBE(3)}, 16},
    {{2, 20, 33, {4, 7, 5}, CUBE(3)}, 20},
    {{5, 32, 48, CUBE(4), CUBE(3)}, 0},
    {{2, 49, 97, {4, 4, 5}, CUBE(3)}, 32},
    {{2, 24, 16, {1, 20, 31}, {1, 3, 3}}, 8},
    {{2, 48, 64, {5, 6, 7}, CUBE(3), .stride = CUBE(2)}, 0},
    {{2, 1, 32, {8, 7, 10}, CUBE(3)}, 0},
    {{2, 48, 64, {1, 15, 17}, {1, 3, 3}, .stride = {1, 2, 2}}, 16},
    {{3, 16, 24, {6, 7, 9}, CUBE(3), .stride = {1, 2, 2}}, 0},
    {{2, 32, 3, {7, 9, 11}, CUBE(1)}, 0},
    {{2, 20, 4, {3, 5, 37}, CUBE(1)}, 16},
    {{2, 17, 19, {3, 2, 5}, CUBE(1)}, 3},
    {{3, 3, 18, {2, 3, 5}, CUBE(3)}, 2},
    {{2, 8, 12, {6, 7, 8}, CUBE(3), .groups = 4}, 0},
    {{1, 6, 10, {7, 8, 9}, CUBE(3), .padding = CUBE(3), .upper = CUBE(3), .dilation = CUBE(2)}, 5},
};

static ck_convolution_shape shape_of(const convolution_case *test) {
  ck_convolution_shape shape = {
      .batch = test->batch, .input_channels = test->inputs, .output_channels = test->outputs,
      .groups = test->groups ? test->groups : 1};
  for (int a = 0; a < 3; a++) {
    shape.input[a] = test->input[a];
    shape.kernel[a] = test->kernel[a];
    shape.stride[a] = test->stride[a] ? test->stride[a] : 1;
    shape.dilation[a] = test->dilation[a] ? test->dilation[a] : 1;
    shape.padding_lower[a] = test->padding[a] ? test->padding[a] - 1 : test->kernel[a] / 2;
    const int upper = test->upper[a] ? test->upper[a] - 1 : test->kernel[a] / 2;
    const int covered = test->input[a] + shape.padding_lower[a] + upper - shape.dilation[a] * (test->kernel[a] - 1) - 1;
    shape.output[a] = covered / shape.stride[a] + 1;
  }
  return shape;
}

static size_t volume(const int size[3]) { return (size_t)size[0] * (size_t)size[1] * (size_t)size[2]; }
static size_t input_count(const ck_convolution_shape *s) {
  return (size_t)s->batch * volume(s->input) * (size_t)s->input_channels;
}
static size_t output_count(const ck_convolution_shape *s) {
  return (size_t)s->batch * volume(s->output) * (size_t)s->output_channels;
}
static size_t weight_count(const ck_convolution_shape *s) {
  return volume(s->kernel) * (size_t)s->output_channels * (size_t)(s->input_channels / s->groups);
}

static void begin(const char *operation, const char *what, const ck_convolution_shape *s) {
  begin_case(
      operation,
      "%s %dx%d->%d input %d,%d,%d kernel %d,%d,%d stride %d,%d,%d padding %d,%d,%d dilation %d,%d,%d groups %d",
      what, s->batch, s->input_channels, s->output_channels, s->input[0], s->input[1], s->input[2], s->kernel[0],
      s->kernel[1], s->kernel[2], s->stride[0], s->stride[1], s->stride[2], s->padding_lower[0], s->padding_lower[1],
      s->padding_lower[2], s->dilation[0], s->dilation[1], s->dilation[2], s->groups);
}

/// The definition. Adds to what `y`, `dx` and `dw` hold, each of which may be null; every `step`-th output position.
static void reference(const ck_convolution_shape *s, size_t step, const double *x, const double *w, const double *g,
    double *y, double *dx, double *dw) {
  const int inputs = s->input_channels / s->groups, outputs = s->output_channels / s->groups;
  const size_t taps = volume(s->kernel), positions = volume(s->output);
  for (size_t at = 0; at < (size_t)s->batch * positions; at += step) {
    const size_t image = at / positions, position = at % positions;
    const int q[3] = {
        (int)(position / (size_t)(s->output[1] * s->output[2])), (int)(position / (size_t)s->output[2]) % s->output[1],
        (int)(position % (size_t)s->output[2])};
    for (size_t tap = 0; tap < taps; tap++) {
      const int k[3] = {
          (int)(tap / (size_t)(s->kernel[1] * s->kernel[2])), (int)(tap / (size_t)s->kernel[2]) % s->kernel[1],
          (int)(tap % (size_t)s->kernel[2])};
      size_t pixel = image;
      int inside = 1;
      for (int a = 0; a < 3; a++) {
        const int index = q[a] * s->stride[a] + k[a] * s->dilation[a] - s->padding_lower[a];
        inside &= index >= 0 && index < s->input[a];
        pixel = pixel * (size_t)s->input[a] + (size_t)index;
      }
      if (!inside) continue;
      for (int o = 0; o < s->output_channels; o++) {
        const size_t from = pixel * (size_t)s->input_channels + (size_t)(o / outputs * inputs);
        const size_t to = at * (size_t)s->output_channels + (size_t)o;
        const size_t first = (size_t)o * (size_t)inputs * taps + tap;
        if (y) {
          double sum = 0;
          for (int i = 0; i < inputs; i++) sum += x[from + (size_t)i] * w[first + (size_t)i * taps];
          y[to] += sum;
        }
        if (dx)
          for (int i = 0; i < inputs; i++) dx[from + (size_t)i] += g[to] * w[first + (size_t)i * taps];
        if (dw)
          for (int i = 0; i < inputs; i++) dw[first + (size_t)i * taps] += g[to] * x[from + (size_t)i];
      }
    }
  }
}

/// Packs, and runs the tasks from the last to the first: none may need another's.
static void run_pass(const ck_convolution_kernels *kernels, const ck_convolution_plan *plan,
    const ck_convolution_input *input, const float *weights, const float *bias, ck_convolution_output output) {
  float *packed = guarded_floats((size_t)plan->packed_floats);
  for (int task = plan->pack_tasks - 1; task >= 0; task--) kernels->pack(plan, weights, packed, task);
  float *scratch = guarded((size_t)plan->scratch_floats * sizeof(float), 8);
  for (int task = plan->tasks - 1; task >= 0; task--) {
    memset(scratch, 0xFF, (size_t)plan->scratch_floats * sizeof(float));
    kernels->run(plan, input, packed, bias, &output, scratch, task);
  }
}

static void run_weight_gradient(const ck_convolution_kernels *kernels, const ck_convolution_plan *plan,
    const ck_convolution_input *input, const ck_convolution_source *gradient, float *result) {
  float *partials = guarded_floats((size_t)plan->partial_floats);
  float *scratch = guarded((size_t)plan->scratch_floats * sizeof(float), 8);
  for (int task = plan->tasks - 1; task >= 0; task--) {
    memset(scratch, 0xFF, (size_t)plan->scratch_floats * sizeof(float));
    kernels->accumulate(plan, input, gradient, partials, scratch, task);
  }
  for (int task = plan->reduce_tasks - 1; task >= 0; task--) {
    memset(scratch, 0xFF, (size_t)plan->scratch_floats * sizeof(float));
    kernels->reduce(plan, partials, result, scratch, task);
  }
}

static ck_convolution_input plain(const float *values, int channels) {
  return (ck_convolution_input){.count = 1, .sources = {{.values = values, .channels = channels, .slope = 1}}};
}

static ck_convolution_output whole(float *values, int channels, float *statistics) {
  return (ck_convolution_output){.count = 1, .values = {values}, .channels = {channels}, .statistics = statistics};
}

/// Records of moments that hold nothing yet, or null where the plan has none.
static float *empty_records(const ck_convolution_plan *plan) {
  if (plan->statistics_records == 0) return 0;
  float *records = guarded_floats((size_t)(plan->statistics_records * plan->statistics_floats));
  for (int r = 0; r < plan->statistics_records; r++) records[r * plan->statistics_floats] = 0;
  return records;
}

/// Joins each instance's records and compares with the mean and variance of the result's values.
static void expect_moments(const ck_convolution_kernels *kernels, const ck_convolution_plan *plan, const float *records,
    const float *values) {
  const ck_convolution_shape *s = &plan->shape;
  const size_t channels = (size_t)s->output_channels, pixels = volume(s->output);
  const ptrdiff_t padded = (plan->statistics_floats - 16) / 3;
  for (int image = 0; image < s->batch; image++) {
    int first = -1, last = -1;
    kernels->statistics_range(plan, image, &first, &last);
    expect(
        first >= 0 && first < last && last <= plan->statistics_records, "instance %d has the records %d ..< %d of %d",
        image, first, last, plan->statistics_records);
    for (size_t c = 0; c < channels; c++) {
      const float *value = values + (size_t)image * pixels * channels + c;
      double mean = 0, variance = 0, largest = 0;
      for (size_t p = 0; p < pixels; p++) {
        mean += value[p * channels];
        largest = fmax(largest, fabs(value[p * channels]));
      }
      mean /= (double)pixels;
      for (size_t p = 0; p < pixels; p++) variance += (value[p * channels] - mean) * (value[p * channels] - mean);
      variance /= (double)pixels;
      // T. F. Chan, G. H. Golub, R. J. LeVeque: "Updating formulae and a pairwise algorithm", 1979.
      double count = 0, joined_mean = 0, squares = 0;
      for (int r = first; r < last; r++) {
        const float *own = records + r * plan->statistics_floats;
        const double n = own[0];
        if (n == 0) continue;
        const double shift = own[16 + c], sum = own[16 + padded + (ptrdiff_t)c],
                     square = own[16 + 2 * padded + (ptrdiff_t)c];
        const double difference = shift + sum / n - joined_mean;
        squares += square - sum * sum / n + difference * difference * count * n / (count + n);
        joined_mean += difference * n / (count + n);
        count += n;
      }
      expect_number(count, (double)pixels, 0);
      expect_number(joined_mean, mean, 2e-6 * largest);
      expect_number(squares / (double)pixels, variance, 2e-5 * variance + 1e-10 * largest * largest);
    }
  }
}

static double *doubles_of(const float *values, size_t count) {
  double *result = guarded_doubles(count);
  for (size_t i = 0; i < count; i++) result[i] = values[i];
  return result;
}

static double *zeros(size_t count) {
  double *result = guarded_doubles(count);
  memset(result, 0, count * sizeof *result);
  return result;
}

/// Output that starts with the bias everywhere.
static double *biased(const ck_convolution_shape *s, const float *bias) {
  double *result = guarded_doubles(output_count(s));
  for (size_t i = 0; i < output_count(s); i++) result[i] = bias[i % (size_t)s->output_channels];
  return result;
}

/// Whether an algorithm is a choice of others.
static int chooses(ck_convolution_algorithm algorithm) {
  return algorithm == CK_CONVOLUTION_AUTO || algorithm == CK_CONVOLUTION_FASTEST;
}

/// Whether Winograd was asked for where it is impossible, so that direct convolution, already checked, would run.
static int fell_back(size_t algorithm, const ck_convolution_plan *plan) {
  return algorithms[algorithm].algorithm != CK_CONVOLUTION_DIRECT && !chooses(algorithms[algorithm].algorithm) &&
         plan->algorithm == CK_CONVOLUTION_DIRECT;
}

/// Results that pass on as gradients: added to a tensor, in its own memory, then taken back through an activation while
/// they are summed up. `sums` is the result as it would be without.
static void check_gradient(const ck_convolution_kernels *kernels, const ck_convolution_plan *plan,
    const ck_convolution_input *input, const float *w, const double *sums, size_t count, int channels,
    double tolerance) {
  const size_t width = (size_t)channels, instances = (size_t)plan->shape.batch * width;
  const size_t pixels = count / instances;
  const float slope = 0.2f;
  const float *mean = random_floats(instances, -1, 1), *scale = random_floats(instances, 0.5f, 1.5f),
              *offset = random_floats(instances, -1, 1), *inverse = random_floats(instances, 0.5f, 1.5f),
              *normalized = random_floats(instances, -0.1f, 0.1f), *addend = random_floats(count, -1, 1);
  float *x = guarded_floats(count), *result = guarded_floats(count);
  double *added = guarded_doubles(count), *passed = guarded_doubles(count);
  double *expected = zeros(2 * instances), *magnitude = zeros(2 * instances), *found = zeros(2 * instances);
  for (size_t i = 0; i < count; i++) {
    const size_t term = i / (pixels * width) * width + i % width;
    double z;
    // Not where rounding decides about the sign.
    do {
      x[i] = (float)random_number(-1, 1);
      z = ((double)x[i] - mean[term]) * scale[term] + offset[term];
    } while (fabs(z) < 1e-4);
    added[i] = sums[i] + addend[i];
    passed[i] = z > 0 ? added[i] : added[i] * slope;
    const double product = passed[i] * (((double)x[i] - mean[term]) * inverse[term] + normalized[term]);
    expected[term] += passed[i];
    expected[instances + term] += product;
    magnitude[term] += fabs(passed[i]);
    magnitude[instances + term] += fabs(product);
  }
  ck_convolution_gradient gradient = {.addend = result, .slope = slope};
  ck_convolution_output output = whole(result, channels, 0);
  output.gradient = &gradient;
  begin("run", "added to its own memory", &plan->shape);
  memcpy(result, addend, count * sizeof(float));
  run_pass(kernels, plan, input, w, 0, output);
  expect_close(result, added, count, tolerance, 0);

  gradient.addend = addend;
  gradient.x = x;
  gradient.terms = (ck_normalization_terms){mean, scale, offset, inverse, normalized};
  output.statistics = empty_records(plan);
  begin("run", "passed back", &plan->shape);
  run_pass(kernels, plan, input, w, 0, output);
  expect_close(result, passed, count, tolerance, 0);
  const ptrdiff_t padded = (plan->statistics_floats - 16) / 3;
  for (int image = 0; image < plan->shape.batch; image++) {
    int first = -1, last = -1;
    double pixel_count = 0;
    kernels->statistics_range(plan, image, &first, &last);
    for (int r = first; r < last; r++) {
      const float *own = output.statistics + r * plan->statistics_floats;
      pixel_count += own[0];
      for (size_t c = 0; own[0] > 0 && c < width; c++) {
        found[(size_t)image * width + c] += own[16 + c];
        found[instances + (size_t)image * width + c] += own[16 + padded + (ptrdiff_t)c];
      }
    }
    expect_number(pixel_count, (double)pixels, 0);
  }
  for (size_t i = 0; i < 2 * instances; i++) expect_number(found[i], expected[i], 2 * tolerance * magnitude[i] + 1e-6);
}

static void check_plain(const ck_convolution_kernels *kernels, const ck_convolution_shape *s) {
  const size_t inputs = input_count(s), outputs = output_count(s), weight_floats = weight_count(s);
  const float *x = random_floats(inputs, -1, 1), *w = random_floats(weight_floats, -1, 1);
  const float *bias = random_floats((size_t)s->output_channels, -1, 1), *g = random_floats(outputs, -1, 1);
  double *y = biased(s, bias), *dx = zeros(inputs), *dw = zeros(weight_floats);
  reference(s, 1, doubles_of(x, inputs), doubles_of(w, weight_floats), doubles_of(g, outputs), y, dx, dw);
  double *without_bias = guarded_doubles(outputs);
  for (size_t i = 0; i < outputs; i++) without_bias[i] = y[i] - bias[i % (size_t)s->output_channels];
  for (size_t a = 0; a < COUNT_OF(algorithms); a++) {
    const double tolerance = algorithms[a].tolerance;
    const char *name = algorithms[a].name;
    const ck_convolution_input input = plain(x, s->input_channels), gradient = plain(g, s->output_channels);
    ck_convolution_plan plan;
    kernels->plan(s, CK_CONVOLUTION_FORWARD, algorithms[a].algorithm, 1, 4, &plan);
    if (fell_back(a, &plan)) continue;

    begin("plan", name, s);
    expect(plan.algorithm == algorithms[a].algorithm || chooses(algorithms[a].algorithm), "other plan");
    begin("pack", name, s);
    expect(plan.packed_floats >= (ptrdiff_t)weight_floats, "%td packed floats", plan.packed_floats);
    begin("run", name, s);
    float *result = guarded_floats(outputs);
    run_pass(kernels, &plan, &input, w, bias, whole(result, s->output_channels, 0));
    expect_close(result, y, outputs, tolerance, 0);
    ck_convolution_plan shared;
    kernels->plan(s, CK_CONVOLUTION_FORWARD, algorithms[a].algorithm, 1, 23, &shared);
    begin("run", "for many threads", s);
    float *result_of_many = guarded_floats(outputs);
    run_pass(kernels, &shared, &input, w, bias, whole(result_of_many, s->output_channels, 0));
    expect_same(result_of_many, result, outputs * sizeof(float));

    if (plan.statistics_records > 0) {
      begin("statistics_range", name, s);
      float *records = empty_records(&plan), *same = guarded_floats(outputs);
      run_pass(kernels, &plan, &input, w, bias, whole(same, s->output_channels, records));
      expect_same(same, result, outputs * sizeof(float));
      expect_moments(kernels, &plan, records, same);
    }
    const int cut = plan.output_cut;
    if (s->groups == 1 && cut > 0 && cut < s->output_channels) {
      begin("run", "two results", s);
      const size_t first = (size_t)cut, rest = (size_t)s->output_channels - first, pixels = outputs / (first + rest);
      float *low = guarded_floats(pixels * first), *high = guarded_floats(pixels * rest);
      const ck_convolution_output cut_output = {
          .count = 2, .values = {low, high}, .channels = {(int)first, (int)rest}};
      run_pass(kernels, &plan, &input, w, bias, cut_output);
      float *joined = guarded_floats(outputs);
      for (size_t p = 0; p < pixels; p++) {
        memcpy(joined + p * (first + rest), low + p * first, first * sizeof(float));
        memcpy(joined + p * (first + rest) + first, high + p * rest, rest * sizeof(float));
      }
      expect_same(joined, result, outputs * sizeof(float));
    }

    begin("run", algorithms[a].gradient_name, s);
    kernels->plan(s, CK_CONVOLUTION_INPUT_GRADIENT, algorithms[a].algorithm, 1, 4, &plan);
    float *input_result = guarded_floats(inputs);
    run_pass(kernels, &plan, &gradient, w, 0, whole(input_result, s->input_channels, 0));
    expect_close(input_result, dx, inputs, tolerance, 0);
    if (plan.statistics_records > 0) {
      check_gradient(kernels, &plan, &gradient, w, dx, inputs, s->input_channels, tolerance);
      kernels->plan(s, CK_CONVOLUTION_FORWARD, algorithms[a].algorithm, 1, 4, &plan);
      check_gradient(kernels, &plan, &input, w, without_bias, outputs, s->output_channels, tolerance);
    }

    begin("accumulate", name, s);
    kernels->plan(s, CK_CONVOLUTION_WEIGHT_GRADIENT, algorithms[a].algorithm, 1, 1, &plan);
    float *weight_result = guarded_floats(weight_floats);
    run_weight_gradient(kernels, &plan, &input, &gradient.sources[0], weight_result);
    expect_close(weight_result, dw, weight_floats, tolerance, 0);
    kept_points += plan.keeps_points;
    begin("reduce", name, s);
    expect(plan.reduce_tasks > 0 && plan.partial_floats > 0, "%d tasks", plan.reduce_tasks);
    begin("accumulate", "for many threads", s);
    kernels->plan(s, CK_CONVOLUTION_WEIGHT_GRADIENT, algorithms[a].algorithm, 1, 23, &shared);
    float *weight_result_of_many = guarded_floats(weight_floats);
    run_weight_gradient(kernels, &shared, &input, &gradient.sources[0], weight_result_of_many);
    expect_same(weight_result_of_many, weight_result, weight_floats * sizeof(float));
  }
  release_guarded();
}

/// A source of `channels` channels with or without terms; what is read goes to `read`, channels `first` on of `all`.
static ck_convolution_source source_of(
    int batch, size_t pixels, int channels, int has_terms, float slope, double *read, int first, int all) {
  const size_t count = (size_t)channels, instances = (size_t)batch * count;
  const float *values = random_floats((size_t)batch * pixels * count, -1, 1);
  float *terms = guarded_floats(3 * instances);
  for (size_t i = 0; i < instances; i++) {
    terms[i] = (float)random_number(-1, 1);
    terms[instances + i] = (float)random_number(0.5, 1.5);
    terms[2 * instances + i] = (float)random_number(-1, 1);
  }
  for (size_t p = 0; p < (size_t)batch * pixels; p++) {
    for (size_t c = 0; c < count; c++) {
      double value = values[p * count + c];
      if (has_terms) {
        const float *own = terms + p / pixels * count + c;
        value = (value - own[0]) * own[instances] + own[2 * instances];
        if (value < 0) value *= slope;
      }
      read[p * (size_t)all + (size_t)first + c] = value;
    }
  }
  return (ck_convolution_source){
      .values = values, .channels = channels, .terms = has_terms ? terms : 0, .slope = has_terms ? slope : 1};
}

static void check_fused(const ck_convolution_kernels *kernels, const convolution_case *test, int second, int variant) {
  static const char *const names[] = {"terms", "terms and none", "none and terms"};
  const int has_terms[2] = {variant != 2, variant != 1};
  convolution_case joined = *test;
  joined.inputs += second;
  const ck_convolution_shape shape = shape_of(&joined), *s = &shape;
  const size_t inputs = input_count(s), outputs = output_count(s), weight_floats = weight_count(s);
  const size_t pixels = volume(s->input);
  double *read = guarded_doubles(inputs), *read_gradient = guarded_doubles(outputs);
  ck_convolution_input input = {.count = second ? 2 : 1};
  input.sources[0] = source_of(s->batch, pixels, test->inputs, has_terms[0], 0.01f, read, 0, s->input_channels);
  if (second)
    input.sources[1] = source_of(s->batch, pixels, second, has_terms[1], 0.2f, read, test->inputs, s->input_channels);
  const ck_convolution_input gradient = {
      .count = 1,
      .sources = {
          source_of(s->batch, volume(s->output), s->output_channels, 1, 0, read_gradient, 0, s->output_channels)}};
  const float *w = random_floats(weight_floats, -1, 1), *bias = random_floats((size_t)s->output_channels, -1, 1);
  const float *g = random_floats(outputs, -1, 1);
  const double *exact_w = doubles_of(w, weight_floats);
  double *y = biased(s, bias), *dw = zeros(weight_floats), *dx_read = zeros(inputs), *dw_read = zeros(weight_floats);
  reference(s, 1, read, exact_w, doubles_of(g, outputs), y, 0, dw);
  reference(s, 1, read, exact_w, read_gradient, 0, dx_read, dw_read);
  for (size_t a = 0; a < COUNT_OF(algorithms); a++) {
    const double tolerance = algorithms[a].tolerance;
    ck_convolution_plan plan;
    kernels->plan(s, CK_CONVOLUTION_FORWARD, algorithms[a].algorithm, 0, 4, &plan);
    if (fell_back(a, &plan)) continue;
    begin("run", names[variant], s);
    float *result = guarded_floats(outputs), *records = empty_records(&plan);
    run_pass(kernels, &plan, &input, w, bias, whole(result, s->output_channels, records));
    expect_close(result, y, outputs, tolerance, 0);
    if (records) {
      expect_moments(kernels, &plan, records, result);
      begin("run", "without moments", s);
      float *same = guarded_floats(outputs);
      run_pass(kernels, &plan, &input, w, bias, whole(same, s->output_channels, 0));
      expect_same(same, result, outputs * sizeof(float));
    }

    begin("accumulate", names[variant], s);
    kernels->plan(s, CK_CONVOLUTION_WEIGHT_GRADIENT, algorithms[a].algorithm, 0, 4, &plan);
    float *weight_result = guarded_floats(weight_floats);
    const ck_convolution_source plain_gradient = {.values = g, .channels = s->output_channels, .slope = 1};
    run_weight_gradient(kernels, &plan, &input, &plain_gradient, weight_result);
    expect_close(weight_result, dw, weight_floats, tolerance, 0);

    begin("run", "input gradient of what terms give", s);
    kernels->plan(s, CK_CONVOLUTION_INPUT_GRADIENT, algorithms[a].algorithm, 0, 4, &plan);
    float *low = guarded_floats(inputs);
    run_pass(kernels, &plan, &gradient, w, 0, whole(low, s->input_channels, 0));
    expect_close(low, dx_read, inputs, tolerance, 0);

    // Only direct weight gradients read the output's gradient through terms.
    if (a > 0) continue;
    begin("accumulate", "both with terms", s);
    kernels->plan(s, CK_CONVOLUTION_WEIGHT_GRADIENT, CK_CONVOLUTION_DIRECT, 0, 4, &plan);
    run_weight_gradient(kernels, &plan, &input, &gradient.sources[0], weight_result);
    expect_close(weight_result, dw_read, weight_floats, tolerance, 0);
  }
  release_guarded();
}

/// Results too large for the caches, which are stored past them, and runs of blocks that are one task: every
/// `step`-th position is compared, and every moment.
static void check_large(
    const ck_convolution_kernels *kernels, const convolution_case *test, ck_convolution_algorithm algorithm,
    double tolerance, size_t step) {
  const ck_convolution_shape shape = shape_of(test), *s = &shape;
  const size_t inputs = input_count(s), outputs = output_count(s), channels = (size_t)s->output_channels;
  const float *x = random_floats(inputs, -1, 1), *w = random_floats(weight_count(s), -1, 1);
  const float *bias = random_floats(channels, -1, 1);
  double *y = biased(s, bias);
  reference(s, step, doubles_of(x, inputs), doubles_of(w, weight_count(s)), 0, y, 0, 0);
  ck_convolution_plan plan;
  kernels->plan(s, CK_CONVOLUTION_FORWARD, algorithm, 1, 4, &plan);
  begin("run", "large", s);
  expect(plan.algorithm == algorithm, "another algorithm runs");
  float *result = guarded(outputs * sizeof(float), 64), *records = empty_records(&plan);
  const ck_convolution_input input = plain(x, s->input_channels);
  run_pass(kernels, &plan, &input, w, bias, whole(result, s->output_channels, records));
  // Positions that were not computed above must be finite all the same.
  for (size_t i = 0; i < outputs; i++) {
    if (i / channels % step != 0) {
      if (!isfinite(result[i])) expect(0, "element %zu is %g", i, result[i]);
      y[i] = result[i];
    }
  }
  expect_close(result, y, outputs, tolerance, 0);
  expect_moments(kernels, &plan, records, result);
  release_guarded();
}

static void check_sum_pixels(const ck_convolution_kernels *kernels) {
  static const ptrdiff_t pixels[] = {1, 2, 3, 4, 5, 7, 64, 101}, channels[] = {1, 3, 4, 5, 8, 15, 16, 17, 33, 48};
  for (size_t p = 0; p < COUNT_OF(pixels); p++) {
    for (size_t c = 0; c < COUNT_OF(channels); c++) {
      begin_case("sum_pixels", "%td pixels, %td channels", pixels[p], channels[c]);
      const size_t count = (size_t)channels[c];
      const float *values = random_floats((size_t)pixels[p] * count, -1, 1);
      float *sums = guarded_floats(count);
      kernels->sum_pixels(values, pixels[p], channels[c], sums);
      double *expected = zeros(count);
      for (size_t i = 0; i < (size_t)pixels[p] * count; i++) expected[i % count] += values[i];
      expect_close(sums, expected, count, 1e-6, sqrt((double)pixels[p]));
      release_guarded();
    }
  }
}

/// Extents of which some are filled by tiles of 4 and some better by tiles of 2.
static void check_mixed(const ck_convolution_kernels *kernels) {
  static const convolution_case cases[] = {
      {2, 48, 48, {2, 32, 6}, CUBE(3)}, {2, 48, 64, {6, 32, 2}, CUBE(3)}, {3, 64, 48, {1, 24, 2}, {1, 3, 3}}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const ck_convolution_shape shape = shape_of(&cases[i]);
    for (int pass = 0; pass < 3; pass++) {
      ck_convolution_plan plan;
      begin("plan", "tiles of two sizes", &shape);
      kernels->plan(&shape, (ck_convolution_pass)pass, CK_CONVOLUTION_AUTO, 1, 4, &plan);
      expect(plan.algorithm > CK_CONVOLUTION_DIRECT && plan.algorithm != CK_CONVOLUTION_WINOGRAD2 &&
                 plan.algorithm != CK_CONVOLUTION_WINOGRAD4,
          "algorithm %x", (unsigned)plan.algorithm);
      ck_convolution_plan same;
      kernels->plan(&shape, (ck_convolution_pass)pass, plan.algorithm, 1, 4, &same);
      expect(memcmp(&same, &plan, sizeof plan) == 0, "another plan where algorithm %x is asked for", (unsigned)plan.algorithm);
    }
    check_plain(kernels, &shape);
  }
}

/// Gradients of weights of so many channels and tiles that tasks share the channels, of one and of two sources.
static void check_shared_channels(const ck_convolution_kernels *kernels) {
  static const convolution_case cases[] = {{1, 84, 70, {13, 14, 16}, CUBE(3)}, {1, 200, 168, {1, 45, 46}, {1, 3, 3}}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const ck_convolution_shape shape = shape_of(&cases[i]), *s = &shape;
    const size_t outputs = output_count(s), weight_floats = weight_count(s);
    double *read = guarded_doubles(input_count(s));
    ck_convolution_input input = {.count = i == 0 ? 2 : 1};
    const int first = i == 0 ? s->input_channels / 2 + 2 : s->input_channels;
    input.sources[0] = source_of(s->batch, volume(s->input), first, 0, 1, read, 0, s->input_channels);
    if (i == 0) {
      input.sources[1] =
          source_of(s->batch, volume(s->input), s->input_channels - first, 1, 0.2f, read, first, s->input_channels);
    }
    const float *g = random_floats(outputs, -1, 1), *w = random_floats(weight_floats, -1, 1);
    const ck_convolution_source gradient = {.values = g, .channels = s->output_channels, .slope = 1};
    double *dw = zeros(weight_floats);
    reference(s, 1, read, doubles_of(w, weight_floats), doubles_of(g, outputs), 0, 0, dw);
    for (size_t a = 0; a < COUNT_OF(algorithms); a++) {
      begin("accumulate", "shared channels", s);
      ck_convolution_plan plan, shared;
      kernels->plan(s, CK_CONVOLUTION_WEIGHT_GRADIENT, algorithms[a].algorithm, 0, 1, &plan);
      expect(
          plan.algorithm != CK_CONVOLUTION_WINOGRAD4 || plan.channel_splits > 1, "%d parts of the channels",
          plan.channel_splits);
      float *result = guarded_floats(weight_floats), *result_of_many = guarded_floats(weight_floats);
      run_weight_gradient(kernels, &plan, &input, &gradient, result);
      expect_close(result, dw, weight_floats, algorithms[a].tolerance, 0);
      kernels->plan(s, CK_CONVOLUTION_WEIGHT_GRADIENT, algorithms[a].algorithm, 0, 23, &shared);
      run_weight_gradient(kernels, &shared, &input, &gradient, result_of_many);
      expect_same(result_of_many, result, weight_floats * sizeof(float));
    }
    release_guarded();
  }
}

static void check(ck_instruction_set level) {
  const ck_convolution_kernels *kernels = ck_convolution_kernels_for(level);
  kept_points = 0;
  for (size_t i = 0; i < COUNT_OF(plain_cases); i++) {
    const ck_convolution_shape shape = shape_of(&plain_cases[i]);
    check_plain(kernels, &shape);
  }
  begin_case("plan", "gradients of weights that keep points");
  expect(kept_points >= 6, "%d of them", kept_points);
  for (size_t i = 0; i < COUNT_OF(fused_cases); i++) {
    for (int variant = 0; variant < (fused_cases[i].second ? 3 : 1); variant++) {
      check_fused(kernels, &fused_cases[i].geometry, fused_cases[i].second, variant);
    }
  }
  check_mixed(kernels);
  check_shared_channels(kernels);
  const convolution_case streamed = {1, 2, 16, {64, 64, 65}, {1, 1, 3}};
  check_large(kernels, &streamed, CK_CONVOLUTION_DIRECT, 2e-6, 37);
  check_large(kernels, &streamed, CK_CONVOLUTION_WINOGRAD2, 5e-6, 37);
  check_large(kernels, &streamed, CK_CONVOLUTION_WINOGRAD4, 2e-5, 37);
  const convolution_case long_tasks = {1, 16, 16, {1, 352, 352}, {1, 3, 3}};
  check_large(kernels, &long_tasks, CK_CONVOLUTION_WINOGRAD4, 2e-5, 101);
  check_sum_pixels(kernels);
}

const check_family convolution_family = {"convolution", TABLE_OPERATIONS(ck_convolution_kernels), check};
