// Augmentation kernels for one instruction set; see simd_target.h. Loops without vector types below are left to the
// compiler, which vectorises them for the target of this file.
#include "ck_augmentation.h"

#include "augmentation_sampling.inc.h"
#include "augmentation_intensity.inc.h"

#define EXCHANGE(element)                                        \
  for (size_t i = 0; i < count; i++) {                           \
    element kept = a[i];                                         \
    a[i] = b[i];                                                 \
    b[i] = kept;                                                 \
  }

#define EXCHANGE_REVERSED(element)                               \
  for (size_t i = 0; i < count; i++) {                           \
    element kept = a[i];                                         \
    a[i] = b[count - 1 - i];                                     \
    b[count - 1 - i] = kept;                                     \
  }

static void SIMD_NAME(exchange)(float *restrict a, float *restrict b, size_t count) { EXCHANGE(float) }

static void SIMD_NAME(exchange_labels)(int16_t *restrict a, int16_t *restrict b, size_t count) { EXCHANGE(int16_t) }

static void SIMD_NAME(exchange_reversed)(float *restrict a, float *restrict b, size_t count) {
  EXCHANGE_REVERSED(float)
}

static void SIMD_NAME(exchange_labels_reversed)(int16_t *restrict a, int16_t *restrict b, size_t count) {
  EXCHANGE_REVERSED(int16_t)
}

#undef EXCHANGE
#undef EXCHANGE_REVERSED

static void SIMD_NAME(fill_where_negative)(float *values, const int16_t *labels, size_t count, float fill) {
  for (size_t i = 0; i < count; i++) values[i] = labels[i] < 0 ? fill : values[i];
}

static void SIMD_NAME(replace_label)(int16_t *labels, size_t count, int16_t old, int16_t replacement) {
  for (size_t i = 0; i < count; i++) labels[i] = labels[i] == old ? replacement : labels[i];
}

static void SIMD_NAME(label_indicator)(float *indicator, const int16_t *labels, size_t count, int16_t label) {
  for (size_t i = 0; i < count; i++) indicator[i] = labels[i] == label ? 1.0f : 0.0f;
}

static void SIMD_NAME(region_indicator)(int16_t *indicator, const int16_t *labels, size_t count,
                                        const int16_t *members, size_t member_count) {
  __builtin_memset(indicator, 0, count * sizeof *indicator);
  for (size_t member = 0; member < member_count; member++) {
    int16_t label = members[member];
    for (size_t i = 0; i < count; i++) indicator[i] |= labels[i] == label;
  }
}

#define INTERLEAVE_FIXED(element, width)                                        \
  for (size_t i = 0; i < count; i++) {                                          \
    _Pragma("clang loop unroll(full)") for (size_t c = 0; c < (width); c++) {   \
      interleaved[i * (width) + c] = channels[c][i];                            \
    }                                                                           \
  }                                                                             \
  return;

// Two to four channels are modalities and get shuffles; more are one-hot masks of a cascade or many regions.
#define INTERLEAVE(element)                                                            \
  switch (channel_count) {                                                             \
    case 1: __builtin_memcpy(interleaved, channels[0], count * sizeof(element)); return; \
    case 2: INTERLEAVE_FIXED(element, 2)                                               \
    case 3: INTERLEAVE_FIXED(element, 3)                                               \
    case 4: INTERLEAVE_FIXED(element, 4)                                               \
    default:                                                                           \
      for (size_t c = 0; c < channel_count; c++) {                                     \
        const element *channel = channels[c];                                          \
        for (size_t i = 0; i < count; i++) interleaved[i * channel_count + c] = channel[i]; \
      }                                                                                \
  }

static void SIMD_NAME(interleave)(float *restrict interleaved, const float *const *channels, size_t channel_count,
                                  size_t count) {
  INTERLEAVE(float)
}

static void SIMD_NAME(interleave_labels)(int16_t *restrict interleaved, const int16_t *const *channels,
                                         size_t channel_count, size_t count) {
  INTERLEAVE(int16_t)
}

#undef INTERLEAVE
#undef INTERLEAVE_FIXED

const ck_augmentation_kernels SIMD_NAME(ck_augmentation) = {
    .sample_linear = SIMD_NAME(sample_linear),
    .sample_labels = SIMD_NAME(sample_labels),
    .sample_labels_nearest = SIMD_NAME(sample_labels_nearest),
    .weighted_sum = SIMD_NAME(weighted_sum),
    .interpolate_row = SIMD_NAME(interpolate_row),
    .summarize = SIMD_NAME(summarize),
    .squared_deviations = SIMD_NAME(squared_deviations),
    .rescale = SIMD_NAME(rescale),
    .power = SIMD_NAME(power),
    .add_noise = SIMD_NAME(add_noise),
    .exchange = SIMD_NAME(exchange),
    .exchange_labels = SIMD_NAME(exchange_labels),
    .exchange_reversed = SIMD_NAME(exchange_reversed),
    .exchange_labels_reversed = SIMD_NAME(exchange_labels_reversed),
    .fill_where_negative = SIMD_NAME(fill_where_negative),
    .replace_label = SIMD_NAME(replace_label),
    .label_indicator = SIMD_NAME(label_indicator),
    .region_indicator = SIMD_NAME(region_indicator),
    .interleave = SIMD_NAME(interleave),
    .interleave_labels = SIMD_NAME(interleave_labels),
};
