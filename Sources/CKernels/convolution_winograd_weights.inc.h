// The weights of Winograd convolutions, transformed to points: for each block of destination channels, point along y and
// x, and point along z, one row of the block's channels for each source channel.

/// Source channels of a task of packing, and how many of them are transformed side by side: what they leave at one point
/// is one piece of memory. Floats of packed weights from which on they leave the caches at once.
enum { PACK_SOURCES = 16, PACK_TOGETHER = 4, STREAMED_WEIGHTS = 1 << 18 };

/// The weights of one source channel and one vector of destination channels.
typedef struct winograd_weights {
  /// The first tap of the vector's first channel; channels are `step` apart. All weights end at `end`.
  const float *taps, *end;
  ptrdiff_t step;
  /// Channels of the vector.
  int lanes;
  /// Taps along z, and whether all are read backward.
  int planes, backward;
} winograd_weights;

/// The same transformed along x and y: for each of those points the taps along z. Not a power of 2 long, so that several
/// don't fall into one cache set.
typedef struct winograd_flat_weights {
  simd_float taps[WINOGRAD_POINTS][WINOGRAD_POINTS][3], unused[3];
} winograd_flat_weights;

/// Loads `count` taps of all channels and turns them to one vector of channels for each tap.
ALWAYS_INLINE void turn_taps(
    const winograd_weights *weights, const int count, float turned[][SIMD_WIDTH], const int careful) {
  LOOP for (int c = 0; c < count; c += SIMD_WIDTH) {
    simd_float rows[SIMD_WIDTH];
    UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) {
      // What lies past the taps is another channel's, and is not used.
      const float *row = weights->taps + r * weights->step + c;
      if (careful && r >= weights->lanes) {
        rows[r] = simd_broadcast(0);
      } else if (careful && row + SIMD_WIDTH > weights->end) {
        rows[r] = simd_load_lanes(row, ck_minimum(SIMD_WIDTH, count - c));
      } else {
        rows[r] = simd_load(row);
      }
    }
    simd_transpose(rows);
    UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) simd_store(turned[c + r], rows[r]);
  }
}

ALWAYS_INLINE void transform_flat(
    const winograd_weights *weights, winograd_flat_weights *flat, const int tile_y, const int tile_x) {
  const int rows = tile_y == 1 ? 1 : 3, columns = tile_x == 1 ? 1 : 3, taps = weights->planes * rows * columns;
  float turned[3 * 3 * 3 + SIMD_WIDTH][SIMD_WIDTH];
  const ptrdiff_t past = (SIMD_WIDTH - 1) * weights->step + ck_round_up(taps, SIMD_WIDTH);
  if (weights->lanes == SIMD_WIDTH && weights->taps + past <= weights->end) {
    turn_taps(weights, taps, turned, 0);
  } else {
    turn_taps(weights, taps, turned, 1);
  }
  const int first = weights->backward ? taps - 1 : 0, step = weights->backward ? -1 : 1;
  LOOP for (int z = 0; z < weights->planes; ++z) {
    simd_float by_x[3][WINOGRAD_POINTS];
    UNROLL for (int y = 0; y < rows; ++y) {
      simd_float g[3];
      UNROLL for (int x = 0; x < columns; ++x) g[x] = simd_load(turned[first + step * ((z * rows + y) * columns + x)]);
      transform_weight(tile_x, g, by_x[y]);
    }
    UNROLL for (int x = 0; x < winograd_points(tile_x); ++x) {
      simd_float g[3], u[WINOGRAD_POINTS];
      UNROLL for (int y = 0; y < rows; ++y) g[y] = by_x[y][x];
      transform_weight(tile_y, g, u);
      UNROLL for (int y = 0; y < winograd_points(tile_y); ++y) flat->taps[y][x][z] = u[y];
    }
  }
}

#define WINOGRAD_WEIGHTS(ty, tx)                                                                                       \
  static __attribute__((noinline)) void flat_weights_##ty##_##tx(                                                      \
      const winograd_weights *weights, winograd_flat_weights *flat) {                                                  \
    transform_flat(weights, flat, ty, tx);                                                                             \
  }
WINOGRAD_TILES(WINOGRAD_WEIGHTS)
typedef void (*winograd_weights_function)(const winograd_weights *, winograd_flat_weights *);
static const winograd_weights_function flat_weights_table[6][6] = WINOGRAD_TABLE(flat_weights);

/// Where points go: along y, x and z so many floats apart.
typedef struct winograd_packed {
  float *values;
  ptrdiff_t row, column, plane;
  int rows, columns;
} winograd_packed;

/// Transforms the vectors of some source channels along z, to one row of memory for each point.
ALWAYS_INLINE void pack_points(
    const winograd_flat_weights *flat, int vectors, const winograd_packed *packed, const int tile_z, const int streams) {
  LOOP for (int y = 0; y < packed->rows; ++y) {
    LOOP for (int x = 0; x < packed->columns; ++x) {
      float *at = packed->values + y * packed->row + x * packed->column;
      LOOP for (int vector = 0; vector < vectors; ++vector, at += SIMD_WIDTH) {
        simd_float u[WINOGRAD_POINTS];
        transform_weight(tile_z, flat[vector].taps[y][x], u);
        UNROLL for (int z = 0; z < winograd_points(tile_z); ++z) {
          if (streams) {
            simd_stream(at + z * packed->plane, u[z]);
          } else {
            simd_store(at + z * packed->plane, u[z]);
          }
        }
      }
    }
  }
}

static void pack_points_of(
    const winograd_flat_weights *flat, int vectors, const winograd_packed *packed, int tile_z, int streams) {
#define PACK_POINTS(tile)                                    \
  case tile:                                                 \
    if (streams) {                                           \
      pack_points(flat, vectors, packed, tile, 1);           \
    } else {                                                 \
      pack_points(flat, vectors, packed, tile, 0);           \
    }                                                        \
    break
  switch (tile_z) {
    PACK_POINTS(1);
    PACK_POINTS(2);
    PACK_POINTS(WINOGRAD_STRIDED2);
    PACK_POINTS(4);
    PACK_POINTS(6);
  }
#undef PACK_POINTS
}

/// Transforms weights of one block of destination channels and up to 16 source channels.
static void pack_winograd(const ck_convolution_plan *plan, const float *weights, float *packed, int task) {
  const int taps = ck_kernel_taps(plan), *points = plan->points;
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int source_parts = ck_divide_up(sources, PACK_SOURCES);
  const int block = task / source_parts, first = task % source_parts * PACK_SOURCES;
  const int last = ck_minimum(first + PACK_SOURCES, sources);
  const int vectors = block_vectors(destinations, block), width = vectors * SIMD_WIDTH;
  const int streams = plan->packed_floats > STREAMED_WEIGHTS && (uintptr_t)packed % sizeof(simd_float) == 0;
  winograd_weights part = {
      .end = weights + (ptrdiff_t)sources * destinations * taps,
      .planes = plan->shape.kernel[0],
      .backward = plan->pass == CK_CONVOLUTION_INPUT_GRADIENT,
  };
  part.step = part.backward ? taps : (ptrdiff_t)sources * taps;
  const ptrdiff_t source_step = part.backward ? (ptrdiff_t)destinations * taps : taps;
  const winograd_weights_function flatten = flat_weights_table[winograd_kind(plan, 1) - 1][winograd_kind(plan, 2) - 1];
  winograd_packed target = {
      .plane = (ptrdiff_t)sources * width, .rows = points[1], .columns = points[2],
      .column = (ptrdiff_t)points[0] * sources * packed_channels(destinations)};
  target.row = points[2] * target.column;
  for (int source = first; source < last; source += PACK_TOGETHER) {
    winograd_flat_weights flat[PACK_TOGETHER * TILE_VECTORS];
    const int together = ck_minimum(PACK_TOGETHER, last - source);
    for (int vector = 0; vector < vectors; ++vector) {
      const int destination = block * TILE_CHANNELS + vector * SIMD_WIDTH;
      part.lanes = ck_minimum(SIMD_WIDTH, destinations - destination);
      for (int next = 0; next < together; ++next) {
        part.taps = weights + destination * part.step + (source + next) * source_step;
        flatten(&part, &flat[next * vectors + vector]);
      }
    }
    target.values = packed + (ptrdiff_t)block * points[0] * sources * TILE_CHANNELS + (ptrdiff_t)source * width;
    pack_points_of(flat, together * vectors, &target, winograd_kind(plan, 0), streams);
  }
}
