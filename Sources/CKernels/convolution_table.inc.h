// The convolution kernels of one instruction set: included once by each convolution_LEVEL.c.
#include "convolution_geometry.h"

#include "convolution_tile.inc.h"

#include "convolution_direct.inc.h"

#include "convolution_weight_gradient.inc.h"

static void plan(
    const ck_convolution_shape *shape, ck_convolution_pass pass, ck_convolution_algorithm algorithm,
    ck_convolution_plan *plan) {
  (void)algorithm;
  if (pass == CK_CONVOLUTION_WEIGHT_GRADIENT) {
    plan_direct_weight_gradient(shape, plan);
  } else {
    plan_direct(shape, pass, plan);
  }
}

static void pack(const ck_convolution_plan *plan, const float *weights, float *packed, int task) {
  pack_direct(plan, weights, packed, task);
}

static void run(
    const ck_convolution_plan *plan, const float *source, const float *packed, const float *bias, float *destination,
    float *scratch, int task) {
  run_direct(plan, source, packed, bias, destination, scratch, task);
}

static void accumulate(
    const ck_convolution_plan *plan, const float *input, const float *output_gradient, float *partials, float *scratch,
    int task) {
  accumulate_direct(plan, input, output_gradient, partials, scratch, task);
}

static void reduce(const ck_convolution_plan *plan, const float *partials, float *weight_gradient, int task) {
  reduce_direct(plan, partials, weight_gradient, task);
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
    .accumulate = accumulate,
    .reduce = reduce,
    .sum_pixels = sum_pixels,
};
