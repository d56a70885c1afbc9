// The register tile that every convolution kernel ends in: GROUPS x GROUP slots by up to VECTORS vectors.
//
// A slot is an output pixel (forward, input gradient) or an input channel of a tap (weight gradient); the vectors
// are output channels. For every step k of every segment, each slot's value is multiplied by the vectors of
// step k. Slots of a group are `slot_stride` apart, groups are anywhere, so a tile can span rows.

#if defined(SIMD_AVX512)
#define TILE_GROUPS 3
#define TILE_GROUP 4
#define TILE_VECTORS 2
#elif defined(SIMD_AVX2)
#define TILE_GROUPS 1
#define TILE_GROUP 6
#define TILE_VECTORS 2
#elif defined(SIMD_NEON)
#define TILE_GROUPS 1
#define TILE_GROUP 6
#define TILE_VECTORS 4
#else
#define TILE_GROUPS 1
#define TILE_GROUP 4
#define TILE_VECTORS 2
#endif
#define TILE_SLOTS (TILE_GROUPS * TILE_GROUP)
/// Channels of a full block of output channels.
#define TILE_CHANNELS (TILE_VECTORS * SIMD_WIDTH)

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

/// Stores past the caches; the address must be aligned to a whole vector.
ALWAYS_INLINE void simd_stream(float *destination, simd_float value) {
  __builtin_nontemporal_store(value, (simd_float *)destination);
}

typedef struct tile_arguments {
  /// Each group's first slot at offset 0, and where its results go.
  const float *source[TILE_GROUPS];
  float *destination[TILE_GROUPS];
  /// Slots of each group that are stored; the others are computed from whatever memory holds.
  int count[TILE_GROUPS];
  ptrdiff_t slot_stride, destination_stride;
  /// Each segment is `run` steps; step k reads source + offset + k * step_stride.
  int segments, run;
  const ptrdiff_t *source_offsets;
  const ptrdiff_t *weight_offsets;
  const float *weights;
  ptrdiff_t step_stride, weight_stride;
  /// TILE_CHANNELS values, or null.
  const float *bias;
  /// Channels of this block that are stored.
  int lanes;
  /// Whether `tile_channels` overwrites its results instead of adding to them.
  int replaces;
  /// Whether `tile_pixels` stores past the caches; destinations are then aligned to whole vectors.
  int streams;
  /// Where `tile_pixels` keeps the moments of these channels, or null; see ck_convolution_output. The parts of a
  /// record are `moment_stride` apart.
  float *moments;
  ptrdiff_t moment_stride;
  /// Whether the moments start with this tile, and slots of each group that were counted before.
  int starts;
  int counted[TILE_GROUPS];
  /// What becomes of results that are gradients, or null; their instance and first channel in the tensor that starts
  /// at `origin`, of `channels` channels.
  const ck_convolution_gradient *gradient;
  const float *origin;
  int instance, channel, channels;
} tile_arguments;

/// Adds two sums to those of a record, `stride` apart, or begins with them.
ALWAYS_INLINE void join_sums(float *record, ptrdiff_t stride, int starts, simd_float first, simd_float second) {
  simd_store(record, starts ? first : first + simd_load(record));
  simd_store(record + stride, starts ? second : second + simd_load(record + stride));
}

/// A normalisation's terms for a vector of channels.
typedef struct gradient_terms {
  simd_float mean, scale, offset, inverse, normalized_offset, slope;
} gradient_terms;

ALWAYS_INLINE gradient_terms gradient_terms_at(const ck_convolution_gradient *gradient, ptrdiff_t at, int lanes) {
  const ck_normalization_terms *terms = &gradient->terms;
  return (gradient_terms){
      .mean = simd_load_partial(terms->mean + at, lanes),
      .scale = simd_load_partial(terms->scale + at, lanes),
      .offset = simd_load_partial(terms->offset + at, lanes),
      .inverse = simd_load_partial(terms->inverse + at, lanes),
      .normalized_offset = simd_load_partial(terms->normalized_offset + at, lanes),
      .slope = simd_broadcast(gradient->slope)};
}

/// The gradient before the activation of a gradient behind it, which joins the sums.
ALWAYS_INLINE simd_float pass_back(
    simd_float gradient, simd_float x, const gradient_terms *terms, simd_float *sum, simd_float *product) {
  const simd_float centred = x - terms->mean;
  const simd_float z = simd_multiply_add(centred, terms->scale, terms->offset);
  gradient = simd_select(z > simd_broadcast(0), gradient, gradient * terms->slope);
  *sum += gradient;
  *product = simd_multiply_add(gradient, simd_multiply_add(centred, terms->inverse, terms->normalized_offset), *product);
  return gradient;
}

/// Fetches what `tile_pass_back` will read; it comes from afar, and must not be waited for after the last step.
ALWAYS_INLINE void tile_prefetch_gradient(const tile_arguments *t, const float *tensor, const int groups,
    const int vectors) {
  if (!tensor) return;
  UNROLL for (int g = 0; g < groups; ++g) {
    const float *at = tensor + (t->destination[g] - t->origin);
    for (int p = 0; p < t->count[g]; ++p, at += t->destination_stride) {
      UNROLL for (int v = 0; v < vectors; ++v) __builtin_prefetch(at + v * SIMD_WIDTH, 0, 3);
    }
  }
}

/// One vector of one slot.
ALWAYS_INLINE simd_float slot_pass_back(const ck_convolution_gradient *gradient, ptrdiff_t offset, int lanes,
    simd_float value, const gradient_terms *terms, simd_float *sum, simd_float *product) {
  if (gradient->addend) value += simd_load_lanes(gradient->addend + offset, lanes);
  if (!gradient->x) return value;
  return pass_back(value, simd_load_lanes(gradient->x + offset, lanes), terms, sum, product);
}

/// Makes of the slots what their gradient says.
ALWAYS_INLINE void tile_pass_back(const tile_arguments *t, const int groups, const int vectors,
    simd_float sums[TILE_GROUPS][TILE_GROUP][TILE_VECTORS]) {
  const ck_convolution_gradient *const gradient = t->gradient;
  UNROLL for (int v = 0; v < vectors; ++v) {
    const int lanes = ck_minimum(SIMD_WIDTH, t->lanes - v * SIMD_WIDTH);
    gradient_terms terms;
    if (gradient->x) {
      terms = gradient_terms_at(gradient, (ptrdiff_t)t->instance * t->channels + t->channel + v * SIMD_WIDTH, lanes);
    }
    simd_float sum = simd_broadcast(0), product = simd_broadcast(0);
    UNROLL for (int g = 0; g < groups; ++g) {
      float *const first = t->destination[g] + v * SIMD_WIDTH;
      const ptrdiff_t offset = first - t->origin, step = t->destination_stride;
      if (lanes == SIMD_WIDTH && t->count[g] == TILE_GROUP && t->counted[g] == 0) {
        UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
          sums[g][p][v] =
              slot_pass_back(gradient, offset + p * step, SIMD_WIDTH, sums[g][p][v], &terms, &sum, &product);
        }
      } else {
        UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
          if (p >= t->count[g]) continue;
          if (p < t->counted[g]) {
            // Was written before, perhaps over what would be added.
            sums[g][p][v] = simd_load_partial(first + p * step, lanes);
          } else {
            sums[g][p][v] = slot_pass_back(gradient, offset + p * step, lanes, sums[g][p][v], &terms, &sum, &product);
          }
        }
      }
      // The next group, where it steps back, looks for these.
      const int kept = g + 1 < groups ? t->counted[g + 1] : 0;
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
        if (p >= TILE_GROUP - kept) simd_store_lanes(first + p * step, sums[g][p][v], lanes);
      }
    }
    if (gradient->x) join_sums(t->moments + v * SIMD_WIDTH, t->moment_stride, t->starts, sum, product);
  }
}

/// Adds the slots that are stored to the moments.
ALWAYS_INLINE void tile_count(const tile_arguments *t, const int groups, const int vectors,
    simd_float sums[TILE_GROUPS][TILE_GROUP][TILE_VECTORS]) {
  UNROLL for (int v = 0; v < vectors; ++v) {
    float *const at = t->moments + v * SIMD_WIDTH;
    simd_float shift, sum = simd_broadcast(0), square = simd_broadcast(0);
    if (t->starts) {
      // Near the mean, so that the squares of the differences lose little.
      shift = simd_broadcast(0);
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
        if (p < t->count[0]) shift += sums[0][p][v];
      }
      shift *= simd_broadcast(1.0f / (float)t->count[0]);
      simd_store(at, shift);
    } else {
      shift = simd_load(at);
    }
    UNROLL for (int g = 0; g < groups; ++g) {
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
        if (p >= t->counted[g] && p < t->count[g]) {
          const simd_float difference = sums[g][p][v] - shift;
          sum += difference;
          square = simd_multiply_add(difference, difference, square);
        }
      }
    }
    join_sums(at + t->moment_stride, t->moment_stride, t->starts, sum, square);
  }
}

ALWAYS_INLINE void tile_store(const tile_arguments *t, const int groups, const int vectors,
    simd_float sums[TILE_GROUPS][TILE_GROUP][TILE_VECTORS], const int adds) {
  const int full = t->lanes == vectors * SIMD_WIDTH;
  UNROLL for (int g = 0; g < groups; ++g) {
    const int count = t->count[g];
    float *destination = t->destination[g];
    if (!adds && t->streams && full) {
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
        if (p < count) {
          UNROLL for (int v = 0; v < vectors; ++v) {
            simd_stream(destination + p * t->destination_stride + v * SIMD_WIDTH, sums[g][p][v]);
          }
        }
      }
    } else if (__builtin_expect(full && count == TILE_GROUP, 1)) {
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
        UNROLL for (int v = 0; v < vectors; ++v) {
          float *target = destination + p * t->destination_stride + v * SIMD_WIDTH;
          simd_store(target, adds ? simd_load(target) + sums[g][p][v] : sums[g][p][v]);
        }
      }
    } else {
      float copy[TILE_GROUP][TILE_CHANNELS];
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
        UNROLL for (int v = 0; v < vectors; ++v) simd_store(copy[p] + v * SIMD_WIDTH, sums[g][p][v]);
      }
      for (int p = 0; p < count; ++p) {
        float *target = destination + p * t->destination_stride;
        for (int c = 0; c < t->lanes; ++c) target[c] = adds ? target[c] + copy[p][c] : copy[p][c];
      }
    }
  }
}

/// Slots are pixels: steps are contiguous in the source, and in the packed weights.
ALWAYS_INLINE void tile_pixels(const tile_arguments *t, const int groups, const int vectors) {
  simd_float sums[TILE_GROUPS][TILE_GROUP][TILE_VECTORS];
  UNROLL for (int v = 0; v < vectors; ++v) {
    const simd_float initial = t->bias ? simd_load(t->bias + v * SIMD_WIDTH) : simd_broadcast(0);
    UNROLL for (int g = 0; g < groups; ++g) {
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) sums[g][p][v] = initial;
    }
  }
  if (t->gradient) {
    tile_prefetch_gradient(t, t->gradient->addend, groups, vectors);
    tile_prefetch_gradient(t, t->gradient->x, groups, vectors);
  }
  const ptrdiff_t stride = t->slot_stride;
  for (int s = 0; s < t->segments; ++s) {
    const float *weights = t->weights + t->weight_offsets[s];
    const float *source[TILE_GROUPS];
    UNROLL for (int g = 0; g < groups; ++g) source[g] = t->source[g] + t->source_offsets[s];
    const float *end = weights + (ptrdiff_t)t->run * vectors * SIMD_WIDTH;
    for (; weights != end; weights += vectors * SIMD_WIDTH) {
      simd_float w[TILE_VECTORS];
      UNROLL for (int v = 0; v < vectors; ++v) w[v] = simd_load(weights + v * SIMD_WIDTH);
      UNROLL for (int g = 0; g < groups; ++g) {
        UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
          const simd_float value = simd_load_factor(source[g] + p * stride);
          UNROLL for (int v = 0; v < vectors; ++v) sums[g][p][v] = simd_multiply_add(value, w[v], sums[g][p][v]);
        }
        source[g] += 1;
      }
    }
  }
  if (t->gradient) tile_pass_back(t, groups, vectors, sums);
  tile_store(t, groups, vectors, sums, 0);
  if (t->moments && !t->gradient) tile_count(t, groups, vectors, sums);
}

/// Slots are contiguous channels of one pixel, steps are pixels; the results are added to what is there, or replace it.
ALWAYS_INLINE void tile_channels(const tile_arguments *t, const int groups, const int vectors) {
  simd_float sums[TILE_GROUPS][TILE_GROUP][TILE_VECTORS];
  UNROLL for (int g = 0; g < groups; ++g) {
    UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
      UNROLL for (int v = 0; v < vectors; ++v) sums[g][p][v] = simd_broadcast(0);
    }
  }
  // What the sums are added to comes from afar, and must not be waited for after the last step.
  UNROLL for (int g = 0; g < groups; ++g) {
    for (int p = 0; p < t->count[g]; ++p) {
      UNROLL for (int v = 0; v < vectors; ++v) {
        __builtin_prefetch(t->destination[g] + p * t->destination_stride + v * SIMD_WIDTH, 1, 3);
      }
    }
  }
  const ptrdiff_t step_stride = t->step_stride, weight_stride = t->weight_stride;
  for (int s = 0; s < t->segments; ++s) {
    const float *weights = t->weights + t->weight_offsets[s];
    const float *source = t->source[0] + t->source_offsets[s];
    for (int k = 0; k < t->run; ++k) {
      simd_float w[TILE_VECTORS];
      UNROLL for (int v = 0; v < vectors; ++v) w[v] = simd_load(weights + v * SIMD_WIDTH);
      UNROLL for (int g = 0; g < groups; ++g) {
        UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
          const simd_float value = simd_load_factor(source + g * TILE_GROUP + p);
          UNROLL for (int v = 0; v < vectors; ++v) sums[g][p][v] = simd_multiply_add(value, w[v], sums[g][p][v]);
        }
      }
      weights += weight_stride;
      source += step_stride;
    }
  }
  if (t->replaces) {
    tile_store(t, groups, vectors, sums, 0);
  } else {
    tile_store(t, groups, vectors, sums, 1);
  }
}

#define TILE_INSTANCE(groups, vectors)                                                       \
  static __attribute__((noinline)) void tile_pixels_##groups##_##vectors(const tile_arguments *t) {   \
    tile_pixels(t, groups, vectors);                                                         \
  }                                                                                          \
  static __attribute__((noinline)) void tile_channels_##groups##_##vectors(const tile_arguments *t) { \
    tile_channels(t, groups, vectors);                                                       \
  }

typedef void (*tile_function)(const tile_arguments *);

#if TILE_GROUPS == 3
TILE_INSTANCE(1, 1)
TILE_INSTANCE(1, 2)
TILE_INSTANCE(2, 1)
TILE_INSTANCE(2, 2)
TILE_INSTANCE(3, 1)
TILE_INSTANCE(3, 2)
#define TILE_TABLE(kind) {{kind##_1_1, kind##_1_2}, {kind##_2_1, kind##_2_2}, {kind##_3_1, kind##_3_2}}
#elif TILE_VECTORS == 4
TILE_INSTANCE(1, 1)
TILE_INSTANCE(1, 2)
TILE_INSTANCE(1, 3)
TILE_INSTANCE(1, 4)
#define TILE_TABLE(kind) {{kind##_1_1, kind##_1_2, kind##_1_3, kind##_1_4}}
#else
TILE_INSTANCE(1, 1)
TILE_INSTANCE(1, 2)
#define TILE_TABLE(kind) {{kind##_1_1, kind##_1_2}}
#endif

static const tile_function tile_pixels_table[TILE_GROUPS][TILE_VECTORS] = TILE_TABLE(tile_pixels);
static const tile_function tile_channels_table[TILE_GROUPS][TILE_VECTORS] = TILE_TABLE(tile_channels);

/// Vectors of channel block `block` of `channels` channels.
ALWAYS_INLINE int block_vectors(int channels, int block) {
  return ck_minimum(TILE_VECTORS, ck_divide_up(channels - block * TILE_CHANNELS, SIMD_WIDTH));
}

/// Channels of a block that exist.
ALWAYS_INLINE int block_lanes(int channels, int block) {
  return ck_minimum(TILE_CHANNELS, channels - block * TILE_CHANNELS);
}

#if SIMD_WIDTH == 16
#define INTERLEAVE_LOW(a, b) \
  __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b) \
  __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif SIMD_WIDTH == 8
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/// Transposes SIMD_WIDTH vectors in place, by perfect shuffles.
ALWAYS_INLINE void simd_transpose(simd_float rows[SIMD_WIDTH]) {
  UNROLL for (int round = 1; round < SIMD_WIDTH; round *= 2) {
    simd_float next[SIMD_WIDTH];
    UNROLL for (int i = 0; i < SIMD_WIDTH / 2; ++i) {
      next[2 * i] = INTERLEAVE_LOW(rows[i], rows[i + SIMD_WIDTH / 2]);
      next[2 * i + 1] = INTERLEAVE_HIGH(rows[i], rows[i + SIMD_WIDTH / 2]);
    }
    UNROLL for (int i = 0; i < SIMD_WIDTH; ++i) rows[i] = next[i];
  }
}
