// Winograd weight gradient: the transpose of the forward pass with respect to its weights.
//
// Input boxes and tiles of the output's gradient are transformed to the same points; their products are summed over
// tiles, point by point; the sums are transformed back to the three taps of each axis once, after all tiles.
//
// Sums that a core's caches can't hold would be read and written from afar for each block of tiles, so tasks share the
// channels: each takes a part of the input channels with a part of the output channels, and transforms only those.
// Partial sums are [split][part of output channels][part of input channels], and each part has the layout of packed
// weights.
//
// Where channels are many and tiles few, sums are larger than points and would be written to memory and read again. Then
// points are kept instead: tasks transform blocks of tiles, and after all of them others multiply a few input channels
// with a few output channels at all points, whose sums stay in a level-2 cache until they are transformed back.
// Points are [z point, y point, x point][part][tile][channel of a part].

/// Input channels of a part of kept points, whole register tiles at every level.
#define KEPT_SOURCES 48

/// The most sums of one task.
#define PART_FLOATS 1100000

/// Output channels of a part: whole blocks, fewer where there are more points.
static int kept_destinations(const ck_convolution_plan *plan) {
  const int points = plan->points[0] * plan->points[1] * plan->points[2];
  return ck_round_up(points > 40 ? 32 : 64, TILE_CHANNELS);
}

static ptrdiff_t kept_points(const ck_convolution_plan *plan, int channels, int width) {
  return winograd_all_tiles(plan) * ck_round_up(channels, width);
}

/// Both tensors' planes of a block of tiles, transformed along x and y, and where each tile's begin.
typedef struct winograd_planes {
  float *values, *gradients;
  ptrdiff_t chunk, gradient_chunk;
  int *slots, *gradient_slots;
} winograd_planes;

/// Channels that one task transforms and multiplies.
typedef struct winograd_part {
  int source, sources, destination, destinations;
} winograd_part;

/// Rounded up to whole vectors.
static int part_destinations(const ck_convolution_plan *plan) {
  return ck_minimum(plan->part_blocks * TILE_CHANNELS, packed_channels(plan->destination_channels));
}

static int source_parts(const ck_convolution_plan *plan) {
  return ck_divide_up(plan->source_channels, plan->part_sources);
}

static int block_parts(const ck_convolution_plan *plan) { return ck_divide_up(plan->channel_blocks, plan->part_blocks); }

static winograd_part winograd_part_of(const ck_convolution_plan *plan, int part) {
  winograd_part result = {
      .source = part % source_parts(plan) * plan->part_sources,
      .destination = part / source_parts(plan) * plan->part_blocks * TILE_CHANNELS};
  result.sources = ck_minimum(plan->part_sources, plan->source_channels - result.source);
  result.destinations =
      ck_minimum(plan->part_blocks * TILE_CHANNELS, plan->destination_channels - result.destination);
  return result;
}

/// Where a part's sums begin within a split.
static ptrdiff_t part_sums(const ck_convolution_plan *plan, const winograd_part *part) {
  const ptrdiff_t points = (ptrdiff_t)plan->points[0] * plan->points[1] * plan->points[2];
  return points * ((ptrdiff_t)part->destination * plan->source_channels +
                   (ptrdiff_t)part->source * packed_channels(part->destinations));
}

/// Cuts the input channels, in whole groups of 16, and the blocks of output channels into so many parts at most.
static void set_parts(ck_convolution_plan *plan, int of_sources, int of_blocks) {
  plan->part_sources = ck_round_up(ck_divide_up(plan->source_channels, of_sources), 16);
  plan->part_blocks = ck_divide_up(plan->channel_blocks, of_blocks);
  plan->channel_splits = source_parts(plan) * block_parts(plan);
  plan->tasks = plan->splits * plan->channel_splits;
}

/// Twice as many parts, near squares, which transform least; whether there can be.
static int halve_parts(ck_convolution_plan *plan) {
  if (plan->part_blocks > 1 && plan->part_sources < plan->part_blocks * TILE_CHANNELS) {
    set_parts(plan, source_parts(plan), 2 * block_parts(plan));
  } else if (plan->part_sources > 16) {
    set_parts(plan, 2 * source_parts(plan), block_parts(plan));
  } else {
    return 0;
  }
  return 1;
}

/// More parts where there are fewer tasks than threads; sums stay the same.
static void share_channels(ck_convolution_plan *plan, int threads) {
  while (!plan->keeps_points && plan->tasks < threads && halve_parts(plan)) continue;
}

static ptrdiff_t value_planes_chunk(const ck_convolution_plan *plan) {
  return winograd_chunk(winograd_slots(plan, plan->block_tiles), packed_channels(plan->part_sources));
}

static ptrdiff_t gradient_planes_chunk(const ck_convolution_plan *plan) {
  return winograd_chunk(plan->tile[0] * plan->block_tiles, part_destinations(plan));
}

static winograd_planes planes_in(const ck_convolution_plan *plan, float *scratch) {
  const int tiles = plan->block_tiles, flat = plan->points[1] * plan->points[2];
  winograd_planes planes = {
      .values = scratch, .chunk = value_planes_chunk(plan), .gradient_chunk = gradient_planes_chunk(plan)};
  planes.gradients = planes.values + flat * planes.chunk;
  planes.slots = (int *)(planes.gradients + flat * planes.gradient_chunk);
  planes.gradient_slots = planes.slots + tiles;
  return planes;
}

/// Floats of them, whole cache lines.
static ptrdiff_t planes_floats(const ck_convolution_plan *plan) {
  const int tiles = plan->block_tiles;
  return plan->points[1] * plan->points[2] * (value_planes_chunk(plan) + gradient_planes_chunk(plan)) +
         ck_round_up(2 * tiles, 16);
}

static void transform_both(const ck_convolution_plan *plan, const ck_convolution_input *input,
    const ck_convolution_source *output_gradient, const winograd_part *part, ptrdiff_t first, int count,
    const winograd_planes *planes) {
  const int origin[3] = {winograd_origin(plan, 0), winograd_origin(plan, 1), winograd_origin(plan, 2)};
  const int no_origin[3] = {0, 0, 0};
  transform_boxes(plan, input->sources, input->count, plan->source_size, part->source, part->sources, first, count,
      origin, 0, planes->values, planes->chunk, planes->slots);
  transform_boxes(plan, output_gradient, 1, plan->destination_size, part->destination, part->destinations, first, count,
      no_origin, 1, planes->gradients, planes->gradient_chunk, planes->gradient_slots);
}

static int plan_winograd_weight_gradient(
    const ck_convolution_shape *shape, ck_convolution_algorithm algorithm, ck_convolution_plan *plan) {
  set_sides(shape, CK_CONVOLUTION_WEIGHT_GRADIENT, plan);
  if (!set_winograd_tiles(shape, algorithm, plan)) return 0;
  set_winograd_sizes(plan);
  const ptrdiff_t flat = plan->points[1] * plan->points[2];
  const int destinations = packed_channels(plan->destination_channels);
  const ptrdiff_t all_tiles = winograd_all_tiles(plan);
  plan->split_floats = flat * plan->points[0] * plan->source_channels * destinations;
  const int all_points = (int)flat * plan->points[0], width = kept_destinations(plan);
  const ptrdiff_t kept = all_points * (kept_points(plan, plan->source_channels, KEPT_SOURCES) +
                                       kept_points(plan, plan->destination_channels, width));
  // Sums that fit in a level-2 cache need not leave it; points beyond a level-3 cache would be read again and again.
  plan->keeps_points = plan->split_floats > 500000 && 2 * kept < 3 * plan->split_floats && kept < 12000000;
  plan->splits = 1;
  if (plan->keeps_points) {
    plan->block_tiles = (int)ck_minimum(24, (int)((all_tiles + 3) / 4));
    set_parts(plan, 1, 1);
    plan->tasks = ck_divide_up((int)all_tiles, plan->block_tiles);
    plan->partial_floats = kept + 64;
    plan->reduce_tasks =
        ck_divide_up(plan->source_channels, KEPT_SOURCES) * ck_divide_up(plan->destination_channels, width);
    const ptrdiff_t transforms = planes_floats(plan);
    const ptrdiff_t sums = (ptrdiff_t)all_points * KEPT_SOURCES * width;
    plan->scratch_floats = (transforms > sums ? transforms : sums) + 64;
    return 1;
  }
  set_parts(plan, 1, 1);
  while (plan->split_floats > PART_FLOATS * plan->channel_splits && halve_parts(plan)) continue;
  // As many tiles as keep the points in a level-2 cache.
  const ptrdiff_t tile_floats = flat * ((ptrdiff_t)plan->points[0] * packed_channels(plan->part_sources) +
                                        (ptrdiff_t)plan->tile[0] * part_destinations(plan));
  int tiles = ck_minimum(96, ck_maximum(24, (int)(200000 / tile_floats)));
  int blocks = (int)((all_tiles + tiles - 1) / tiles);
  // Few splits, each of several blocks: all partial sums together are to stay in a level-3 cache.
  int splits = plan->channel_splits > 2 ? 1 : plan->split_floats > 500000 ? 2 : 16;
  while (splits > 4 && (splits * 3 > blocks || splits * plan->split_floats > 3 * 1024 * 1024)) splits /= 2;
  while (splits > 1 && (splits > blocks || splits * plan->split_floats > 20 * 1024 * 1024)) splits /= 2;
  plan->splits = splits;
  // As many blocks of one size for each split, so that threads finish together.
  blocks = ck_round_up(blocks, splits);
  tiles = (int)((all_tiles + blocks - 1) / blocks);
  plan->block_tiles = tiles;
  plan->tasks = splits * plan->channel_splits;
  plan->partial_floats = splits * plan->split_floats;
  plan->reduce_tasks = ck_divide_up(plan->destination_channels, SIMD_WIDTH) * ck_divide_up(plan->source_channels, 16);
  plan->scratch_floats =
      planes_floats(plan) + plan->points[0] * (winograd_chunk(tiles, packed_channels(plan->part_sources)) +
                                               winograd_chunk(tiles, part_destinations(plan))) + 64;
  return 1;
}

/// Transforms a block of tiles to points that are kept.
static void keep_points(const ck_convolution_plan *plan, const ck_convolution_input *input,
    const ck_convolution_source *output_gradient, float *kept, float *scratch, int block) {
  const ptrdiff_t all_tiles = winograd_all_tiles(plan), first = (ptrdiff_t)block * plan->block_tiles;
  const int count = (int)(all_tiles - first < plan->block_tiles ? all_tiles - first : plan->block_tiles);
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int padded = packed_channels(sources), padded_destinations = packed_channels(destinations);
  const int flat = plan->points[1] * plan->points[2], width = kept_destinations(plan);
  const winograd_planes planes = planes_in(plan, scratch);
  const winograd_part all = winograd_part_of(plan, 0);
  transform_both(plan, input, output_gradient, &all, first, count, &planes);
  const ptrdiff_t point = kept_points(plan, sources, KEPT_SOURCES);
  const ptrdiff_t gradient_point = kept_points(plan, destinations, width);
  float *const kept_gradient = kept + plan->points[0] * flat * point;
  winograd_points_layout layout = {.stride = flat * point, .part = all_tiles * KEPT_SOURCES, .width = KEPT_SOURCES};
  winograd_points_layout gradient_layout = {
      .stride = flat * gradient_point, .part = all_tiles * width, .width = width};
  for (int p = 0; p < flat; ++p) {
    layout.values = kept + p * point + first * KEPT_SOURCES;
    transform_planes_of(
        winograd_kind(plan, 0), planes.values + p * planes.chunk, planes.slots, &layout, count, padded, 0);
    gradient_layout.values = kept_gradient + p * gradient_point + first * width;
    transform_planes_of(winograd_kind(plan, 0), planes.gradients + p * planes.gradient_chunk, planes.gradient_slots,
        &gradient_layout, count, padded_destinations, 1);
  }
}

/// What is summed over `tiles` tiles: input channels, `value_stride` from tile to tile, times `vectors` vectors of
/// gradients. Sums of an input channel are `sum_stride` from those of the next.
static tile_arguments products_of_tiles(int tiles, ptrdiff_t value_stride, const float *gradients,
    ptrdiff_t gradient_stride, int vectors, ptrdiff_t sum_stride, int replaces) {
  static const ptrdiff_t no_offset = 0;
  return (tile_arguments){
      .destination_stride = sum_stride,
      .segments = 1,
      .run = tiles,
      .source_offsets = &no_offset,
      .weight_offsets = &no_offset,
      .weights = gradients,
      .weight_stride = gradient_stride,
      .step_stride = value_stride,
      .lanes = vectors * SIMD_WIDTH,
      .replaces = replaces,
  };
}

/// One register tile of them: from input channel `slot` on, of `count`.
ALWAYS_INLINE void sum_products(tile_arguments *products, const float *values, int slot, int count, float *sums) {
  const int groups = ck_minimum(TILE_GROUPS, ck_divide_up(count - slot, TILE_GROUP));
  products->source[0] = values + slot;
  for (int g = 0; g < groups; ++g) {
    products->count[g] = ck_minimum(TILE_GROUP, count - slot - g * TILE_GROUP);
    products->destination[g] = sums + (slot + g * TILE_GROUP) * products->destination_stride;
  }
  tile_channels_table[groups - 1][products->lanes / SIMD_WIDTH - 1](products);
}

static void accumulate_winograd(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const ck_convolution_source *output_gradient,
    float *partials, float *scratch, int task) {
  if (plan->keeps_points) {
    keep_points(plan, input, output_gradient, partials, scratch, task);
    return;
  }
  const int *points = plan->points;
  const int split = task / plan->channel_splits;
  const winograd_part part = winograd_part_of(plan, task % plan->channel_splits);
  const int tiles = plan->block_tiles;
  const ptrdiff_t all_tiles = winograd_all_tiles(plan);
  const int blocks = (int)((all_tiles + tiles - 1) / tiles);
  const int first_block = (int)((long)blocks * split / plan->splits);
  const int last_block = (int)((long)blocks * (split + 1) / plan->splits);
  const int sources = part.sources, destinations = part.destinations;
  const int channel_blocks = ck_divide_up(destinations, TILE_CHANNELS);
  const int padded = packed_channels(sources), padded_destinations = packed_channels(destinations);
  const int flat = points[1] * points[2];
  const ptrdiff_t chunk = winograd_chunk(tiles, padded), gradient_chunk = winograd_chunk(tiles, padded_destinations);
  const winograd_planes planes = planes_in(plan, scratch);
  float *const values = scratch + planes_floats(plan), *const gradients = values + points[0] * chunk;
  float *const sums = partials + split * plan->split_floats + part_sums(plan, &part);
  const ptrdiff_t point_floats = (ptrdiff_t)sources * padded_destinations;

  const int origin[3] = {winograd_origin(plan, 0), winograd_origin(plan, 1), winograd_origin(plan, 2)};
  const int no_origin[3] = {0, 0, 0};
  for (int at = first_block; at < last_block; ++at) {
    const ptrdiff_t first = (ptrdiff_t)at * tiles;
    const int count = (int)(all_tiles - first < tiles ? all_tiles - first : tiles);
    const ptrdiff_t rest = at + 1 < last_block ? all_tiles - first - tiles : 0;
    const int next_count = (int)(rest < tiles ? rest : tiles);
    transform_both(plan, input, output_gradient, &part, first, count, &planes);
    winograd_fetch fetch = {.plan = plan};
    fetch_sources(&fetch, input, origin, first + tiles, next_count);
    fetch.regions[fetch.count++] = (winograd_region){
        .values = output_gradient->values, .channels = plan->destination_channels, .size = plan->destination_size,
        .origin = no_origin, .of_output = 1, .first = first + tiles, .count = next_count};
    share_fetch(&fetch, flat * points[0] * channel_blocks * ck_divide_up(sources, TILE_SLOTS));
    for (int p = 0; p < flat; ++p) {
      const float *here = planes.values + p * planes.chunk;
      const float *gradient_here = planes.gradients + p * planes.gradient_chunk;
      const int kind = winograd_kind(plan, 0);
      if (kind != 1) {
        const winograd_points_layout layout = {.values = values, .stride = chunk, .width = padded};
        transform_planes_of(kind, here, planes.slots, &layout, count, padded, 0);
        const winograd_points_layout gradient_layout = {
            .values = gradients, .stride = gradient_chunk, .width = padded_destinations};
        transform_planes_of(
            kind, gradient_here, planes.gradient_slots, &gradient_layout, count, padded_destinations, 1);
        here = values;
        gradient_here = gradients;
      }
      for (int block = 0; block < channel_blocks; ++block) {
        const int vectors = block_vectors(destinations, block), width = vectors * SIMD_WIDTH;
        for (int z = 0; z < points[0]; ++z) {
          float *const target = sums + p * points[0] * point_floats +
                                (ptrdiff_t)block * points[0] * sources * TILE_CHANNELS + (ptrdiff_t)z * sources * width;
          tile_arguments products = products_of_tiles(
              count, padded, gradient_here + z * gradient_chunk + block * TILE_CHANNELS, padded_destinations, vectors,
              width, at == first_block);
          for (int slot = 0; slot < sources; slot += TILE_SLOTS) {
            sum_products(&products, here + z * chunk, slot, sources, target);
            fetch_lines(&fetch);
          }
        }
      }
    }
  }
}

ALWAYS_INLINE void transform_taps(int tile, const simd_float *u, simd_float *g) {
  if (tile == 6) transform_weight_gradient(6, u, g);
  if (tile == 4) transform_weight_gradient(4, u, g);
  if (tile == WINOGRAD_STRIDED4) transform_weight_gradient(WINOGRAD_STRIDED4, u, g);
  if (tile == WINOGRAD_STRIDED2) transform_weight_gradient(WINOGRAD_STRIDED2, u, g);
  if (tile == 2) transform_weight_gradient(2, u, g);
  if (tile == 1) transform_weight_gradient(1, u, g);
}

/// Sums at all points of one vector of output channels and some input channels.
typedef struct winograd_sums_layout {
  /// The first input channel's; then those of the next channel, the next point along z, and the next (y, x).
  const float *values;
  ptrdiff_t source, point, flat;
  /// Splits that are added up.
  int splits;
  ptrdiff_t split;
} winograd_sums_layout;

/// Transforms sums of one vector of output channels and input channels `first` ..< `last` back to weights.
static void transform_sums_back(
    const ck_convolution_plan *plan, const winograd_sums_layout *sums, int vector, int first, int last,
    float *weight_gradient) {
  const int taps = ck_kernel_taps(plan), sources = plan->source_channels;
  const int lanes = ck_minimum(SIMD_WIDTH, plan->destination_channels - vector * SIMD_WIDTH);
  const int *kernel = plan->shape.kernel, *points = plan->points;
  for (int source = first; source < last; ++source) {
    simd_float by_z[3][WINOGRAD_POINTS][WINOGRAD_POINTS], by_y[3][3][WINOGRAD_POINTS];
    for (int y = 0; y < points[1]; ++y) {
      for (int x = 0; x < points[2]; ++x) {
        const float *at = sums->values + (y * points[2] + x) * sums->flat + (source - first) * sums->source;
        simd_float u[WINOGRAD_POINTS], g[3];
        for (int z = 0; z < points[0]; ++z) {
          const float *point = at + z * sums->point;
          u[z] = simd_load(point);
          for (int s = 1; s < sums->splits; ++s) u[z] += simd_load(point + s * sums->split);
        }
        transform_taps(winograd_kind(plan, 0), u, g);
        for (int z = 0; z < kernel[0]; ++z) by_z[z][y][x] = g[z];
      }
    }
    float turned[2 * WINOGRAD_POINTS * WINOGRAD_POINTS][SIMD_WIDTH];
    for (int z = 0; z < kernel[0]; ++z) {
      for (int x = 0; x < points[2]; ++x) {
        simd_float u[WINOGRAD_POINTS], g[3];
        for (int y = 0; y < points[1]; ++y) u[y] = by_z[z][y][x];
        transform_taps(winograd_kind(plan, 1), u, g);
        for (int y = 0; y < kernel[1]; ++y) by_y[z][y][x] = g[y];
      }
      for (int y = 0; y < kernel[1]; ++y) {
        simd_float g[3];
        transform_taps(winograd_kind(plan, 2), by_y[z][y], g);
        for (int x = 0; x < kernel[2]; ++x) simd_store(turned[(z * kernel[1] + y) * kernel[2] + x], g[x]);
      }
    }
    float *const rows = weight_gradient + ((ptrdiff_t)vector * SIMD_WIDTH * sources + source) * taps;
    for (int c = 0; c < taps; c += SIMD_WIDTH) {
      simd_float block_rows[SIMD_WIDTH];
      UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) {
        block_rows[r] = c + r < taps ? simd_load(turned[c + r]) : simd_broadcast(0);
      }
      simd_transpose(block_rows);
      UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) {
        if (r < lanes) simd_store_lanes(rows + (ptrdiff_t)r * sources * taps + c, block_rows[r], taps - c);
      }
    }
  }
}

/// Adds the splits of one vector of output channels and up to 16 input channels, and transforms them back.
static void reduce_splits(const ck_convolution_plan *plan, const float *partials, float *weight_gradient, int task) {
  const int groups = ck_divide_up(plan->source_channels, 16);
  const int vector = task / groups, first = task % groups * 16;
  const winograd_part part = winograd_part_of(
      plan, vector / TILE_VECTORS / plan->part_blocks * source_parts(plan) + first / plan->part_sources);
  const int block = vector / TILE_VECTORS % plan->part_blocks;
  const int width = block_vectors(part.destinations, block) * SIMD_WIDTH;
  const winograd_sums_layout sums = {
      .values = partials + part_sums(plan, &part) + (ptrdiff_t)block * plan->points[0] * part.sources * TILE_CHANNELS +
                (vector % TILE_VECTORS) * SIMD_WIDTH + (ptrdiff_t)(first - part.source) * width,
      .source = width, .point = (ptrdiff_t)part.sources * width,
      .flat = (ptrdiff_t)plan->points[0] * part.sources * packed_channels(part.destinations), .splits = plan->splits,
      .split = plan->split_floats};
  transform_sums_back(
      plan, &sums, vector, first, ck_minimum(first + 16, plan->source_channels), weight_gradient);
}

/// Multiplies one part of the input channels with one of the output channels at all kept points, and transforms back.
static void multiply_kept(
    const ck_convolution_plan *plan, const float *kept, float *weight_gradient, float *scratch, int task) {
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int source_parts = ck_divide_up(sources, KEPT_SOURCES), width = kept_destinations(plan);
  const int part = task % source_parts, gradient_part = task / source_parts;
  const int first = part * KEPT_SOURCES, count = ck_minimum(KEPT_SOURCES, sources - first);
  const int first_vector = gradient_part * width / SIMD_WIDTH;
  const int vectors = ck_minimum(width / SIMD_WIDTH, ck_divide_up(destinations, SIMD_WIDTH) - first_vector);
  const int tiles = (int)winograd_all_tiles(plan), all_points = plan->points[0] * plan->points[1] * plan->points[2];
  const ptrdiff_t point = kept_points(plan, sources, KEPT_SOURCES);
  const ptrdiff_t gradient_point = kept_points(plan, destinations, width);
  const float *values = kept + (ptrdiff_t)part * tiles * KEPT_SOURCES;
  const float *gradients = kept + all_points * point + (ptrdiff_t)gradient_part * tiles * width;
  const ptrdiff_t sums_stride = (ptrdiff_t)KEPT_SOURCES * width;
  // Each register tile fetches its share of what the next point needs.
  const int calls = ck_divide_up(vectors, TILE_VECTORS) * ck_divide_up(count, TILE_SLOTS);
  const ptrdiff_t ahead = ck_round_up(ck_divide_up(tiles * KEPT_SOURCES, calls), 16);
  const ptrdiff_t gradient_ahead = ck_round_up(ck_divide_up(tiles * width, calls), 16);
  for (int p = 0; p < all_points; ++p, values += point, gradients += gradient_point) {
    const float *fetched = values + point, *fetched_gradients = gradients + gradient_point;
    for (int v = 0; v < vectors; v += TILE_VECTORS) {
      tile_arguments products = products_of_tiles(
          tiles, KEPT_SOURCES, gradients + v * SIMD_WIDTH, width, ck_minimum(TILE_VECTORS, vectors - v), width, 1);
      for (int slot = 0; slot < count; slot += TILE_SLOTS) {
        sum_products(&products, values, slot, count, scratch + p * sums_stride + v * SIMD_WIDTH);
        for (ptrdiff_t i = 0; i < ahead; i += 16) __builtin_prefetch(fetched + i, 0, 2);
        for (ptrdiff_t i = 0; i < gradient_ahead; i += 16) __builtin_prefetch(fetched_gradients + i, 0, 2);
        fetched += ahead;
        fetched_gradients += gradient_ahead;
      }
    }
  }
  winograd_sums_layout sums = {
      .source = width, .point = plan->points[1] * plan->points[2] * sums_stride, .flat = sums_stride, .splits = 1};
  for (int v = 0; v < vectors; ++v) {
    sums.values = scratch + v * SIMD_WIDTH;
    transform_sums_back(plan, &sums, first_vector + v, first, first + count, weight_gradient);
  }
}

static void reduce_winograd(
    const ck_convolution_plan *plan, const float *partials, float *weight_gradient, float *scratch, int task) {
  if (plan->keeps_points) {
    multiply_kept(plan, partials, weight_gradient, scratch, task);
  } else {
    reduce_splits(plan, partials, weight_gradient, task);
  }
}
