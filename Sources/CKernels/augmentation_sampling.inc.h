// Resampling along affine lines for one instruction set; included by augmentation.inc.h.

/// Integer and fractional parts of the positions of SIMD_WIDTH neighbouring output voxels along one axis.
typedef struct SIMD_NAME(axis_positions) {
  simd_int lower;
  simd_float fraction;
} SIMD_NAME(axis_positions);

static inline __attribute__((always_inline)) simd_float SIMD_NAME(lane_numbers)(void) {
  simd_float lanes;
#pragma clang loop unroll(full)
  for (int lane = 0; lane < SIMD_WIDTH; lane++) lanes[lane] = (float)lane;
  return lanes;
}

static inline __attribute__((always_inline)) SIMD_NAME(axis_positions)
    SIMD_NAME(positions)(simd_float output, float start, float step) {
  SIMD_NAME(axis_positions) result;
  simd_float position = simd_multiply_add(output, simd_broadcast(step), simd_broadcast(start));
  // Far away is as good as further away, and keeps the conversion defined.
  position = __builtin_elementwise_max(simd_broadcast(-1e6f), __builtin_elementwise_min(simd_broadcast(1e6f), position));
  simd_int truncated = __builtin_convertvector(position, simd_int);
  // A comparison is -1 where it holds: rounds negative fractions down.
  result.lower = truncated + (position < __builtin_convertvector(truncated, simd_float));
  result.fraction = position - __builtin_convertvector(result.lower, simd_float);
  return result;
}

/// -1 in lanes whose voxel and next voxel lie inside an axis of `size` voxels.
static inline __attribute__((always_inline)) simd_int SIMD_NAME(pair_inside)(simd_int lower, size_t size) {
  return (lower >= 0) & (lower <= (int32_t)size - 2);
}

static inline int SIMD_NAME(samples_in_plane)(const size_t size[3], const float start[3], const float step[3]) {
  return size[0] == 1 && start[0] == 0 && step[0] == 0;
}

static float SIMD_NAME(linear_at_border)(const float *source, const size_t size[3], const int32_t lower[3],
                                         const float fraction[3]) {
  float result = 0;
  for (int corner = 0; corner < 8; corner++) {
    float weight = 1;
    size_t offset = 0;
    int inside = 1;
    for (int axis = 0; axis < 3; axis++) {
      int upper = corner >> (2 - axis) & 1;
      int32_t index = lower[axis] + upper;
      weight *= upper ? fraction[axis] : 1 - fraction[axis];
      inside &= index >= 0 && index < (int32_t)size[axis];
      offset = offset * size[axis] + (size_t)index;
    }
    if (inside) result += weight * source[offset];
  }
  return result;
}

static inline __attribute__((always_inline)) void SIMD_NAME(sample_linear_in)(float *row, size_t count,
                                                                              const float *source,
                                                                              const size_t size[3],
                                                                              const float start[3],
                                                                              const float step[3], const int planar) {
  const ptrdiff_t next_y = (ptrdiff_t)size[2];
  const ptrdiff_t next_z = (ptrdiff_t)(size[1] * size[2]);
  for (size_t i = 0; i < count; i += SIMD_WIDTH) {
    simd_float output = SIMD_NAME(lane_numbers)() + (float)i;
    SIMD_NAME(axis_positions) x = SIMD_NAME(positions)(output, start[2], step[2]);
    SIMD_NAME(axis_positions) y = SIMD_NAME(positions)(output, start[1], step[1]);
    SIMD_NAME(axis_positions) z = {0};
    simd_int inside = SIMD_NAME(pair_inside)(x.lower, size[2]) & SIMD_NAME(pair_inside)(y.lower, size[1]);
    simd_int base = y.lower * (int32_t)next_y + x.lower;
    if (!planar) {
      z = SIMD_NAME(positions)(output, start[0], step[0]);
      inside &= SIMD_NAME(pair_inside)(z.lower, size[0]);
      base += z.lower * (int32_t)next_z;
    }
    simd_float value;
    if (__builtin_reduce_and(inside)) {
      simd_float v000, v001, v010, v011, v100, v101, v110, v111;
#pragma clang loop unroll(full)
      for (int lane = 0; lane < SIMD_WIDTH; lane++) {
        const float *corner = source + base[lane];
        v000[lane] = corner[0];
        v001[lane] = corner[1];
        v010[lane] = corner[next_y];
        v011[lane] = corner[next_y + 1];
        if (!planar) {
          v100[lane] = corner[next_z];
          v101[lane] = corner[next_z + 1];
          v110[lane] = corner[next_z + next_y];
          v111[lane] = corner[next_z + next_y + 1];
        }
      }
      simd_float v00 = simd_multiply_add(x.fraction, v001 - v000, v000);
      simd_float v01 = simd_multiply_add(x.fraction, v011 - v010, v010);
      value = simd_multiply_add(y.fraction, v01 - v00, v00);
      if (!planar) {
        simd_float v10 = simd_multiply_add(x.fraction, v101 - v100, v100);
        simd_float v11 = simd_multiply_add(x.fraction, v111 - v110, v110);
        simd_float far = simd_multiply_add(y.fraction, v11 - v10, v10);
        value = simd_multiply_add(z.fraction, far - value, value);
      }
    } else {
      for (int lane = 0; lane < SIMD_WIDTH; lane++) {
        const int32_t lower[3] = {z.lower[lane], y.lower[lane], x.lower[lane]};
        const float fraction[3] = {z.fraction[lane], y.fraction[lane], x.fraction[lane]};
        value[lane] = SIMD_NAME(linear_at_border)(source, size, lower, fraction);
      }
    }
    if (i + SIMD_WIDTH <= count) {
      simd_store(row + i, value);
    } else {
      for (size_t lane = 0; i + lane < count; lane++) row[i + lane] = value[lane];
    }
  }
}

static void SIMD_NAME(sample_linear)(float *row, size_t count, const float *source, const size_t size[3],
                                     const float start[3], const float step[3]) {
  if (SIMD_NAME(samples_in_plane)(size, start, step)) {
    SIMD_NAME(sample_linear_in)(row, count, source, size, start, step, 1);
  } else {
    SIMD_NAME(sample_linear_in)(row, count, source, size, start, step, 0);
  }
}

/// Rounds a positive normal number to the 11 significant bits of half precision, ties to even.
static inline float SIMD_NAME(half_rounded)(float value) {
  union {
    float number;
    uint32_t bits;
  } pattern = {value};
  pattern.bits += 0x0fffu + (pattern.bits >> 13 & 1u);
  pattern.bits &= ~0x1fffu;
  return pattern.number;
}

// The eight voxels around a position: bit 2 of a number is the upper slice, bit 1 the upper row, bit 0 the next voxel.
typedef float SIMD_NAME(corner_floats) __attribute__((vector_size(32)));
typedef int32_t SIMD_NAME(corner_labels) __attribute__((vector_size(32)));

static inline __attribute__((always_inline)) float SIMD_NAME(corner_sum)(const SIMD_NAME(corner_floats) * values) {
  typedef float half __attribute__((vector_size(16)));
  half sum = __builtin_shufflevector(*values, *values, 0, 1, 2, 3) +
             __builtin_shufflevector(*values, *values, 4, 5, 6, 7);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// The label with the highest score among the eight voxels around a position.
static inline __attribute__((always_inline)) int16_t SIMD_NAME(winner)(const SIMD_NAME(corner_labels) * corners,
                                                                     float x, float y, float z,
                                                                     const int32_t lower[3]) {
  const SIMD_NAME(corner_labels) labels = *corners;
  const SIMD_NAME(corner_floats) along_x = {1 - x, x, 1 - x, x, 1 - x, x, 1 - x, x};
  const SIMD_NAME(corner_floats) along_y = {1 - y, 1 - y, y, y, 1 - y, 1 - y, y, y};
  const SIMD_NAME(corner_floats) along_z = {1 - z, 1 - z, 1 - z, 1 - z, z, z, z, z};
  const SIMD_NAME(corner_floats) weights = along_x * along_y * along_z * 1000.0f;
  // Halves go to the even voxel.
  int nearest = (z > 0.5f || (z == 0.5f && (lower[0] & 1))) << 2;
  nearest |= (y > 0.5f || (y == 0.5f && (lower[1] & 1))) << 1;
  nearest |= x > 0.5f || (x == 0.5f && (lower[2] & 1));
  const int32_t nearest_label = labels[nearest];

  float best = -1, nearest_score = 0;
  int32_t result = 0;
  SIMD_NAME(corner_labels) remaining = labels;
  // From the smallest label up, so that the first of equal scores is the smallest label's.
  for (int32_t label; (label = __builtin_reduce_min(remaining)) != INT32_MAX;) {
    SIMD_NAME(corner_labels) equal = labels == label;
    SIMD_NAME(corner_floats) counted = (SIMD_NAME(corner_floats))((SIMD_NAME(corner_labels))weights & equal);
    float score = SIMD_NAME(half_rounded)(SIMD_NAME(corner_sum)(&counted));
    if (label == nearest_label) nearest_score = score;
    if (score > best) {
      best = score;
      result = label;
    }
    remaining = (remaining & ~equal) | (equal & INT32_MAX);
  }
  return (int16_t)(nearest_score == best ? nearest_label : result);
}

static int16_t SIMD_NAME(winner_at_border)(const int16_t *source, const size_t size[3], const int32_t lower[3],
                                           const float fraction[3], int16_t outside) {
  SIMD_NAME(corner_labels) labels;
  for (int corner = 0; corner < 8; corner++) {
    size_t offset = 0;
    int inside = 1;
    for (int axis = 0; axis < 3; axis++) {
      int32_t index = lower[axis] + (corner >> (2 - axis) & 1);
      inside &= index >= 0 && index < (int32_t)size[axis];
      offset = offset * size[axis] + (size_t)index;
    }
    labels[corner] = inside ? source[offset] : outside;
  }
  return SIMD_NAME(winner)(&labels, fraction[2], fraction[1], fraction[0], lower);
}

/// Two neighbouring labels in one number.
static inline __attribute__((always_inline)) int32_t SIMD_NAME(label_pair)(const int16_t *labels) {
  int32_t pair;
  __builtin_memcpy(&pair, labels, sizeof pair);
  return pair;
}

static inline __attribute__((always_inline)) void SIMD_NAME(sample_labels_in)(
    int16_t *row, size_t count, const int16_t *source, const size_t size[3], const float start[3],
    const float step[3], int16_t outside, const int planar) {
  const ptrdiff_t next_y = (ptrdiff_t)size[2];
  const ptrdiff_t next_z = planar ? 0 : (ptrdiff_t)(size[1] * size[2]);
  for (size_t i = 0; i < count; i += SIMD_WIDTH) {
    simd_float output = SIMD_NAME(lane_numbers)() + (float)i;
    SIMD_NAME(axis_positions) x = SIMD_NAME(positions)(output, start[2], step[2]);
    SIMD_NAME(axis_positions) y = SIMD_NAME(positions)(output, start[1], step[1]);
    SIMD_NAME(axis_positions) z = {0};
    simd_int inside = SIMD_NAME(pair_inside)(x.lower, size[2]) & SIMD_NAME(pair_inside)(y.lower, size[1]);
    simd_int base = y.lower * (int32_t)next_y + x.lower;
    if (!planar) {
      z = SIMD_NAME(positions)(output, start[0], step[0]);
      inside &= SIMD_NAME(pair_inside)(z.lower, size[0]);
      base += z.lower * (int32_t)next_z;
    }
    // A row of labels, and -1 in lanes whose voxels do not all agree.
    int16_t labels[SIMD_WIDTH];
    int32_t mixed[SIMD_WIDTH];
    int any_mixed = 1;
    if (__builtin_reduce_and(inside)) {
      simd_int near_near, near_far, far_near, far_far;
#pragma clang loop unroll(full)
      for (int lane = 0; lane < SIMD_WIDTH; lane++) {
        const int16_t *corner = source + base[lane];
        near_near[lane] = SIMD_NAME(label_pair)(corner);
        near_far[lane] = SIMD_NAME(label_pair)(corner + next_y);
        if (!planar) {
          far_near[lane] = SIMD_NAME(label_pair)(corner + next_z);
          far_far[lane] = SIMD_NAME(label_pair)(corner + next_z + next_y);
        }
      }
      simd_int lower_label = near_near << 16;
      simd_int different = (near_near ^ near_far) | ((near_near & -65536) ^ lower_label);
      if (!planar) different |= (near_near ^ far_near) | (near_near ^ far_far);
      different = different != 0;
      typedef int16_t narrow __attribute__((vector_size(SIMD_WIDTH * 2)));
      narrow result = __builtin_convertvector(lower_label >> 16, narrow);
      __builtin_memcpy(labels, &result, sizeof labels);
      any_mixed = __builtin_reduce_or(different);
      __builtin_memcpy(mixed, &different, sizeof mixed);
    } else {
      for (int lane = 0; lane < SIMD_WIDTH; lane++) mixed[lane] = -1;
    }
    size_t lanes = count - i < SIMD_WIDTH ? count - i : SIMD_WIDTH;
    if (any_mixed) {
      for (size_t lane = 0; lane < lanes; lane++) {
        if (!mixed[lane]) continue;
        const int32_t lower[3] = {z.lower[lane], y.lower[lane], x.lower[lane]};
        if (inside[lane]) {
          const int16_t *near = source + base[lane];
          const int16_t *far = near + next_z;
          SIMD_NAME(corner_labels) corners = {near[0], near[1], near[next_y], near[next_y + 1],
                                              far[0],  far[1],  far[next_y],  far[next_y + 1]};
          labels[lane] = SIMD_NAME(winner)(&corners, x.fraction[lane], y.fraction[lane], z.fraction[lane], lower);
        } else {
          const float fraction[3] = {z.fraction[lane], y.fraction[lane], x.fraction[lane]};
          labels[lane] = SIMD_NAME(winner_at_border)(source, size, lower, fraction, outside);
        }
      }
    }
    __builtin_memcpy(row + i, labels, lanes * sizeof *labels);
  }
}

static void SIMD_NAME(sample_labels)(int16_t *row, size_t count, const int16_t *source, const size_t size[3],
                                     const float start[3], const float step[3], int16_t outside) {
  if (SIMD_NAME(samples_in_plane)(size, start, step)) {
    SIMD_NAME(sample_labels_in)(row, count, source, size, start, step, outside, 1);
  } else {
    SIMD_NAME(sample_labels_in)(row, count, source, size, start, step, outside, 0);
  }
}

static void SIMD_NAME(sample_labels_nearest)(int16_t *row, size_t count, const int16_t *source, const size_t size[3],
                                             const float start[3], const float step[3], int16_t outside) {
  for (size_t i = 0; i < count; i++) {
    size_t offset = 0;
    int inside = 1;
    for (int axis = 0; axis < 3; axis++) {
      float nearest = __builtin_rintf((float)i * step[axis] + start[axis]);
      inside &= nearest >= 0 && nearest < (float)size[axis];
      offset = offset * size[axis] + (inside ? (size_t)nearest : 0);
    }
    row[i] = inside ? source[offset] : outside;
  }
}
