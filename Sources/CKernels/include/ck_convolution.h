// Convolution of channels-last float32 volumes: forward, input gradient and weight gradient.
//
// Tensors are [batch, z, y, x, channel]; a two-dimensional convolution has depth 1. Weights are in PyTorch's order
// [output channel, input channel / groups, kz, ky, kx]. A transposed convolution is the input gradient of the
// convolution whose output it reads.
//
// A plan says how the work is cut. Where sums are cut depends on the shape alone, never on the number of threads, so
// results are the same bits for any number of threads. The caller owns every buffer: nothing here allocates.
#pragma once

#include <stddef.h>

#include "ck_instruction_set.h"
#include "ck_normalization.h"

#ifdef __cplusplus
extern "C" {
#endif

/// A convolution: y[q] = sum over taps t of w[t] * x[q * stride + t * dilation - padding_lower], zero outside x.
/// Axes are in the order z, y, x. `input` and `output` are free of each other, so the upper padding is implied.
typedef struct ck_convolution_shape {
  int batch;
  int input_channels;
  int output_channels;
  int groups;
  int input[3];
  int output[3];
  int kernel[3];
  int stride[3];
  int padding_lower[3];
  int dilation[3];
} ck_convolution_shape;

typedef enum ck_convolution_pass {
  CK_CONVOLUTION_FORWARD = 0,
  CK_CONVOLUTION_INPUT_GRADIENT = 1,
  CK_CONVOLUTION_WEIGHT_GRADIENT = 2,
} ck_convolution_pass;

typedef enum ck_convolution_algorithm {
  /// The fastest one for this shape with tiles of 4 at most.
  CK_CONVOLUTION_AUTO = 0,
  CK_CONVOLUTION_DIRECT = 1,
  /// The fastest of all.
  CK_CONVOLUTION_FASTEST = 2,
  /// Winograd with output tiles of 2 along each axis that has a kernel of 3; falls back to direct where it can't be.
  CK_CONVOLUTION_WINOGRAD2 = 0x222,
  /// Winograd with output tiles of 4; with stride 2 of 2 along z.
  CK_CONVOLUTION_WINOGRAD4 = 0x444,
  /// Winograd with output tiles of 6 along y and x and of 4 along z.
  CK_CONVOLUTION_WINOGRAD6 = 0x466,
  /// Winograd with tiles that suit the extents. Each axis, z first, has a digit.
  CK_CONVOLUTION_WINOGRAD224 = 0x224,
  CK_CONVOLUTION_WINOGRAD242 = 0x242,
  CK_CONVOLUTION_WINOGRAD244 = 0x244,
  CK_CONVOLUTION_WINOGRAD246 = 0x246,
  CK_CONVOLUTION_WINOGRAD264 = 0x264,
  CK_CONVOLUTION_WINOGRAD266 = 0x266,
  CK_CONVOLUTION_WINOGRAD422 = 0x422,
  CK_CONVOLUTION_WINOGRAD424 = 0x424,
  CK_CONVOLUTION_WINOGRAD442 = 0x442,
  CK_CONVOLUTION_WINOGRAD446 = 0x446,
  CK_CONVOLUTION_WINOGRAD464 = 0x464,
} ck_convolution_algorithm;

/// One tensor that a convolution reads. Several count as concatenated along the channels.
typedef struct ck_convolution_source {
  const float *values;
  int channels;
  /// Mean, scale and offset of every instance and channel, [3, N, channels], or null. With them, what is read is
  /// leaky((x - mean) * scale + offset): a normalisation and an activation that are never written to memory.
  const float *terms;
  /// The leaky rectifier's slope for negative values, in 0 ... 1; 1 leaves them as they are.
  float slope;
} ck_convolution_source;

#define CK_CONVOLUTION_SOURCES 2

/// What a pass reads: up to CK_CONVOLUTION_SOURCES tensors of the same extents.
typedef struct ck_convolution_input {
  int count;
  ck_convolution_source sources[CK_CONVOLUTION_SOURCES];
} ck_convolution_input;

/// What becomes of a result that is a gradient, before it is written.
typedef struct ck_convolution_gradient {
  /// A tensor like the result that is added to it, or null. It may be the memory that the result goes to.
  const float *addend;
  /// What a normalisation read that an activation followed, like the result, or null. With it, what is written is the
  /// gradient before that activation.
  const float *x;
  /// The normalisation's terms for every instance and channel, [N, channels] each, and the activation's slope.
  ck_normalization_terms terms;
  float slope;
} ck_convolution_gradient;

/// What a pass writes: up to CK_CONVOLUTION_SOURCES tensors that together are the result, cut along the channels at
/// multiples of `plan->output_cut`.
typedef struct ck_convolution_output {
  int count;
  float *values[CK_CONVOLUTION_SOURCES];
  int channels[CK_CONVOLUTION_SOURCES];
  /// `plan->statistics_records` records of `plan->statistics_floats` floats for the moments of the result, or null. A
  /// record holds how many values it counts (one float, 16 reserved; the caller sets it to 0 before), and for every
  /// channel a value near the mean, the sum of the differences from it and the sum of their squares; with a gradient's
  /// x the sum of the result and the sum of its products with the normalised x.
  float *statistics;
  /// What becomes of the one tensor that is written, or null. With an x, statistics are taken.
  const ck_convolution_gradient *gradient;
} ck_convolution_output;

/// How one pass over one shape is cut. Only the fields of the first group are for callers.
typedef struct ck_convolution_plan {
  /// The algorithm that will run; never CK_CONVOLUTION_AUTO or CK_CONVOLUTION_FASTEST.
  ck_convolution_algorithm algorithm;
  /// Floats of the packed weights (forward, input gradient) and the number of packing tasks.
  ptrdiff_t packed_floats;
  int pack_tasks;
  /// Tasks of `run` (forward, input gradient) or `accumulate` (weight gradient), and each task's scratch, which is also
  /// that of `reduce`.
  int tasks;
  ptrdiff_t scratch_floats;
  /// Floats of what `accumulate` fills and `reduce` reads (weight gradient), and its tasks.
  ptrdiff_t partial_floats;
  int reduce_tasks;
  /// Records of moments that `run` can fill and the floats of one; 0 where it can't (several groups).
  int statistics_records;
  ptrdiff_t statistics_floats;
  /// Where a result may be cut into several tensors: at multiples of this many channels.
  int output_cut;

  ck_convolution_shape shape;
  ck_convolution_pass pass;
  /// Channels of one group and whole tensors on the side that is read and the side that is written.
  int source_channels, destination_channels;
  int source_stride, destination_stride;
  int source_size[3], destination_size[3];
  /// Output positions of the largest phase along each axis, and how tasks cut them.
  int positions[3];
  int z_block, y_block, z_blocks, y_blocks;
  int channel_blocks, channel_splits;
  /// Whether tiles read the tensor itself, a zero-padded copy, or a matrix of patches.
  int reads_tensor, uses_patches;
  int slab_low[3], slab_size[3];
  int patch_stride, run_merged;
  ptrdiff_t slab_floats, patch_floats;
  int splits;
  /// Winograd weight gradients: whether they keep points instead of sums; the input channels and the blocks of output
  /// channels that one task takes.
  int keeps_points, part_sources, part_blocks;
  ptrdiff_t split_floats;
  /// Winograd: output tile and transform points along each axis, tiles along each axis, stacks of tiles along z and y;
  /// the blocks that tiles are shared between, the most tiles of a block; the first
  /// `long_tasks` tasks take `task_blocks` blocks, the others one.
  int tile[3], points[3], tiles[3], stacks[2], blocks, block_tiles, task_blocks, long_tasks;
  /// Whether results are so large that they leave the caches before anyone reads them.
  int streams;
} ck_convolution_plan;

/// The kernels of one instruction set. Buffers have no alignment requirement beyond that of float, scratch beyond that
/// of ptrdiff_t, but run faster when aligned to 64 bytes. Only direct weight gradients read the output's gradient
/// through terms.
typedef struct ck_convolution_kernels {
  /// `is_plain`: the source is one tensor, read as it is. `threads` will share the tasks: there are more where it takes
  /// more to keep them all busy, but results, records and packed weights stay the same.
  void (*plan)(
      const ck_convolution_shape *shape, ck_convolution_pass pass, ck_convolution_algorithm algorithm, int is_plain,
      int threads, ck_convolution_plan *plan);
  /// Task `task` of `plan->pack_tasks`: fills its part of `packed` (forward and input gradient).
  void (*pack)(const ck_convolution_plan *plan, const float *weights, float *packed, int task);
  /// Task `task` of `plan->tasks`: forward reads x and writes y, the input gradient reads the gradient of y and
  /// writes that of x. `bias` has one value for each channel that is written, or is null.
  void (*run)(
      const ck_convolution_plan *plan, const ck_convolution_input *input, const float *packed, const float *bias,
      const ck_convolution_output *output, float *scratch, int task);
  /// The records of moments that belong to an instance: first ..< last.
  void (*statistics_range)(const ck_convolution_plan *plan, int instance, int *first, int *last);
  /// Task `task` of `plan->tasks`: fills its part of `partials` (weight gradient).
  void (*accumulate)(
      const ck_convolution_plan *plan, const ck_convolution_input *input, const ck_convolution_source *output_gradient,
      float *partials, float *scratch, int task);
  /// Task `task` of `plan->reduce_tasks`, after all of `accumulate`: fills its part of the weights' gradient, sums in a
  /// fixed order.
  void (*reduce)(
      const ck_convolution_plan *plan, const float *partials, float *weight_gradient, float *scratch, int task);
  /// Adds up `pixels` contiguous pixels, channel by channel, into `sums`.
  void (*sum_pixels)(const float *values, ptrdiff_t pixels, ptrdiff_t channels, float *sums);
} ck_convolution_kernels;

/// The kernels of a level, or of the nearest lower level compiled for this processor family.
const ck_convolution_kernels *ck_convolution_kernels_for(ck_instruction_set level);

#ifdef __cplusplus
}
#endif
