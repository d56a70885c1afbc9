// Resampling of images along one axis, with cubic B-spline prefiltering, in double precision inside of a tile.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ck_instruction_set.h"

/// How many rows `rows` takes at once, and the unit of `columns`' scratch width.
#define CK_RESAMPLING_ROWS 32
#define CK_RESAMPLING_WIDTH_UNIT 16
/// The most columns `columns` takes at once.
#define CK_RESAMPLING_MAXIMUM_WIDTH 256

/// A linear map from `input_size` to `output_size` samples: output i is the sum over k < taps of
/// weights[i * taps + k] * padded[starts[i] + k], where `padded` is the input with its first and last sample repeated
/// `padding` times.
typedef struct ck_resampling_axis {
  size_t input_size;
  size_t output_size;
  size_t padding;
  size_t taps;
  /// If nonzero, the padded samples are first turned into coefficients of the cubic B-spline through them.
  int32_t prefilter;
  const int32_t *starts;
  const double *weights;
} ck_resampling_axis;

typedef struct ck_resampling_kernels {
  /// Resamples `width` neighbouring columns. Sample i of column w is at source[i * source_stride + w]. Results are
  /// clamped to [low, high]. `scratch` holds (input_size + 2 * padding) * W doubles, where W is `width` rounded up to
  /// a multiple of CK_RESAMPLING_WIDTH_UNIT; 64-byte aligned.
  void (*columns)(const ck_resampling_axis *axis, const float *source, ptrdiff_t source_stride, size_t width,
                  float *destination, ptrdiff_t destination_stride, double *scratch, float low, float high);
  /// Resamples up to CK_RESAMPLING_ROWS contiguous rows. `scratch` holds
  /// (input_size + 2 * padding) * CK_RESAMPLING_ROWS doubles.
  void (*rows)(const ck_resampling_axis *axis, const float *source, ptrdiff_t source_stride, size_t row_count,
               float *destination, ptrdiff_t destination_stride, double *scratch, float low, float high);
  /// Lowers *low and raises *high to take in all values but NaN.
  void (*extrema)(const float *values, size_t count, float *low, float *high);
  /// Rounds every value to the nearest float16 (ties to even, overflow to infinity).
  void (*round_to_half)(float *values, size_t count);
  /// Where values[i] > best[i]: best[i] = values[i], winner[i] = label.
  void (*update_maximum)(const float *values, float *best, int16_t *winner, int16_t label, size_t count);
  /// Replaces `count` values of each of `channels` arrays, `stride` values apart, by their softmax over the channels.
  void (*softmax)(float *values, size_t channels, size_t stride, size_t count);
  /// values[i] = 1 / (1 + exp(-values[i])).
  void (*sigmoid)(float *values, size_t count);
} ck_resampling_kernels;

/// The kernels of the highest level that is compiled in and not above `level`.
const ck_resampling_kernels *ck_resampling_kernels_for(ck_instruction_set level);
