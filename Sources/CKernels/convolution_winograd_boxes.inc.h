// What Winograd tiles read and write: the order of the tiles, the boxes of samples that they share, the transforms of
// boxes to points and of sums to results, and what is fetched ahead.

#define LOOP _Pragma("clang loop unroll(disable)")

/// Tiles whose boxes overlap are transformed together, at most as many as this along z and along y.
#define WINOGRAD_STACK 4
/// The most samples that they read along an axis.
#define WINOGRAD_ROWS ((WINOGRAD_STACK - 1) * WINOGRAD_STEP + WINOGRAD_POINTS)

/// A tile block's buffers hold one chunk of `tiles x channels` for each point; chunks are a cache line further apart
/// than they are long, so that the same place of all points does not fall into one cache set.
static ptrdiff_t winograd_chunk(int tiles, int channels) { return (ptrdiff_t)tiles * channels + 16; }

/// The samples that one tile reads, or several of which each shares samples with the next.
typedef struct winograd_box {
  /// The lower corner's pixel, which may lie outside the tensor.
  const float *pixels;
  ptrdiff_t plane, row, pixel;
  /// Which samples of each axis lie inside.
  int low[3], high[3];
  int channels;
  /// Samples along z, and tiles along y.
  int planes, tiles;
  /// Where the first plane's first point goes; points are a `chunk` apart, planes a `slot`.
  float *target;
  ptrdiff_t chunk, slot;
  /// Mean, scale and offset of this instance's channels, `term` apart, where the source is read through them.
  const float *terms;
  ptrdiff_t term;
  float slope;
} winograd_box;

/// x and y transform of every plane of one input box.
ALWAYS_INLINE void transform_box(const winograd_box *box, const int tile_y, const int tile_x, const int gradient,
    const int reads_through, const int careful) {
  const int points_y = winograd_points(tile_y), points_x = winograd_points(tile_x);
  const int samples_y = gradient ? winograd_outputs(tile_y) : points_y;
  const int samples_x = gradient ? winograd_outputs(tile_x) : points_x;
  const int advance_y = winograd_step(tile_y, gradient);
  // What is written could be the box itself, for all the compiler knows: without copies it would read it again and again.
  const ptrdiff_t chunk = box->chunk, plane = box->plane, row = box->row, pixel = box->pixel;
  const ptrdiff_t slot = box->slot;
  const int channels = box->channels, planes = box->planes, tiles = box->tiles;
  const int all_rows = (tiles - 1) * advance_y + samples_y;
  LOOP for (int z = 0; z < planes; ++z) {
    LOOP for (int c = 0; c < channels; c += SIMD_WIDTH) {
      simd_float rows[WINOGRAD_ROWS][WINOGRAD_POINTS];
      float *target = box->target + z * slot + c;
      if (careful && (z < box->low[0] || z >= box->high[0])) {
        LOOP for (int t = 0; t < tiles; ++t, target += planes * slot) {
          LOOP for (int p = 0; p < points_y * points_x; ++p) {
            simd_store_lanes(target + p * chunk, simd_broadcast(0), channels - c);
          }
        }
        continue;
      }
      const float *pixels = box->pixels + z * plane + c;
      source_terms terms;
      if (reads_through) {
        terms = source_terms_of(box->terms + c, box->term, box->slope, careful ? channels - c : SIMD_WIDTH);
      }
      LOOP for (int y = 0; y < all_rows; ++y) {
        simd_float x[WINOGRAD_POINTS];
        if (careful) {
          const int inside = y >= box->low[1] && y < box->high[1];
          UNROLL for (int k = 0; k < samples_x; ++k) {
            if (inside && k >= box->low[2] && k < box->high[2]) {
              x[k] = simd_load_lanes(pixels + y * row + k * pixel, channels - c);
              if (reads_through) x[k] = read_through(x[k], &terms);
            } else {
              x[k] = simd_broadcast(0);
            }
          }
        } else {
          UNROLL for (int k = 0; k < samples_x; ++k) {
            x[k] = simd_load(pixels + y * row + k * pixel);
            if (reads_through) x[k] = read_through(x[k], &terms);
          }
        }
        if (gradient) {
          transform_gradient(tile_x, x, rows[y]);
        } else {
          transform_input(tile_x, x, rows[y]);
        }
      }
      LOOP for (int t = 0; t < tiles; ++t, target += planes * slot) {
        LOOP for (int k = 0; k < points_x; ++k) {
          simd_float x[WINOGRAD_POINTS], v[WINOGRAD_POINTS];
          UNROLL for (int y = 0; y < samples_y; ++y) x[y] = rows[t * advance_y + y][k];
          if (gradient) {
            transform_gradient(tile_y, x, v);
          } else {
            transform_input(tile_y, x, v);
          }
          UNROLL for (int y = 0; y < points_y; ++y) {
            float *at = target + (y * points_x + k) * chunk;
            // What lies past the channels may be another source's.
            if (careful) {
              simd_store_lanes(at, v[y], channels - c);
            } else {
              simd_store(at, v[y]);
            }
          }
        }
      }
    }
  }
}

typedef struct winograd_result {
  const float *points;
  ptrdiff_t chunk;
  float *pixels;
  ptrdiff_t plane, row, pixel;
  int planes, rows, columns;
  int lanes;
  simd_float bias;
  /// Where the moments of these channels are kept, their parts `moment_stride` apart, and whether they start here.
  float *moments;
  ptrdiff_t moment_stride;
  int starts;
  /// What becomes of results that are gradients, and the place of this instance and these channels in its terms.
  const ck_convolution_gradient *gradient;
  ptrdiff_t term;
  /// Where the tensor that is written starts.
  const float *origin;
} winograd_result;

/// What is done to results on their way out: their moments are taken, or they are gradients that pass on.
enum { BACK_WRITES, BACK_COUNTS, BACK_PASSES };

/// y and x transform back of every plane of one output tile, one vector of channels.
ALWAYS_INLINE void transform_back(
    const winograd_result *result, const int tile_y, const int tile_x, const int careful, const int streams,
    const int kind) {
  const int counts = kind == BACK_COUNTS, passes = kind == BACK_PASSES;
  // Only whole vectors are streamed.
  const int partial = careful && !streams;
  const int sums = passes && result->gradient->x;
  gradient_terms terms;
  if (sums) terms = gradient_terms_at(result->gradient, result->term, result->lanes);
  const int points_y = winograd_sums(tile_y), points_x = winograd_sums(tile_x);
  const int rows_y = winograd_outputs(tile_y), columns_x = winograd_outputs(tile_x);
  const ptrdiff_t chunk = result->chunk, plane = result->plane, row = result->row, pixel = result->pixel;
  const int rows_here = result->rows, columns_here = result->columns, lanes = result->lanes;
  const simd_float bias = result->bias;
  simd_float shift = simd_broadcast(0), sum = simd_broadcast(0), square = simd_broadcast(0);
  int starts = counts && result->starts;
  if (counts && !starts) shift = simd_load(result->moments);
  LOOP for (int z = 0; z < result->planes; ++z) {
    simd_float rows[WINOGRAD_OUTPUTS][WINOGRAD_POINTS];
    const float *points = result->points + (ptrdiff_t)z * points_y * points_x * chunk;
    LOOP for (int k = 0; k < points_x; ++k) {
      simd_float m[WINOGRAD_POINTS], y[WINOGRAD_OUTPUTS];
      UNROLL for (int p = 0; p < points_y; ++p) m[p] = simd_load(points + (p * points_x + k) * chunk);
      transform_output(tile_y, m, y);
      UNROLL for (int p = 0; p < rows_y; ++p) rows[p][k] = y[p];
    }
    LOOP for (int p = 0; p < rows_y; ++p) {
      if (careful && p >= rows_here) break;
      simd_float m[WINOGRAD_POINTS], y[WINOGRAD_OUTPUTS];
      UNROLL for (int k = 0; k < points_x; ++k) m[k] = rows[p][k];
      transform_output(tile_x, m, y);
      float *pixels = result->pixels + z * plane + p * row;
      const ptrdiff_t offset = pixels - result->origin;
      if (counts && starts) {
        // Near the mean, so that the squares of the differences lose little.
        const int columns = careful ? columns_here : columns_x;
        UNROLL for (int k = 0; k < columns_x; ++k) {
          if (k < columns) shift += y[k] + bias;
        }
        shift *= simd_broadcast(1.0f / (float)columns);
        starts = 0;
      }
      UNROLL for (int k = 0; k < columns_x; ++k) {
        y[k] += bias;
        if (careful && k >= columns_here) continue;
        if (passes) {
          y[k] = slot_pass_back(
              result->gradient, offset + k * pixel, partial ? lanes : SIMD_WIDTH, y[k], &terms, &sum, &square);
        }
        if (streams) {
          simd_stream(pixels + k * pixel, y[k]);
        } else if (careful) {
          simd_store_lanes(pixels + k * pixel, y[k], lanes);
        } else {
          simd_store(pixels + k * pixel, y[k]);
        }
        if (counts) {
          const simd_float difference = y[k] - shift;
          sum += difference;
          square = simd_multiply_add(difference, difference, square);
        }
      }
    }
  }
  if (counts) {
    float *const at = result->moments;
    if (result->starts) simd_store(at, shift);
    join_sums(at + result->moment_stride, result->moment_stride, result->starts, sum, square);
  }
  if (sums) join_sums(result->moments, result->moment_stride, result->starts, sum, square);
}

#define WINOGRAD_BOX(kind, ty, tx, gradient, reads_through)                                                            \
  static __attribute__((noinline)) void kind##_##ty##_##tx(const winograd_box *box, int careful) {                     \
    if (careful) {                                                                                                     \
      transform_box(box, ty, tx, gradient, reads_through, 1);                                                          \
    } else {                                                                                                           \
      transform_box(box, ty, tx, gradient, reads_through, 0);                                                          \
    }                                                                                                                  \
  }
#define WINOGRAD_BACK(kind, ty, tx, back)                                                                              \
  static __attribute__((noinline)) void kind##_##ty##_##tx(const winograd_result *result, int careful, int streams) {   \
    if (streams) {                                                                                                     \
      transform_back(result, ty, tx, 1, 1, back);                                                                      \
    } else if (careful) {                                                                                              \
      transform_back(result, ty, tx, 1, 0, back);                                                                      \
    } else {                                                                                                           \
      transform_back(result, ty, tx, 0, 0, back);                                                                      \
    }                                                                                                                  \
  }
#define WINOGRAD_INSTANCE(ty, tx)                  \
  WINOGRAD_BOX(transform_box, ty, tx, 0, 0)        \
  WINOGRAD_BOX(read_box, ty, tx, 0, 1)             \
  WINOGRAD_BOX(gradient_box, ty, tx, 1, 0)         \
  WINOGRAD_BACK(write_back, ty, tx, BACK_WRITES)   \
  WINOGRAD_BACK(count_back, ty, tx, BACK_COUNTS)   \
  WINOGRAD_BACK(pass_back, ty, tx, BACK_PASSES)

/// All pairs of tiles along y and x that there are; 3 and 5 are those with stride 2.
#define WINOGRAD_TILES(INSTANCE)                              \
  INSTANCE(1, 2) INSTANCE(1, 4) INSTANCE(2, 1) INSTANCE(4, 1) \
  INSTANCE(2, 2) INSTANCE(2, 4) INSTANCE(4, 2) INSTANCE(4, 4) \
  INSTANCE(1, 6) INSTANCE(6, 1) INSTANCE(4, 6) INSTANCE(6, 4) \
  INSTANCE(6, 6) INSTANCE(1, 1) INSTANCE(1, 3) INSTANCE(3, 1) \
  INSTANCE(3, 3) INSTANCE(5, 5)
WINOGRAD_TILES(WINOGRAD_INSTANCE)
#define WINOGRAD_TABLE(kind)                                              \
  {                                                                       \
    {kind##_1_1, kind##_1_2, kind##_1_3, kind##_1_4, 0, kind##_1_6},      \
    {kind##_2_1, kind##_2_2, 0, kind##_2_4},                              \
    {kind##_3_1, 0, kind##_3_3},                                          \
    {kind##_4_1, kind##_4_2, 0, kind##_4_4, 0, kind##_4_6},               \
    {0, 0, 0, 0, kind##_5_5},                                             \
    {kind##_6_1, 0, 0, kind##_6_4, 0, kind##_6_6},                        \
  }

typedef void (*winograd_box_function)(const winograd_box *, int);
typedef void (*winograd_result_function)(const winograd_result *, int, int);
static const winograd_box_function transform_box_table[6][6] = WINOGRAD_TABLE(transform_box);
static const winograd_box_function read_box_table[6][6] = WINOGRAD_TABLE(read_box);
static const winograd_box_function gradient_box_table[6][6] = WINOGRAD_TABLE(gradient_box);
static const winograd_result_function back_tables[3][6][6] = {
    [BACK_WRITES] = WINOGRAD_TABLE(write_back),
    [BACK_COUNTS] = WINOGRAD_TABLE(count_back),
    [BACK_PASSES] = WINOGRAD_TABLE(pass_back),
};

/// What is done along an axis: the plan's tile, or what takes its place with stride 2. One less is the index in the
/// tables.
ALWAYS_INLINE int winograd_kind(const ck_convolution_plan *plan, int axis) {
  return plan->shape.stride[axis] == 2 ? plan->tile[axis] + 1 : plan->tile[axis];
}

/// Samples from a tile to the next, of the input or of the output's gradient.
ALWAYS_INLINE int winograd_advance(const ck_convolution_plan *plan, int axis, int gradient) {
  return winograd_step(winograd_kind(plan, axis), gradient);
}

/// Where a tile is. Tiles are numbered so that those whose boxes overlap most follow each other, as far as a stack
/// goes: along z, then along y, then along x, then from stack to stack along y and z, then from image to image.
typedef struct winograd_place {
  ptrdiff_t index, image;
  int tile[3];
  /// How large its stack is along z and y, and which of its tiles this is.
  int stack[2], at[2];
} winograd_place;

ALWAYS_INLINE winograd_place winograd_place_of(const ck_convolution_plan *plan, ptrdiff_t index) {
  const int *tiles = plan->tiles, *stacks = plan->stacks;
  const int of_image = tiles[0] * tiles[1] * tiles[2];
  winograd_place place = {.index = index, .image = index / of_image};
  int rest = (int)(index % of_image), floor = tiles[1] * tiles[2];
  for (int a = 0; a < 2; ++a) {
    // Stacks share the tiles of their axis; the first one that begins after `rest` is past this one.
    const int stack = ((rest / floor + 1) * stacks[a] - 1) / tiles[a];
    const int begin = stack * tiles[a] / stacks[a];
    place.tile[a] = begin;
    place.stack[a] = (stack + 1) * tiles[a] / stacks[a] - begin;
    rest -= begin * floor;
    floor = place.stack[0] * tiles[2];
  }
  const int of_stack = place.stack[0] * place.stack[1];
  place.tile[2] = rest / of_stack;
  place.at[1] = rest % of_stack / place.stack[0];
  place.at[0] = rest % place.stack[0];
  for (int a = 0; a < 2; ++a) place.tile[a] += place.at[a];
  return place;
}

/// Goes on to the next tile.
ALWAYS_INLINE void winograd_advance_place(const ck_convolution_plan *plan, winograd_place *place) {
  for (int a = 0; a < 2; ++a) {
    if (++place->at[a] < place->stack[a]) {
      ++place->tile[a];
      ++place->index;
      return;
    }
    place->at[a] = 0;
    place->tile[a] -= place->stack[a] - 1;
  }
  ++place->index;
  if (++place->tile[2] == plan->tiles[2]) *place = winograd_place_of(plan, place->index);
}

/// The first sample of a place's tile of the input, from `origin` on, or of the output (and its gradient).
ALWAYS_INLINE void winograd_corner(
    const ck_convolution_plan *plan, const winograd_place *place, const int origin[3], int of_output, int corner[3]) {
  for (int a = 0; a < 3; ++a) corner[a] = origin[a] + place->tile[a] * winograd_advance(plan, a, of_output);
}

/// Where points go: each point's values, `stride` apart, are cut along the channels into parts of `width` channels of all
/// tiles, `part` apart.
typedef struct winograd_points_layout {
  float *values;
  ptrdiff_t stride, part;
  int width;
} winograd_points_layout;

/// z transform of `count` tiles of `channels` values, whose samples begin at slots of the source.
ALWAYS_INLINE void transform_planes(const float *source, const int *slots, const winograd_points_layout *points,
    int count, int channels, const int tile, const int gradient) {
  const int all_points = winograd_points(tile), samples = gradient ? winograd_outputs(tile) : all_points;
  const ptrdiff_t stride = points->stride;
  float *part = points->values;
  LOOP for (int first = 0; first < channels; first += points->width, part += points->part) {
    const int last = ck_minimum(first + points->width, channels);
    LOOP for (int t = 0; t < count; ++t) {
      const float *here = source + (ptrdiff_t)slots[t] * channels + first;
      float *target = part + (ptrdiff_t)t * points->width;
      LOOP for (int c = first; c < last; c += SIMD_WIDTH, here += SIMD_WIDTH, target += SIMD_WIDTH) {
        simd_float x[WINOGRAD_POINTS], v[WINOGRAD_POINTS];
        UNROLL for (int p = 0; p < samples; ++p) x[p] = simd_load(here + p * channels);
        if (gradient) {
          transform_gradient(tile, x, v);
        } else {
          transform_input(tile, x, v);
        }
        UNROLL for (int p = 0; p < all_points; ++p) simd_store(target + p * stride, v[p]);
      }
    }
  }
}

/// `transform_planes` for the kind of an axis; without a transform it copies.
ALWAYS_INLINE void transform_planes_of(const int kind, const float *source, const int *slots,
    const winograd_points_layout *points, int count, int channels, const int gradient) {
  if (kind == 4) {
    transform_planes(source, slots, points, count, channels, 4, gradient);
  } else if (kind == 2) {
    transform_planes(source, slots, points, count, channels, 2, gradient);
  } else if (kind == 1) {
    transform_planes(source, slots, points, count, channels, 1, gradient);
  } else {
    transform_planes(source, slots, points, count, channels, WINOGRAD_STRIDED2, gradient);
  }
}

/// The way back, from sums to planes; `adds` to what the planes hold.
ALWAYS_INLINE void transform_planes_back(const float *points, ptrdiff_t point_stride, float *planes,
    ptrdiff_t plane_stride, ptrdiff_t floats, const int adds, const int tile) {
  const int count = winograd_sums(tile);
  LOOP for (ptrdiff_t i = 0; i < floats; i += SIMD_WIDTH) {
    simd_float m[WINOGRAD_POINTS], y[WINOGRAD_OUTPUTS];
    UNROLL for (int p = 0; p < count; ++p) m[p] = simd_load(points + p * point_stride + i);
    transform_output(tile, m, y);
    UNROLL for (int p = 0; p < winograd_outputs(tile); ++p) {
      float *at = planes + p * plane_stride + i;
      simd_store(at, adds ? simd_load(at) + y[p] : y[p]);
    }
  }
}

/// The pixels of a tensor that some tiles read, or write where they are of the output.
typedef struct winograd_region {
  const float *values;
  int channels;
  const int *size, *origin;
  int of_output;
  ptrdiff_t first;
  int count;
} winograd_region;

/// What is fetched into the level-2 cache while products are computed, a few lines for each register tile.
typedef struct winograd_fetch {
  const ck_convolution_plan *plan;
  winograd_region regions[2 * CK_CONVOLUTION_SOURCES];
  int count;
  /// Cache lines for each register tile.
  int lines;
  /// The region, the tile and the row of it, and which lines of that are next.
  int region, tile;
  winograd_place place;
  int z, y, low[3], high[3];
  const float *line, *end;
} winograd_fetch;

/// Has what tiles read of all sources fetched.
static void fetch_sources(
    winograd_fetch *fetch, const ck_convolution_input *input, const int origin[3], ptrdiff_t first, int count) {
  for (int s = 0; s < input->count; ++s) {
    fetch->regions[fetch->count++] = (winograd_region){
        .values = input->sources[s].values, .channels = input->sources[s].channels, .size = fetch->plan->source_size,
        .origin = origin, .first = first, .count = count};
  }
}

/// Goes on to the next row; whether there is one.
static int fetch_row(winograd_fetch *fetch) {
  const ck_convolution_plan *plan = fetch->plan;
  for (;;) {
    const winograd_region *region = &fetch->regions[fetch->region];
    if (++fetch->y >= fetch->high[1]) {
      fetch->y = fetch->low[1];
      ++fetch->z;
    }
    if (fetch->z < fetch->high[0] && fetch->y < fetch->high[1]) {
      const ptrdiff_t plane = fetch->place.image * region->size[0] + fetch->z;
      const float *row =
          region->values + (plane * region->size[1] + fetch->y) * region->size[2] * region->channels;
      fetch->line = row + (ptrdiff_t)fetch->low[2] * region->channels;
      fetch->end = row + (ptrdiff_t)fetch->high[2] * region->channels;
      return 1;
    }
    while (fetch->region < fetch->count && fetch->tile >= fetch->regions[fetch->region].count) {
      ++fetch->region;
      fetch->tile = 0;
    }
    if (fetch->region >= fetch->count) return 0;
    region = &fetch->regions[fetch->region];
    winograd_place *const place = &fetch->place;
    if (fetch->tile++ == 0) {
      *place = winograd_place_of(plan, region->first);
    } else {
      winograd_advance_place(plan, place);
    }
    int corner[3];
    winograd_corner(plan, place, region->origin, region->of_output, corner);
    for (int a = 0; a < 3; ++a) {
      const int samples = region->of_output ? plan->tile[a] : plan->points[a];
      // The first samples are the last ones of the tile before.
      const int begun = a == 2 ? place->tile[2] > 0 : place->at[a] > 0;
      const int shared = begun ? samples - winograd_advance(plan, a, region->of_output) : 0;
      fetch->low[a] = ck_maximum(0, corner[a] + shared);
      fetch->high[a] = ck_minimum(region->size[a], corner[a] + samples);
    }
    fetch->z = fetch->low[0];
    fetch->y = fetch->low[1] - 1;
  }
}

ALWAYS_INLINE void fetch_lines(winograd_fetch *fetch) {
  for (int i = 0; i < fetch->lines; ++i, fetch->line += 16) {
    if (fetch->line >= fetch->end && !fetch_row(fetch)) {
      fetch->lines = 0;
      return;
    }
    __builtin_prefetch(fetch->line, 0, 2);
  }
}

/// Has `calls` calls fetch all regions; returns how many of the last calls that takes. A call fetches whole rows or
/// equal parts of a row, so that branches are foreseen.
static int share_fetch(winograd_fetch *fetch, int calls) {
  const ck_convolution_plan *plan = fetch->plan;
  ptrdiff_t lines = 0;
  for (int i = 0; i < fetch->count; ++i) {
    const winograd_region *region = &fetch->regions[i];
    // Of a stack of 1, 2, 3, ... tiles, which share samples.
    ptrdiff_t pixels = region->count;
    for (int a = 0; a < 2; ++a) {
      const int stack = plan->tiles[a] / plan->stacks[a], advance = winograd_advance(plan, a, region->of_output);
      const int samples = region->of_output ? plan->tile[a] : plan->points[a];
      pixels = pixels * (stack * advance + samples - advance) / stack;
    }
    lines += pixels * winograd_advance(plan, 2, region->of_output) * ck_divide_up(region->channels, 16);
  }
  const int row = winograd_advance(plan, 2, 0) * ck_divide_up(fetch->regions[0].channels, 16);
  const int share = ck_maximum(1, (int)ck_divide_up(lines, calls));
  fetch->lines = share >= row ? row * ck_divide_up(share, row) : ck_divide_up(row, row / share);
  return (int)((lines + fetch->lines - 1) / fetch->lines);
}

/// Transforms the boxes of tiles `first` ..< `first + count` of a tensor along x and y: `channels` of all sources'
/// channels, from `first_channel` on. Planes go to slots, one after the other; `slots` becomes where each tile's begin.
static void transform_boxes(const ck_convolution_plan *plan, const ck_convolution_source *sources, int source_count,
    const int size[3], int first_channel, int channels, ptrdiff_t first, int count, const int origin[3], int gradient,
    float *points, ptrdiff_t chunk, int *slots) {
  const int index_y = winograd_kind(plan, 1) - 1, index_x = winograd_kind(plan, 2) - 1;
  const int padded = packed_channels(channels);
  const int *samples = gradient ? plan->tile : plan->points;
  int slot = 0;
  winograd_place place = winograd_place_of(plan, first);
  for (int t = 0; t < count;) {
    // Tiles of one stack along z, and whole stacks next to each other along y.
    const int run = ck_minimum(place.stack[0] - place.at[0], count - t);
    const int runs = run == place.stack[0] ? ck_minimum(place.stack[1] - place.at[1], (count - t) / run) : 1;
    int corner[3];
    winograd_corner(plan, &place, origin, gradient, corner);
    const int together[3] = {run, runs, 1};
    int extent[3], outside = 0;
    winograd_box box = {.chunk = chunk, .slot = padded, .tiles = runs};
    for (int a = 0; a < 3; ++a) {
      extent[a] = samples[a] + (together[a] - 1) * winograd_advance(plan, a, gradient);
      box.low[a] = ck_maximum(0, -corner[a]);
      box.high[a] = ck_minimum(extent[a], size[a] - corner[a]);
      if (box.low[a] > 0 || box.high[a] < extent[a]) outside = 1;
    }
    box.planes = extent[0];
    box.target = points + (ptrdiff_t)slot * padded;
    for (int i = 0; i < runs; ++i, slot += extent[0]) {
      for (int j = 0; j < run; ++j) slots[t++] = slot + j * winograd_advance(plan, 0, gradient);
    }
    int source_begin = 0;
    for (const ck_convolution_source *source = sources; source < sources + source_count; ++source) {
      const int low = ck_maximum(first_channel - source_begin, 0);
      const int high = ck_minimum(first_channel + channels - source_begin, source->channels);
      source_begin += source->channels;
      if (low >= high) continue;
      box.channels = high - low;
      box.pixel = source->channels;
      box.row = box.pixel * size[2];
      box.plane = box.row * size[1];
      box.pixels = source->values + (place.image * size[0] + corner[0]) * box.plane + corner[1] * box.row +
                   corner[2] * box.pixel + low;
      const int careful = outside || box.channels % SIMD_WIDTH != 0;
      if (source->terms) {
        box.terms = source->terms + place.image * source->channels + low;
        box.term = (ptrdiff_t)plan->shape.batch * source->channels;
        box.slope = source->slope;
        read_box_table[index_y][index_x](&box, careful);
      } else if (gradient) {
        gradient_box_table[index_y][index_x](&box, careful);
      } else {
        transform_box_table[index_y][index_x](&box, careful);
      }
      box.target += box.channels;
    }
    for (int i = 0; i < run * runs; ++i) winograd_advance_place(plan, &place);
  }
}
