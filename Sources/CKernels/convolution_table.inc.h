// The convolution kernels of one instruction set: included once by each convolution_LEVEL.c.
#include "convolution_geometry.h"

#include "convolution_tile.inc.h"

#include "convolution_direct.inc.h"

#include "convolution_weight_gradient.inc.h"

#include "convolution_winograd_transform.inc.h"

#include "convolution_winograd_boxes.inc.h"

#include "convolution_winograd_weights.inc.h"

#include "convolution_winograd.inc.h"

#include "convolution_winograd_weight_gradient.inc.h"

/// Cycles, roughly, that a plan takes on one core: enough to tell algorithms apart. The constants were fitted to
/// measurements of layers of 16 to 512 channels with AVX-512; products dominate at every level.
static double modelled_cost(const ck_convolution_plan *plan) {
  const ck_convolution_shape *shape = &plan->shape;
  const double sources = plan->source_channels, vectors = ck_divide_up(plan->destination_channels, SIMD_WIDTH);
  const int gradient = plan->pass == CK_CONVOLUTION_WEIGHT_GRADIENT;
  const double megabyte = 1024 * 1024;
  if (plan->algorithm == CK_CONVOLUTION_DIRECT) {
    const double pixels = (double)shape->batch * shape->output[0] * shape->output[1] * shape->output[2];
    const double weights = 4 * sources * vectors * SIMD_WIDTH * ck_kernel_taps(plan);
    const double products = 1.12 * shape->groups * pixels * ck_kernel_taps(plan) * sources * vectors;
    // Partial sums of the weights' gradients are written and added up.
    if (gradient) return products + 2.2 * (plan->splits - 1) * weights;
    // Rows of positions are cut into whole groups.
    const int row = shape->output[2];
    return products * ck_round_up(row, TILE_GROUP) / row + 0.5 * weights;
  }
  const double points = plan->points[0] * plan->points[1] * plan->points[2];
  const double tiles = (double)shape->batch * plan->tiles[0] * plan->tiles[1] * plan->tiles[2];
  const double blocks = (tiles + plan->block_tiles - 1) / plan->block_tiles;
  const double weights = 4 * points * sources * vectors * SIMD_WIDTH;
  const double source_vectors = ck_divide_up(plan->source_channels, SIMD_WIDTH);
  const double products = (gradient ? 1.15 : 1.08) * tiles * points * sources * vectors;
  double sums = tiles;
  for (int a = 0; a < 3; ++a) sums *= winograd_sums(winograd_kind(plan, a));
  // Parts of the channels are transformed once for each part of the others.
  const double source_times = gradient ? block_parts(plan) : 1, sum_times = gradient ? source_parts(plan) : 1;
  const double transforms =
      (points > 100 ? 18 : 12) * (tiles * points * source_vectors * source_times + sums * vectors * sum_times);
  if (plan->keeps_points) return products + transforms + 0.65 * weights + 6 * (double)plan->partial_floats;
  if (gradient) {
    const double transformed = weights * (weights > 4 * megabyte ? 0.9 : 0.36);
    // Sums are read and written for each block.
    const double added = weights > 40 * megabyte ? 0.1 : weights > megabyte ? 0.04 : 0;
    return products + transforms + transformed + blocks * weights * added;
  }
  const double transformed = weights * (weights > 12 * megabyte ? 0.5 : weights > 4 * megabyte ? 1 : 0.36);
  // Fetched while others are multiplied.
  const double read = weights > 12 * megabyte ? 0.15 : weights > 8 * megabyte ? 0.1 : weights > megabyte ? 0.03 : 0;
  return products + transforms + transformed + blocks * weights * read;
}

static void plan_directly(
    const ck_convolution_shape *shape, ck_convolution_pass pass, int is_plain, ck_convolution_plan *plan) {
  if (pass == CK_CONVOLUTION_WEIGHT_GRADIENT) {
    plan_direct_weight_gradient(shape, is_plain, plan);
  } else {
    plan_direct(shape, pass, is_plain, plan);
  }
}

/// Whether Winograd is possible.
static int plan_tiles(
    const ck_convolution_shape *shape, ck_convolution_pass pass, ck_convolution_algorithm algorithm,
    ck_convolution_plan *plan) {
  return pass == CK_CONVOLUTION_WEIGHT_GRADIENT ? plan_winograd_weight_gradient(shape, algorithm, plan)
                                                : plan_winograd(shape, pass, algorithm, plan);
}

static void choose_plan(
    const ck_convolution_shape *shape, ck_convolution_pass pass, ck_convolution_algorithm algorithm, int is_plain,
    ck_convolution_plan *plan) {
  // Axes without a choice take any tile: of several names for one plan, the first is given. Those with tiles of 6 are last.
  static const ck_convolution_algorithm choices[] = {
      CK_CONVOLUTION_WINOGRAD2,   CK_CONVOLUTION_WINOGRAD4,   CK_CONVOLUTION_WINOGRAD224, CK_CONVOLUTION_WINOGRAD242,
      CK_CONVOLUTION_WINOGRAD244, CK_CONVOLUTION_WINOGRAD422, CK_CONVOLUTION_WINOGRAD424, CK_CONVOLUTION_WINOGRAD442,
      CK_CONVOLUTION_WINOGRAD6,   CK_CONVOLUTION_WINOGRAD246, CK_CONVOLUTION_WINOGRAD264, CK_CONVOLUTION_WINOGRAD266,
      CK_CONVOLUTION_WINOGRAD446, CK_CONVOLUTION_WINOGRAD464};
  const size_t with_sixes = 6;
  const size_t choice_count = sizeof choices / sizeof *choices - (algorithm == CK_CONVOLUTION_AUTO ? with_sixes : 0);
  const int is_free = algorithm == CK_CONVOLUTION_AUTO || algorithm == CK_CONVOLUTION_FASTEST;
  if (!is_free && algorithm != CK_CONVOLUTION_DIRECT && plan_tiles(shape, pass, algorithm, plan)) return;
  plan_directly(shape, pass, is_plain, plan);
  if (!is_free) return;
  double best = modelled_cost(plan);
  for (size_t i = 0; i < choice_count; ++i) {
    ck_convolution_plan other;
    if (!plan_tiles(shape, pass, choices[i], &other)) continue;
    const double cost = modelled_cost(&other);
    if (cost < best) {
      best = cost;
      *plan = other;
    }
  }
}

static void plan(
    const ck_convolution_shape *shape, ck_convolution_pass pass, ck_convolution_algorithm algorithm, int is_plain,
    int threads, ck_convolution_plan *plan) {
  choose_plan(shape, pass, algorithm, is_plain, plan);
  if (plan->algorithm != CK_CONVOLUTION_DIRECT) {
    (pass == CK_CONVOLUTION_WEIGHT_GRADIENT ? share_channels : share_blocks)(plan, threads);
  }
  if (plan->statistics_records > 0) plan->statistics_floats = 16 + 3 * packed_channels(plan->destination_channels);
}

static void statistics_range(const ck_convolution_plan *plan, int instance, int *first, int *last) {
  if (plan->algorithm == CK_CONVOLUTION_DIRECT) {
    *first = instance * plan->z_blocks * plan->y_blocks;
    *last = *first + plan->z_blocks * plan->y_blocks;
  } else {
    const ptrdiff_t tiles = (ptrdiff_t)plan->tiles[0] * plan->tiles[1] * plan->tiles[2];
    *first = winograd_block_of(plan, instance * tiles) + instance;
    *last = winograd_block_of(plan, (instance + 1) * tiles - 1) + instance + 1;
  }
}

static void pack(const ck_convolution_plan *plan, const float *weights, float *packed, int task) {
  (plan->algorithm == CK_CONVOLUTION_DIRECT ? pack_direct : pack_winograd)(plan, weights, packed, task);
}

static void run(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const float *packed, const float *bias,
    const ck_convolution_output *output, float *scratch, int task) {
  (plan->algorithm == CK_CONVOLUTION_DIRECT ? run_direct : run_winograd)(plan, input, packed, bias, output, scratch, task);
}

static void accumulate(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const ck_convolution_source *output_gradient,
    float *partials, float *scratch, int task) {
  (plan->algorithm == CK_CONVOLUTION_DIRECT ? accumulate_direct : accumulate_winograd)(plan, input, output_gradient, partials, scratch, task);
}

static void reduce(
    const ck_convolution_plan *plan, const float *partials, float *weight_gradient, float *scratch, int task) {
  if (plan->algorithm == CK_CONVOLUTION_DIRECT) {
    reduce_direct(plan, partials, weight_gradient, task);
  } else {
    reduce_winograd(plan, partials, weight_gradient, scratch, task);
  }
}

static void sum_pixels(const float *values, ptrdiff_t pixels, ptrdiff_t channels, float *sums) {
  ptrdiff_t c = 0;
  for (; c + SIMD_WIDTH <= channels; c += SIMD_WIDTH) {
    // Four chains of additions hide their latency and halve the error of one.
    simd_float four[4] = {simd_broadcast(0), simd_broadcast(0), simd_broadcast(0), simd_broadcast(0)};
    ptrdiff_t p = 0;
    for (; p + 4 <= pixels; p += 4) {
      UNROLL for (int i = 0; i < 4; ++i) four[i] += simd_load(values + (p + i) * channels + c);
    }
    for (; p < pixels; ++p) four[0] += simd_load(values + p * channels + c);
    simd_store(sums + c, (four[0] + four[1]) + (four[2] + four[3]));
  }
  for (; c < channels; ++c) {
    float four[4] = {0};
    for (ptrdiff_t p = 0; p < pixels; ++p) four[p % 4] += values[p * channels + c];
    sums[c] = (four[0] + four[1]) + (four[2] + four[3]);
  }
}

extern const ck_convolution_kernels SIMD_NAME(ck_convolution_kernels);
const ck_convolution_kernels SIMD_NAME(ck_convolution_kernels) = {
    .plan = plan,
    .pack = pack,
    .run = run,
    .statistics_range = statistics_range,
    .accumulate = accumulate,
    .reduce = reduce,
    .sum_pixels = sum_pixels,
};
