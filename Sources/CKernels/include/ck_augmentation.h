// Kernels of the training augmentation: affine resampling, filters, intensity changes, noise, labels.
//
// Volumes are dense and row-major [Z, Y, X]; a `row` is contiguous along X. Sizes are given as z, y, x.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ck_instruction_set.h"

/// Sum and extremes of an array.
typedef struct ck_intensity_summary {
  double sum;
  float minimum;
  float maximum;
} ck_intensity_summary;

typedef struct ck_augmentation_kernels {
  /// row[i] = trilinear sample of `source` at voxel position start + i * step (z, y, x); 0 outside the volume, so the
  /// outermost voxels fade out over one voxel. A volume of one slice that is sampled inside its plane is bilinear.
  void (*sample_linear)(float *row, size_t count, const float *source, const size_t size[3], const float start[3],
                        const float step[3]);

  /// row[i] = the label whose indicator has the highest trilinear score at the position; the volume is surrounded by
  /// `outside`. Scores are rounded to half precision at a scale of 1000, as batchgeneratorsv2 does; ties go to the
  /// nearest voxel's label if it is among the tied, else to the smallest.
  void (*sample_labels)(int16_t *row, size_t count, const int16_t *source, const size_t size[3], const float start[3],
                        const float step[3], int16_t outside);

  /// row[i] = the label of the nearest voxel, halves to even; `outside` beyond the volume.
  void (*sample_labels_nearest)(int16_t *row, size_t count, const int16_t *source, const size_t size[3],
                                const float start[3], const float step[3], int16_t outside);

  /// row[i] = sum over t of weights[t] * rows[t][i]; `row` overlaps none of them.
  void (*weighted_sum)(float *row, size_t count, const float *const *rows, const float *weights, size_t taps);

  /// row[i] = source[lower[i]] + weights[i] * (source[upper[i]] - source[lower[i]]).
  void (*interpolate_row)(float *row, size_t count, const float *source, const int32_t *lower, const int32_t *upper,
                          const float *weights);

  ck_intensity_summary (*summarize)(const float *values, size_t count);

  /// The sum of (values[i] - mean) squared.
  double (*squared_deviations)(const float *values, size_t count, float mean);

  /// values[i] = clamp((values[i] - subtrahend) * factor + addend, minimum, maximum).
  void (*rescale)(float *values, size_t count, float subtrahend, float factor, float addend, float minimum,
                  float maximum);

  /// values[i] = pow((sign * values[i] - minimum) / denominator, exponent) * range + minimum; the base is in [0, 1].
  void (*power)(float *values, size_t count, float sign, float minimum, float denominator, float exponent,
                float range);

  /// values[i] += deviation * (standard normal number i of stream `key`). The numbers do not depend on the level.
  void (*add_noise)(float *values, size_t count, float deviation, uint64_t key);

  /// Swaps a[i] and b[i]; the arrays do not overlap.
  void (*exchange)(float *a, float *b, size_t count);
  void (*exchange_labels)(int16_t *a, int16_t *b, size_t count);

  /// Swaps a[i] and b[count - 1 - i]; the arrays do not overlap.
  void (*exchange_reversed)(float *a, float *b, size_t count);
  void (*exchange_labels_reversed)(int16_t *a, int16_t *b, size_t count);

  /// values[i] = fill where labels[i] < 0.
  void (*fill_where_negative)(float *values, const int16_t *labels, size_t count, float fill);

  void (*replace_label)(int16_t *labels, size_t count, int16_t old, int16_t replacement);

  /// indicator[i] = 1 where labels[i] == label, else 0.
  void (*label_indicator)(float *indicator, const int16_t *labels, size_t count, int16_t label);

  /// indicator[i] = 1 where labels[i] is one of `members`, else 0.
  void (*region_indicator)(int16_t *indicator, const int16_t *labels, size_t count, const int16_t *members,
                           size_t member_count);

  /// interleaved[i * channel_count + c] = channels[c][i].
  void (*interleave)(float *interleaved, const float *const *channels, size_t channel_count, size_t count);
  void (*interleave_labels)(int16_t *interleaved, const int16_t *const *channels, size_t channel_count, size_t count);
} ck_augmentation_kernels;

/// The kernels of the highest level that is compiled in and not above `level`.
const ck_augmentation_kernels *ck_augmentation_kernels_for(ck_instruction_set level);
