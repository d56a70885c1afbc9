// Augmentation: sampling, filters and intensities against plain loops in double precision, moves and labels exactly,
// and noise against the portable level, whose numbers all levels must give.
#include "checks.h"

static const size_t counts[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 64, 67, 1000, 3001};

static int16_t *labels_of(size_t count, uint32_t bound, int low) {
  int16_t *labels = guarded(count * sizeof *labels, sizeof *labels);
  for (size_t i = 0; i < count; i++) labels[i] = (int16_t)((int)random_below(bound) + low);
  return labels;
}

/// The trilinear sample of a volume that is `outside` all around; of the indicator of
/// `label` if `labels` is not null.
static double sample(const float *source, const int16_t *labels, int label, double outside, const size_t size[3],
    const double position[3]) {
  double result = 0;
  for (int corner = 0; corner < 8; corner++) {
    double weight = 1;
    size_t offset = 0;
    int inside = 1;
    for (int a = 0; a < 3; a++) {
      const double lower = floor(position[a]);
      const int upper = corner >> (2 - a) & 1;
      const double index = lower + upper;
      weight *= upper ? position[a] - lower : 1 - position[a] + lower;
      inside &= index >= 0 && index < (double)size[a];
      offset = offset * size[a] + (inside ? (size_t)index : 0);
    }
    result += weight * (!inside ? outside : labels ? labels[offset] == label : source[offset]);
  }
  return result;
}

typedef struct line {
  size_t size[3];
  float start[3], step[3];
} line;

static const line lines[] = {
    {{7, 9, 40}, {1.25f, 2.5f, 0.125f}, {0.0625f, 0.03125f, 0.75f}},
    {{7, 9, 40}, {-2, 9.5f, 41}, {0.25f, -0.25f, -1}},
    {{5, 8, 30}, {-0.7f, -0.9f, -1.3f}, {0.11f, 0.23f, 0.71f}},
    {{1, 30, 33}, {0, 3.5f, -4.25f}, {0, 0.5f, 0.875f}},
    {{1, 12, 40}, {0, -0.9f, -1.3f}, {0, 0.23f, 0.71f}},
    {{1, 30, 33}, {0.25f, 3.5f, 4.25f}, {0, 0.5f, 0.875f}},
    {{3, 1, 5}, {0.5f, 0, 0}, {0, 0, 0.125f}},
    {{1, 1, 1}, {0, 0, -1}, {0, 0, 0.5f}},
    // As far out as positions go.
    {{4, 5, 6}, {-3e8f, 1, 3e8f}, {0, 0.5f, -1e8f}},
};

static void position_at(const line *l, size_t i, double position[3]) {
  for (int a = 0; a < 3; a++) {
    position[a] = fmin(fmax(l->start[a] + (double)i * l->step[a], -1e6), 1e6);
  }
}

static void check_sampling(const ck_augmentation_kernels *kernels) {
  static const size_t sampled[] = {1, 3, 4, 16, 37, 53};
  for (size_t n = 0; n < COUNT_OF(lines) * COUNT_OF(sampled); n++) {
    const line *l = &lines[n / COUNT_OF(sampled)];
    const size_t count = sampled[n % COUNT_OF(sampled)], voxels = l->size[0] * l->size[1] * l->size[2];
    const float *source = random_floats(voxels, -2, 4);
    const int16_t *labels = labels_of(voxels, 4, -1);
    float *row = guarded_floats(count);
    double *expected = guarded_doubles(count), position[3];

    begin_case("sample_linear", "line %zu of %zu voxels", n / COUNT_OF(sampled), count);
    kernels->sample_linear(row, count, source, l->size, l->start, l->step);
    for (size_t i = 0; i < count; i++) {
      position_at(l, i, position);
      expected[i] = sample(source, 0, 0, 0, l->size, position);
    }
    expect_close(row, expected, count, 2e-5, 1);

    // The labels of the highest scores, where these are clear of ties.
    begin_case("sample_labels", "line %zu of %zu voxels", n / COUNT_OF(sampled), count);
    int16_t *label_row = guarded(count * sizeof *label_row, sizeof *label_row);
    kernels->sample_labels(label_row, count, labels, l->size, l->start, l->step, -1);
    for (size_t i = 0; i < count; i++) {
      position_at(l, i, position);
      double best = -1, second = -1;
      int winner = 0;
      for (int label = -1; label < 3; label++) {
        const double score = sample(0, labels, label, label == -1, l->size, position);
        if (score > best) {
          second = best;
          best = score;
          winner = label;
        } else if (score > second) {
          second = score;
        }
      }
      if (best - second > 0.002) {
        expect(label_row[i] == winner, "label %d at %zu, expected %d", label_row[i], i, winner);
      }
    }

    begin_case("sample_labels_nearest", "line %zu of %zu voxels", n / COUNT_OF(sampled), count);
    kernels->sample_labels_nearest(label_row, count, labels, l->size, l->start, l->step, 77);
    for (size_t i = 0; i < count; i++) {
      size_t offset = 0;
      int inside = 1, is_clear = 1;
      position_at(l, i, position);
      for (int a = 0; a < 3; a++) {
        // Halves that binary fractions hit go to the even voxel; others may fall to either side.
        const double nearest = rint(position[a]), from_half = fabs(fabs(position[a] - nearest) - 0.5);
        is_clear &= from_half == 0 || from_half > 1e-5;
        inside &= nearest >= 0 && nearest < (double)l->size[a];
        offset = offset * l->size[a] + (inside ? (size_t)nearest : 0);
      }
      if (is_clear) {
        const int16_t voxel = inside ? labels[offset] : 77;
        expect(label_row[i] == voxel, "label %d at %zu, expected %d", label_row[i], i, voxel);
      }
    }
    release_guarded();
  }

  begin_case("sample_labels", "ties");
  // Half way between 3 and 1, the even voxel is the nearest; last, scores of .36, .24 + .16 and .24.
  static const struct {
    size_t size[3];
    int16_t labels[4];
    float start[3];
    int16_t winner;
  } ties[] = {
      {{1, 1, 4}, {7, 7, 3, 1}, {0, 0, 2.5f}, 3},
      {{1, 1, 4}, {7, 3, 1, 1}, {0, 0, 1.5f}, 1},
      {{1, 2, 2}, {1, 5, 2, 5}, {0, 0.4f, 0.4f}, 5},
  };
  for (size_t t = 0; t < COUNT_OF(ties); t++) {
    const float still[3] = {0};
    int16_t row[2] = {9, 9};
    kernels->sample_labels(row, 2, ties[t].labels, ties[t].size, ties[t].start, still, -1);
    expect(row[0] == ties[t].winner && row[1] == ties[t].winner, "tie %zu: %d, %d", t, row[0], row[1]);
  }
}

static void check_intensities(const ck_augmentation_kernels *kernels, size_t count) {
  float *values = random_floats(count, -2, 4), *result = guarded_floats(count);
  double *expected = guarded_doubles(count);

  for (size_t taps = 1; taps <= 9; taps += 4) {
    begin_case("weighted_sum", "%zu taps of %zu values", taps, count);
    const float *rows[9], *weights = random_floats(taps, -1, 1);
    for (size_t t = 0; t < taps; t++) rows[t] = random_floats(count, -2, 2);
    for (size_t i = 0; i < count; i++) {
      expected[i] = 0;
      for (size_t t = 0; t < taps; t++) expected[i] += (double)weights[t] * rows[t][i];
    }
    kernels->weighted_sum(result, count, rows, weights, taps);
    expect_close(result, expected, count, 2e-7, (double)taps);
  }

  begin_case("interpolate_row", "%zu values", count);
  int32_t *lower = guarded(count * 4, 4), *upper = guarded(count * 4, 4);
  const float *weights = random_floats(count, 0, 1);
  for (size_t i = 0; i < count; i++) {
    lower[i] = (int32_t)random_below((uint32_t)count);
    upper[i] = (int32_t)random_below((uint32_t)count);
    expected[i] = values[lower[i]] + (double)weights[i] * ((double)values[upper[i]] - values[lower[i]]);
  }
  kernels->interpolate_row(result, count, values, lower, upper, weights);
  expect_close(result, expected, count, 2e-7, 6);

  double sum = 0, squares = 0, smallest = INFINITY, largest = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    sum += values[i];
    smallest = fmin(smallest, values[i]);
    largest = fmax(largest, values[i]);
  }
  begin_case("summarize", "%zu values", count);
  const ck_intensity_summary summary = kernels->summarize(values, count);
  expect_number(summary.sum, sum, 3e-6 * (double)count);
  expect_number(summary.minimum, smallest, 0);
  expect_number(summary.maximum, largest, 0);
  begin_case("squared_deviations", "%zu values", count);
  const float mean = (float)(sum / (double)count);
  for (size_t i = 0; i < count; i++) squares += ((double)values[i] - mean) * ((double)values[i] - mean);
  expect_number(kernels->squared_deviations(values, count, mean), squares, 3e-6 * squares);

  begin_case("rescale", "%zu values", count);
  memcpy(result, values, count * sizeof(float));
  kernels->rescale(result, count, 0.5f, 1.5f, -0.25f, -1, 2.5f);
  for (size_t i = 0; i < count; i++) expected[i] = fmin(2.5, fmax(-1, ((double)values[i] - 0.5) * 1.5 - 0.25));
  expect_close(result, expected, count, 2e-7, 4);

  static const float exponents[] = {0.7f, 0.93f, 1, 1.5f};
  for (size_t e = 0; e < COUNT_OF(exponents); e++) {
    for (int sign = -1; sign <= 1; sign += 2) {
      begin_case("power", "%zu values to the power %g, sign %d", count, (double)exponents[e], sign);
      // The range's ends, and values of every magnitude above the lower one.
      for (size_t i = 0; i < count && i < 12; i++) values[i] = i == 0 ? -2 : (float)(-2 + ldexp(6, -3 * (int)(i - 1)));
      const float minimum = sign > 0 ? -2 : -4;
      memcpy(result, values, count * sizeof(float));
      kernels->power(result, count, (float)sign, minimum, 6, exponents[e], 6);
      for (size_t i = 0; i < count; i++) {
        const double base = fmax(0, ((double)sign * values[i] - minimum) / 6);
        expected[i] = pow(base, exponents[e]) * 6 + minimum;
      }
      expect_close(result, expected, count, 5e-7, 6);
    }
  }
  release_guarded();
}

static void check_noise(const ck_augmentation_kernels *kernels, size_t count) {
  const ck_augmentation_kernels *portable = ck_augmentation_kernels_for(CK_PORTABLE);
  const float *base = random_floats(count, -2, 4);
  float *noisy = guarded_floats(count), *expected_floats = guarded_floats(count);
  double *expected = guarded_doubles(count);
  for (uint64_t key = 1; key < 1u << 20; key *= 977) {
    begin_case("add_noise", "%zu values, key %llu", count, (unsigned long long)(key * 0x10000001ull));
    memcpy(noisy, base, count * sizeof(float));
    memcpy(expected_floats, base, count * sizeof(float));
    kernels->add_noise(noisy, count, 0.5f, key * 0x10000001ull);
    portable->add_noise(expected_floats, count, 0.5f, key * 0x10000001ull);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
      expected[i] = expected_floats[i];
      sum += (double)noisy[i] - base[i];
      squares += ((double)noisy[i] - base[i]) * ((double)noisy[i] - base[i]);
    }
    expect_close(noisy, expected, count, 2e-6, 1);
    if (count >= 1000) {
      // Five standard errors.
      expect_number(sum / (double)count, 0, 5 * 0.5 / sqrt((double)count));
      expect_number(squares / (double)count, 0.25, 5 * 0.25 * sqrt(2 / (double)count));
    }
  }
  release_guarded();
}

static void check_moves(const ck_augmentation_kernels *kernels, size_t count) {
  const size_t bytes = count * sizeof(float), label_bytes = count * sizeof(int16_t);
  float *a = random_floats(count, -2, 4), *b = random_floats(count, -2, 4), *c = guarded_floats(count),
        *d = guarded_floats(count), *floats = guarded_floats(count);
  int16_t *e = labels_of(count, 5, -1), *f = labels_of(count, 5, -1), *g = guarded(label_bytes, 2),
          *h = guarded(label_bytes, 2), *labels = guarded(label_bytes, 2);
  begin_case("exchange", "%zu values", count);
  memcpy(c, a, bytes);
  memcpy(d, b, bytes);
  kernels->exchange(c, d, count);
  expect_same(c, b, bytes);
  expect_same(d, a, bytes);
  begin_case("exchange_reversed", "%zu values", count);
  memcpy(c, a, bytes);
  memcpy(d, b, bytes);
  kernels->exchange_reversed(c, d, count);
  for (size_t i = 0; i < count; i++) expect(c[i] == b[count - 1 - i] && d[i] == a[count - 1 - i], "element %zu", i);
  begin_case("exchange_labels", "%zu values", count);
  memcpy(g, e, label_bytes);
  memcpy(h, f, label_bytes);
  kernels->exchange_labels(g, h, count);
  expect_same(g, f, label_bytes);
  expect_same(h, e, label_bytes);
  begin_case("exchange_labels_reversed", "%zu values", count);
  memcpy(g, e, label_bytes);
  memcpy(h, f, label_bytes);
  kernels->exchange_labels_reversed(g, h, count);
  for (size_t i = 0; i < count; i++) expect(g[i] == f[count - 1 - i] && h[i] == e[count - 1 - i], "element %zu", i);

  begin_case("fill_where_negative", "%zu values", count);
  memcpy(floats, a, bytes);
  kernels->fill_where_negative(floats, e, count, 7);
  for (size_t i = 0; i < count; i++) expect(floats[i] == (e[i] < 0 ? 7 : a[i]), "element %zu", i);
  begin_case("replace_label", "%zu values", count);
  memcpy(labels, e, label_bytes);
  kernels->replace_label(labels, count, -1, 300);
  for (size_t i = 0; i < count; i++) expect(labels[i] == (e[i] == -1 ? 300 : e[i]), "element %zu", i);
  begin_case("label_indicator", "%zu values", count);
  kernels->label_indicator(floats, e, count, 2);
  for (size_t i = 0; i < count; i++) expect(floats[i] == (e[i] == 2), "element %zu", i);
  begin_case("region_indicator", "%zu values", count);
  kernels->region_indicator(labels, e, count, (const int16_t[]){3, 1}, 2);
  for (size_t i = 0; i < count; i++) expect(labels[i] == (e[i] == 3 || e[i] == 1), "element %zu", i);
  release_guarded();

  for (size_t channels = 1; channels <= 6; channels++) {
    const float *planes[6];
    const int16_t *label_planes[6];
    for (size_t p = 0; p < channels; p++) {
      planes[p] = random_floats(count, -2, 4);
      label_planes[p] = labels_of(count, 30000, -9);
    }
    float *joined = guarded_floats(channels * count);
    int16_t *joined_labels = guarded(channels * label_bytes, 2);
    begin_case("interleave", "%zu channels of %zu values", channels, count);
    kernels->interleave(joined, planes, channels, count);
    for (size_t i = 0; i < channels * count; i++)
      expect(joined[i] == planes[i % channels][i / channels], "element %zu", i);
    begin_case("interleave_labels", "%zu channels of %zu values", channels, count);
    kernels->interleave_labels(joined_labels, label_planes, channels, count);
    for (size_t i = 0; i < channels * count; i++)
      expect(joined_labels[i] == label_planes[i % channels][i / channels], "element %zu", i);
    release_guarded();
  }
}

static void check(ck_instruction_set level) {
  const ck_augmentation_kernels *kernels = ck_augmentation_kernels_for(level);
  check_sampling(kernels);
  for (size_t i = 0; i < COUNT_OF(counts); i++) {
    check_intensities(kernels, counts[i]);
    check_noise(kernels, counts[i]);
    check_moves(kernels, counts[i]);
  }
}

const check_family augmentation_family = {"augmentation", TABLE_OPERATIONS(ck_augmentation_kernels), check};
