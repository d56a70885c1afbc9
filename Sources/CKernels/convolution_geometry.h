// The geometry that all convolution kernels share: which source coordinate each tap of each position reads.
#pragma once

#include <string.h>

#include "ck_convolution.h"

/// One axis of a correlation. Position q reads, with tap j, source coordinate
/// `q * source_step + first_offset + j * offset_step` and is written to `start + q * step`; tap j is the kernel's
/// index `first_tap + j * tap_step`. The input gradient of a strided convolution falls apart into one such
/// correlation for each remainder of the coordinate ("phase"), so that no product with zero is computed.
typedef struct ck_axis {
  int count;
  int taps;
  int first_offset;
  int offset_step;
  int source_step;
  int first_tap;
  int tap_step;
  int start;
  int step;
} ck_axis;

static inline int ck_minimum(int a, int b) { return a < b ? a : b; }
static inline int ck_maximum(int a, int b) { return a > b ? a : b; }
static inline int ck_divide_up(int a, int b) { return (a + b - 1) / b; }
static inline int ck_round_up(int a, int b) { return ck_divide_up(a, b) * b; }

static inline int ck_greatest_common_divisor(int a, int b) {
  while (b != 0) {
    int remainder = a % b;
    a = b;
    b = remainder;
  }
  return a;
}

/// The number of phases along an axis.
static inline int ck_phases(const ck_convolution_plan *plan, int axis) {
  return plan->pass == CK_CONVOLUTION_INPUT_GRADIENT ? plan->shape.stride[axis] : 1;
}

static inline ck_axis ck_axis_of(const ck_convolution_plan *plan, int axis, int phase) {
  const ck_convolution_shape *shape = &plan->shape;
  const int kernel = shape->kernel[axis], stride = shape->stride[axis];
  const int padding = shape->padding_lower[axis], dilation = shape->dilation[axis];
  if (plan->pass != CK_CONVOLUTION_INPUT_GRADIENT) {
    return (ck_axis){
        .count = shape->output[axis], .taps = kernel, .first_offset = -padding, .offset_step = dilation,
        .source_step = stride, .first_tap = 0, .tap_step = 1, .start = 0, .step = 1};
  }
  // x[phase + q * stride] takes part in y[q + (phase + padding - k * dilation) / stride] where that divides.
  const int divisor = ck_greatest_common_divisor(stride, dilation);
  ck_axis result = {
      .count = ck_maximum(0, ck_divide_up(shape->input[axis] - phase, stride)), .taps = 0, .first_offset = 0,
      .offset_step = dilation / divisor, .source_step = 1, .first_tap = 0, .tap_step = -(stride / divisor),
      .start = phase, .step = stride};
  for (int k = 0; k < kernel; ++k) {
    if ((phase + padding - k * dilation) % stride == 0) {
      result.taps += 1;
      result.first_tap = k;
      result.first_offset = (phase + padding - k * dilation) / stride;
    }
  }
  return result;
}

static inline int ck_kernel_taps(const ck_convolution_plan *plan) {
  return plan->shape.kernel[0] * plan->shape.kernel[1] * plan->shape.kernel[2];
}

/// Where tap (kz, ky, kx) of the kernel stands among the packed taps: phase after phase, within each in the order
/// of ascending source coordinate.
static inline int ck_packed_tap(const ck_convolution_plan *plan, int tap, int *phase_taps, int *phase_base) {
  const int *kernel = plan->shape.kernel;
  const int total = ck_kernel_taps(plan);
  if (ck_phases(plan, 0) * ck_phases(plan, 1) * ck_phases(plan, 2) == 1) {
    *phase_taps = total;
    *phase_base = 0;
    return plan->pass == CK_CONVOLUTION_INPUT_GRADIENT ? total - 1 - tap : tap;
  }
  const int k[3] = {tap / (kernel[1] * kernel[2]), tap / kernel[2] % kernel[1], tap % kernel[2]};
  int base = 0;
  for (int pz = 0; pz < ck_phases(plan, 0); ++pz) {
    for (int py = 0; py < ck_phases(plan, 1); ++py) {
      for (int px = 0; px < ck_phases(plan, 2); ++px) {
        const int phase[3] = {pz, py, px};
        int taps = 1, position = 0, found = 1;
        for (int a = 0; a < 3; ++a) {
          const ck_axis axis = ck_axis_of(plan, a, phase[a]);
          const int steps = k[a] - axis.first_tap;
          const int j = steps / axis.tap_step;
          if (steps % axis.tap_step != 0 || j < 0 || j >= axis.taps) found = 0;
          position = position * axis.taps + j;
          taps *= axis.taps;
        }
        if (found) {
          *phase_taps = taps;
          *phase_base = base;
          return position;
        }
        base += taps;
      }
    }
  }
  return 0;
}
