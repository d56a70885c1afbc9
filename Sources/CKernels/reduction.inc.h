// Sums and maxima for one instruction set; see simd_target.h.
#include "ck_reduction.h"

enum { SIMD_NAME(sum_block) = 1024 };

static double SIMD_NAME(sum)(const float *input, size_t count) {
  double total = 0;
  while (count > 0) {
    const size_t block = count < SIMD_NAME(sum_block) ? count : SIMD_NAME(sum_block);
    simd_float s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    size_t i = 0;
    for (; i + 4 * SIMD_WIDTH <= block; i += 4 * SIMD_WIDTH) {
      s0 += simd_load(input + i);
      s1 += simd_load(input + i + SIMD_WIDTH);
      s2 += simd_load(input + i + 2 * SIMD_WIDTH);
      s3 += simd_load(input + i + 3 * SIMD_WIDTH);
    }
    for (; i < block; i += SIMD_WIDTH)
      s0 += simd_load_partial(input + i, block - i < SIMD_WIDTH ? block - i : SIMD_WIDTH);
    total += simd_sum_lanes((s0 + s1) + (s2 + s3));
    input += block;
    count -= block;
  }
  return total;
}

static double SIMD_NAME(sum_of_squares)(const float *x, size_t count) {
  simd_double s0 = {0}, s1 = {0};
  size_t i = 0;
  for (; i + 2 * SIMD_WIDTH <= count; i += 2 * SIMD_WIDTH) {
    const simd_double a = simd_widen(simd_load(x + i)), b = simd_widen(simd_load(x + i + SIMD_WIDTH));
    s0 += a * a;
    s1 += b * b;
  }
  for (; i < count; i += SIMD_WIDTH) {
    const simd_double a = simd_widen(simd_load_partial(x + i, count - i < SIMD_WIDTH ? count - i : SIMD_WIDTH));
    s0 += a * a;
  }
  s0 += s1;
  double total = 0;
  for (size_t lane = 0; lane < SIMD_WIDTH; lane++) total += s0[lane];
  return total;
}

static float SIMD_NAME(maximum)(const float *x, size_t count) {
  size_t i = 0;
  float result = x[0];
  if (count >= SIMD_WIDTH) {
    simd_float best = simd_load(x);
    for (i = SIMD_WIDTH; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) best = simd_maximum(simd_load(x + i), best);
    result = best[0];
    for (int lane = 1; lane < SIMD_WIDTH; lane++)
      result = best[lane] > result || best[lane] != best[lane] ? best[lane] : result;
  }
  for (; i < count; i++) result = x[i] > result || x[i] != x[i] ? x[i] : result;
  return result;
}

static void SIMD_NAME(add_columns)(double *sums, const float *x, size_t rows, size_t columns) {
  // Float32 sums of few rows each, then double: a value of 1e4 with a spread of 1 keeps its digits.
  const size_t block = 32;
  for (size_t first = 0; first < rows; first += block) {
    const size_t count = rows - first < block ? rows - first : block;
    const float *start = x + first * columns;
    for (size_t c = 0; c < columns; c += SIMD_WIDTH) {
      const size_t lanes = columns - c < SIMD_WIDTH ? columns - c : SIMD_WIDTH;
      simd_float s0 = {0}, s1 = {0};
      size_t r = 0;
      if (lanes == SIMD_WIDTH) {
        for (; r + 2 <= count; r += 2) {
          s0 += simd_load(start + r * columns + c);
          s1 += simd_load(start + (r + 1) * columns + c);
        }
      }
      for (; r < count; r++) s0 += simd_load_partial(start + r * columns + c, lanes);
      s0 += s1;
      if (lanes == SIMD_WIDTH)
        for (size_t lane = 0; lane < SIMD_WIDTH; lane++) sums[c + lane] += (double)s0[lane];
      else
        for (size_t lane = 0; lane < lanes; lane++) sums[c + lane] += (double)s0[lane];
    }
  }
}

static void SIMD_NAME(maximize_columns)(float *maxima, const float *x, size_t rows, size_t columns) {
  for (size_t c = 0; c < columns; c += SIMD_WIDTH) {
    const size_t lanes = columns - c < SIMD_WIDTH ? columns - c : SIMD_WIDTH;
    simd_float best = simd_load_partial(maxima + c, lanes);
    for (size_t r = 0; r < rows; r++) best = simd_maximum(simd_load_partial(x + r * columns + c, lanes), best);
    simd_store_partial(maxima + c, best, lanes);
  }
}

static void SIMD_NAME(sum_rows)(float *sums, const float *x, size_t rows, size_t columns, double scale) {
  for (size_t r = 0; r < rows; r++, x += columns) {
    double sum = 0;
    if (columns < 2 * SIMD_WIDTH) {
      for (size_t c = 0; c < columns; c++) sum += (double)x[c];
    } else {
      sum = SIMD_NAME(sum)(x, columns);
    }
    sums[r] = (float)(sum * scale);
  }
}

/// Classes up to which lanes are summed instead of rows, and vectors whose float32 sums are added up first.
enum { SIMD_NAME(few_classes) = 16, SIMD_NAME(class_sum_vectors) = 32 };

typedef int16_t SIMD_NAME(short_labels) __attribute__((vector_size(SIMD_WIDTH * 2), aligned(2)));

SIMD_INLINE simd_int SIMD_NAME(load_labels)(const int16_t *labels) {
  return __builtin_convertvector(*(const SIMD_NAME(short_labels) *)labels, simd_int);
}

/// The values of SIMD_WIDTH voxels of few classes are as many vectors as there are classes. Each lane of those belongs to
/// the same class and the same one of the voxels every time.
typedef struct {
  simd_int voxel[SIMD_NAME(few_classes)], class[SIMD_NAME(few_classes)];
} SIMD_NAME(class_lanes);

SIMD_INLINE SIMD_NAME(class_lanes) SIMD_NAME(lanes_of_classes)(size_t classes) {
  SIMD_NAME(class_lanes) lanes;
  for (size_t lane = 0; lane < classes * SIMD_WIDTH; lane++) {
    lanes.voxel[lane / SIMD_WIDTH][lane % SIMD_WIDTH] = (int32_t)(lane / classes);
    lanes.class[lane / SIMD_WIDTH][lane % SIMD_WIDTH] = (int32_t)(lane % classes);
  }
  return lanes;
}

/// Whether each label counts and is no class.
SIMD_INLINE simd_int SIMD_NAME(is_unknown)(simd_int label, size_t classes, int32_t ignored) {
  return (label != ignored) & ((label < 0) | (label >= (int32_t)classes));
}

SIMD_INLINE int SIMD_NAME(is_any)(simd_int mask) {
  int32_t any = 0;
  for (int lane = 0; lane < SIMD_WIDTH; lane++) any |= mask[lane];
  return any != 0;
}

/// `class_sums` of few classes and a multiple of SIMD_WIDTH voxels.
static int SIMD_NAME(class_sums_of_few)(
    double *sums, const float *map, const int16_t *labels, size_t voxels, size_t classes, int32_t ignored) {
  const SIMD_NAME(class_lanes) lanes = SIMD_NAME(lanes_of_classes)(classes);
  simd_double shared[SIMD_NAME(few_classes)], all[SIMD_NAME(few_classes)];
  simd_int own[SIMD_NAME(few_classes)];
  for (size_t j = 0; j < classes; j++) {
    shared[j] = all[j] = (simd_double){0};
    own[j] = (simd_int){0};
  }
  simd_int unknown = {0};
  const size_t step = SIMD_NAME(class_sum_vectors) * SIMD_WIDTH;
  for (size_t first = 0; first < voxels; first += step) {
    const size_t end = voxels - first < step ? voxels : first + step;
    for (size_t voxel = first; voxel < end; voxel += SIMD_WIDTH)
      unknown |= SIMD_NAME(is_unknown)(SIMD_NAME(load_labels)(labels + voxel), classes, ignored);
    for (size_t j = 0; j < classes; j++) {
      const simd_int place = lanes.voxel[j], class = lanes.class[j];
      const float *values = map + first * classes + j * SIMD_WIDTH;
      simd_float part_shared = {0}, part_all = {0};
      simd_int part_own = {0};
      for (size_t voxel = first; voxel < end; voxel += SIMD_WIDTH, values += classes * SIMD_WIDTH) {
        const simd_int label = simd_permute(SIMD_NAME(load_labels)(labels + voxel), place);
        const simd_int counts = label != ignored, is_own = counts & (label == class);
        const simd_int value = (simd_int)simd_load(values);
        part_all += (simd_float)(value & counts);
        part_shared += (simd_float)(value & is_own);
        part_own -= is_own;
      }
      shared[j] += simd_widen(part_shared);
      all[j] += simd_widen(part_all);
      own[j] += part_own;
    }
  }
  for (size_t lane = 0; lane < classes * SIMD_WIDTH; lane++) {
    const size_t j = lane / SIMD_WIDTH, i = lane % SIMD_WIDTH, k = lane % classes;
    sums[k] += shared[j][i];
    sums[classes + k] += all[j][i];
    sums[2 * classes + k] += own[j][i];
  }
  return !SIMD_NAME(is_any)(unknown);
}

static int SIMD_NAME(class_sums)(
    double *sums, const float *map, const int16_t *labels, size_t voxels, size_t classes, int32_t ignored) {
  size_t voxel = 0;
  if (classes <= SIMD_NAME(few_classes)) {
    voxel = voxels - voxels % SIMD_WIDTH;
    if (!SIMD_NAME(class_sums_of_few)(sums, map, labels, voxel, classes, ignored)) return 0;
  }
  double *restrict shared = sums, *restrict all = sums + classes, *restrict own = sums + 2 * classes;
  for (; voxel < voxels; voxel++) {
    const int32_t label = labels[voxel];
    if (label == ignored) continue;
    if (label < 0 || label >= (int32_t)classes) return 0;
    const float *row = map + voxel * classes;
    for (size_t k = 0; k < classes; k++) all[k] += (double)row[k];
    shared[label] += (double)row[label];
    own[label] += 1;
  }
  return 1;
}

static int SIMD_NAME(class_values)(
    float *map, const float *own, const float *all, const int16_t *labels, size_t voxels, size_t classes,
    int32_t ignored) {
  size_t voxel = 0;
  if (classes <= SIMD_NAME(few_classes)) {
    const SIMD_NAME(class_lanes) lanes = SIMD_NAME(lanes_of_classes)(classes);
    simd_float other[SIMD_NAME(few_classes)], labelled[SIMD_NAME(few_classes)];
    for (size_t lane = 0; lane < classes * SIMD_WIDTH; lane++) {
      const size_t k = lane % classes;
      other[lane / SIMD_WIDTH][lane % SIMD_WIDTH] = all[k];
      labelled[lane / SIMD_WIDTH][lane % SIMD_WIDTH] = all[k] + own[k];
    }
    simd_int unknown = {0};
    for (; voxel + SIMD_WIDTH <= voxels; voxel += SIMD_WIDTH) {
      const simd_int label = SIMD_NAME(load_labels)(labels + voxel);
      unknown |= SIMD_NAME(is_unknown)(label, classes, ignored);
      for (size_t j = 0; j < classes; j++) {
        const simd_int here = simd_permute(label, lanes.voxel[j]);
        const simd_float value = simd_select(here == lanes.class[j], labelled[j], other[j]);
        simd_store(map + voxel * classes + j * SIMD_WIDTH, (simd_float)((simd_int)value & (here != ignored)));
      }
    }
    if (SIMD_NAME(is_any)(unknown)) return 0;
  }
  for (; voxel < voxels; voxel++) {
    const int32_t label = labels[voxel];
    float *row = map + voxel * classes;
    if (label == ignored) {
      memset(row, 0, classes * sizeof(float));
      continue;
    }
    if (label < 0 || label >= (int32_t)classes) return 0;
    memcpy(row, all, classes * sizeof(float));
    row[label] += own[label];
  }
  return 1;
}

const ck_reduction_kernels SIMD_NAME(ck_reduction) = {
    .sum = SIMD_NAME(sum),
    .sum_of_squares = SIMD_NAME(sum_of_squares),
    .maximum = SIMD_NAME(maximum),
    .add_columns = SIMD_NAME(add_columns),
    .maximize_columns = SIMD_NAME(maximize_columns),
    .sum_rows = SIMD_NAME(sum_rows),
    .class_sums = SIMD_NAME(class_sums),
    .class_values = SIMD_NAME(class_values),
};
