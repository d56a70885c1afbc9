// N-dimensional Winograd convolution: kernels of 3 (or 1) along each axis; forward (and weight gradient) with strides of
// 1 and 2, input gradient with strides of 1.
//
// A task takes a block of output tiles through the cache: the boxes of samples that they read are transformed along x
// and y, what tiles of a stack share only once; then for each (y, x) point the planes are transformed along z,
// multiplied with the transformed weights and transformed back along z, while what comes next is fetched; last, back
// along y and x. N-dimensional Winograd on CPUs: Jia, Zlateski, Durand and Li, PPoPP 2018.
//
// Packed weights: [y point][x point][block][z point][source channel][lane].

/// sums[t] = sum over channels of values[t][channel] * weights[channel], for one register tile; `adds` to what is
/// there. Along the way fetches `ahead` into the level-2 cache, `ahead_step` floats for each channel.
ALWAYS_INLINE void product_tile(const float *values, ptrdiff_t stride, const float *weights, int run, float *sums_at,
    int adds, const float *ahead, ptrdiff_t ahead_step, const int groups, const int vectors) {
  simd_float sums[TILE_SLOTS][TILE_VECTORS];
  if (adds) {
    UNROLL for (int p = 0; p < groups * TILE_GROUP; ++p) {
      UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = simd_load(sums_at + (p * vectors + v) * SIMD_WIDTH);
    }
  } else {
    UNROLL for (int p = 0; p < groups * TILE_GROUP; ++p) {
      UNROLL for (int v = 0; v < vectors; ++v) sums[p][v] = simd_broadcast(0);
    }
  }
  const float *source[TILE_GROUPS];
  UNROLL for (int g = 0; g < groups; ++g) source[g] = values + g * TILE_GROUP * stride;
  const float *end = weights + (ptrdiff_t)run * vectors * SIMD_WIDTH;
  for (; weights != end; weights += vectors * SIMD_WIDTH) {
    __builtin_prefetch(ahead, 0, 2);
    ahead += ahead_step;
    simd_float w[TILE_VECTORS];
    UNROLL for (int v = 0; v < vectors; ++v) w[v] = simd_load(weights + v * SIMD_WIDTH);
    UNROLL for (int g = 0; g < groups; ++g) {
      UNROLL for (int p = 0; p < TILE_GROUP; ++p) {
        const simd_float value = simd_load_factor(source[g] + p * stride);
        UNROLL for (int v = 0; v < vectors; ++v) {
          sums[g * TILE_GROUP + p][v] = simd_multiply_add(value, w[v], sums[g * TILE_GROUP + p][v]);
        }
      }
      source[g] += 1;
    }
  }
  UNROLL for (int p = 0; p < groups * TILE_GROUP; ++p) {
    UNROLL for (int v = 0; v < vectors; ++v) simd_store(sums_at + (p * vectors + v) * SIMD_WIDTH, sums[p][v]);
  }
}

/// The products of one block of destination channels at `points` z points.
ALWAYS_INLINE void product_points(const float *values, ptrdiff_t stride, ptrdiff_t value_points, const float *weights,
    int run, float *sums, ptrdiff_t sum_points, int points, int tiles, int adds, winograd_fetch *fetch,
    const int vectors) {
  // The next weights follow these ones, as long as they are; each register tile fetches its share of them.
  const ptrdiff_t ahead_step = ck_divide_up(vectors * SIMD_WIDTH, ck_divide_up(tiles, TILE_SLOTS));
  for (int p = 0; p < points; ++p) {
    const float *ahead = weights + (ptrdiff_t)run * vectors * SIMD_WIDTH;
    int t = 0;
    for (; t + TILE_SLOTS <= tiles; t += TILE_SLOTS) {
      product_tile(values + t * stride, stride, weights, run, sums + t * vectors * SIMD_WIDTH, adds, ahead,
          ahead_step, TILE_GROUPS, vectors);
      fetch_lines(fetch);
      ahead += run * ahead_step;
    }
#if TILE_GROUPS == 3
    if (t + 2 * TILE_GROUP <= ck_round_up(tiles, TILE_GROUP)) {
      product_tile(values + t * stride, stride, weights, run, sums + t * vectors * SIMD_WIDTH, adds, ahead,
          ahead_step, 2, vectors);
      fetch_lines(fetch);
      ahead += run * ahead_step;
      t += 2 * TILE_GROUP;
    }
#endif
    for (; t < tiles; t += TILE_GROUP) {
      product_tile(values + t * stride, stride, weights, run, sums + t * vectors * SIMD_WIDTH, adds, ahead,
          ahead_step, 1, vectors);
      fetch_lines(fetch);
      ahead += run * ahead_step;
    }
    values += value_points;
    weights += (ptrdiff_t)run * vectors * SIMD_WIDTH;
    sums += sum_points;
  }
}

#define PRODUCT_INSTANCE(vectors)                                                                               \
  static __attribute__((noinline)) void product_points_##vectors(const float *values, ptrdiff_t stride,         \
      ptrdiff_t value_points, const float *weights, int run, float *sums, ptrdiff_t sum_points, int points,     \
      int tiles, int adds, winograd_fetch *fetch) {                                                             \
    product_points(                                                                                             \
        values, stride, value_points, weights, run, sums, sum_points, points, tiles, adds, fetch, vectors);     \
  }
PRODUCT_INSTANCE(1)
PRODUCT_INSTANCE(2)
typedef void (*product_function)(
    const float *, ptrdiff_t, ptrdiff_t, const float *, int, float *, ptrdiff_t, int, int, int, winograd_fetch *);
#if TILE_VECTORS == 4
PRODUCT_INSTANCE(3)
PRODUCT_INSTANCE(4)
static const product_function product_table[4] = {
    product_points_1, product_points_2, product_points_3, product_points_4};
#else
static const product_function product_table[2] = {product_points_1, product_points_2};
#endif

/// Whether Winograd is possible; sets the tiles of each axis, which are those of the algorithm where more than one tap
/// and a stride of 1 leave the choice.
static int set_winograd_tiles(
    const ck_convolution_shape *shape, ck_convolution_algorithm algorithm, ck_convolution_plan *plan) {
  if (shape->groups != 1) return 0;
  int threes = 0;
  for (int a = 0; a < 3; ++a) {
    const int stride = shape->stride[a];
    if (shape->kernel[a] == 1 && stride == 1) {
      plan->tile[a] = 1;
    } else if (shape->kernel[a] == 3 && shape->dilation[a] == 1 && stride == 1) {
      plan->tile[a] = (int)algorithm >> 4 * (2 - a) & 15;
      ++threes;
    } else if (shape->kernel[a] == 3 && shape->dilation[a] == 1 && stride == 2 &&
               plan->pass != CK_CONVOLUTION_INPUT_GRADIENT) {
      plan->tile[a] = 2;
      ++threes;
    } else {
      return 0;
    }
  }
  // Within a plane strides are the same, or there is one axis only.
  if (plan->tile[1] > 1 && plan->tile[2] > 1) {
    if (shape->stride[1] != shape->stride[2]) return 0;
    // With stride 2 only planes have tiles of 4; along z they gain nothing.
    const int of_four = (algorithm & 0x0f) > 2 && (algorithm & 0xf0) > 0x20;
    if (shape->stride[1] == 2 && of_four) plan->tile[1] = plan->tile[2] = 4;
  }
  plan->algorithm = algorithm;
  return threes > 0;
}

/// The coordinate of the first sample that output position 0 reads.
static int winograd_origin(const ck_convolution_plan *plan, int axis) {
  const int padding = plan->shape.padding_lower[axis];
  return plan->pass == CK_CONVOLUTION_INPUT_GRADIENT ? padding - (plan->shape.kernel[axis] - 1) : -padding;
}

static void set_winograd_sizes(ck_convolution_plan *plan) {
  for (int a = 0; a < 3; ++a) {
    plan->points[a] = winograd_points(winograd_kind(plan, a));
    plan->tiles[a] = ck_divide_up(
        plan->pass == CK_CONVOLUTION_WEIGHT_GRADIENT ? plan->shape.output[a] : plan->destination_size[a], plan->tile[a]);
    // Boxes of tiles without a transform don't overlap.
    if (a < 2) {
      plan->stacks[a] = plan->tile[a] == 1 ? plan->tiles[a] : ck_divide_up(plan->tiles[a], WINOGRAD_STACK);
    }
  }
}

/// The planes that `tiles` tiles in a row read along z, at most.
static int winograd_slots(const ck_convolution_plan *plan, int tiles) {
  const int advance = winograd_advance(plan, 0, 0), height = plan->tiles[0] / plan->stacks[0];
  // The first and the last run may be parts of a stack.
  const int runs = ck_minimum(tiles, 2 + (tiles - 2) / height);
  return tiles * advance + runs * (plan->points[0] - advance);
}

static ptrdiff_t winograd_all_tiles(const ck_convolution_plan *plan) {
  return (ptrdiff_t)plan->shape.batch * plan->tiles[0] * plan->tiles[1] * plan->tiles[2];
}

/// Groups of tiles that are multiplied together; blocks share whole groups.
static ptrdiff_t winograd_groups(const ck_convolution_plan *plan) {
  return (winograd_all_tiles(plan) + TILE_GROUP - 1) / TILE_GROUP;
}

static int plan_winograd(
    const ck_convolution_shape *shape, ck_convolution_pass pass, ck_convolution_algorithm algorithm,
    ck_convolution_plan *plan) {
  set_sides(shape, pass, plan);
  if (!set_winograd_tiles(shape, algorithm, plan)) return 0;
  set_winograd_sizes(plan);
  const ptrdiff_t flat = plan->points[1] * plan->points[2];
  const int sources = packed_channels(plan->source_channels), destinations = packed_channels(plan->destination_channels);
  const ptrdiff_t all_tiles = winograd_all_tiles(plan);
  const ptrdiff_t flat_sums = (ptrdiff_t)winograd_sums(winograd_kind(plan, 1)) * winograd_sums(winograd_kind(plan, 2));
  const ptrdiff_t tile_floats =
      flat * winograd_slots(plan, 24) * sources / 24 + flat_sums * plan->tile[0] * destinations;
  plan->packed_floats = flat * plan->points[0] * plan->source_channels * destinations;
  // As many tiles as keep the points in a level-2 cache; but where reading the weights takes longer than fetching the
  // points from a level-3 cache, enough to make use of them.
  int tiles = 12 * ck_minimum(48, ck_maximum(1, (int)(150000 / (tile_floats * 12))));
  if (flat > 64) tiles = ck_maximum(tiles, 24);
  if (plan->packed_floats > 2 * 1024 * 1024) tiles = plan->points[0] > 1 && flat > 36 ? 24 : 36;
  int blocks = (int)((all_tiles + tiles - 1) / tiles);
  // Blocks of nearly one size, and an even number of them, so that threads finish together.
  if (all_tiles >= 24) blocks = ck_round_up(blocks, 2);
  const int groups = (int)winograd_groups(plan);
  blocks = ck_minimum(blocks, groups);
  tiles = TILE_GROUP * ck_divide_up(groups, blocks);
  plan->blocks = blocks;
  plan->block_tiles = tiles;
  plan->pack_tasks = plan->channel_blocks * ck_divide_up(plan->source_channels, PACK_SOURCES);
  plan->scratch_floats = flat * winograd_chunk(winograd_slots(plan, tiles), sources) +
                         flat_sums * plan->channel_blocks * plan->tile[0] * winograd_chunk(tiles, TILE_CHANNELS) +
                         plan->points[0] * (winograd_chunk(tiles, sources) + winograd_chunk(tiles, TILE_CHANNELS)) +
                         tiles + 64;
  plan->output_cut = SIMD_WIDTH;
  // A block and an instance that overlap share a record: number them along the way, one of both steps on each time.
  plan->statistics_records = blocks + shape->batch;
  return 1;
}

/// The first tile of a block.
static ptrdiff_t winograd_block_start(const ck_convolution_plan *plan, int block) {
  const ptrdiff_t all_tiles = winograd_all_tiles(plan);
  const ptrdiff_t first = TILE_GROUP * (winograd_groups(plan) * block / plan->blocks);
  return first < all_tiles ? first : all_tiles;
}

/// The block that a tile is in.
static int winograd_block_of(const ck_convolution_plan *plan, ptrdiff_t tile) {
  return (int)(((tile / TILE_GROUP + 1) * plan->blocks - 1) / winograd_groups(plan));
}

/// Tasks of several blocks in a row, which fetch each other's input ahead; towards the end tasks of one block, so that
/// every thread ends with the others. Where there are fewer blocks than threads, tasks share a block's channels; each
/// transforms the block's input.
static void share_blocks(ck_convolution_plan *plan, int threads) {
  plan->task_blocks = ck_maximum(1, ck_minimum(16, plan->blocks / (16 * threads)));
  plan->long_tasks = plan->task_blocks == 1 ? 0 : plan->blocks / plan->task_blocks - 2 * threads;
  const int tasks = plan->blocks - plan->long_tasks * (plan->task_blocks - 1);
  plan->channel_splits = ck_minimum(plan->channel_blocks, ck_divide_up(threads, tasks));
  plan->tasks = tasks * plan->channel_splits;
}

/// One block of tiles; what the next one reads is fetched ahead where the task goes on with it.
static void run_winograd_block(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const float *packed, const float *bias,
    const ck_convolution_output *output, float *scratch, int split, int block_index, int goes_on) {
  const int *points = plan->points, *tile = plan->tile, *size = plan->destination_size;
  const int tiles = plan->block_tiles;
  const ptrdiff_t first = winograd_block_start(plan, block_index), next = winograd_block_start(plan, block_index + 1);
  const int count = (int)(next - first);
  const int next_count = goes_on ? (int)(winograd_block_start(plan, block_index + 2) - next) : 0;
  const int b0 = (int)((long)plan->channel_blocks * split / plan->channel_splits);
  const int b1 = (int)((long)plan->channel_blocks * (split + 1) / plan->channel_splits);
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int padded = packed_channels(sources);
  const int kinds[3] = {winograd_kind(plan, 0), winograd_kind(plan, 1), winograd_kind(plan, 2)};
  const int flat = points[1] * points[2], flat_sums = winograd_sums(kinds[1]) * winograd_sums(kinds[2]);
  const ptrdiff_t plane_chunk = winograd_chunk(winograd_slots(plan, tiles), padded);
  const ptrdiff_t chunk = winograd_chunk(tiles, padded), result_chunk = winograd_chunk(tiles, TILE_CHANNELS);
  float *const planes = scratch;
  float *const results = planes + flat * plane_chunk;
  float *const values = results + (ptrdiff_t)plan->channel_blocks * tile[0] * flat_sums * result_chunk;
  float *const sums = values + points[0] * chunk;
  int *const slots = (int *)(sums + points[0] * result_chunk);

  const int origin[3] = {winograd_origin(plan, 0), winograd_origin(plan, 1), winograd_origin(plan, 2)};
  const int no_origin[3] = {0, 0, 0};
  transform_boxes(
      plan, input->sources, input->count, plan->source_size, 0, sources, first, count, origin, 0, planes, plane_chunk,
      slots);

  // What the next block reads, and what results are added to and pass through: late, or it would be displaced again.
  winograd_fetch fetch = {.plan = plan};
  fetch_sources(&fetch, input, origin, next, next_count);
  const float *const results_meet[2] = {
      output->gradient ? output->gradient->addend : 0, output->gradient ? output->gradient->x : 0};
  for (int i = 0; i < 2; ++i) {
    if (!results_meet[i]) continue;
    fetch.regions[fetch.count++] = (winograd_region){
        .values = results_meet[i], .channels = destinations, .size = size, .origin = no_origin, .of_output = 1,
        .first = first, .count = count};
  }
  const int point_calls = points[0] * ck_divide_up(count, TILE_SLOTS) * (b1 - b0);
  const int fetch_from = flat - ck_divide_up(share_fetch(&fetch, flat * point_calls), point_calls), quota = fetch.lines;
  for (int p = 0; p < flat; ++p) {
    const float *here = planes + p * plane_chunk;
    fetch.lines = p >= fetch_from ? quota : 0;
    const float *factor = here;
    if (kinds[0] != 1) {
      const winograd_points_layout layout = {.values = values, .stride = chunk, .width = padded};
      transform_planes_of(kinds[0], here, slots, &layout, count, padded, 0);
      factor = values;
    }
    const int point_y = p / points[2], point_x = p % points[2];
    const int sum = winograd_sum(kinds[1], point_y) * winograd_sums(kinds[2]) + winograd_sum(kinds[2], point_x);
    const int adds = point_y >= winograd_sums(kinds[1]) || point_x >= winograd_sums(kinds[2]);
    for (int block = b0; block < b1; ++block) {
      const int vectors = block_vectors(destinations, block);
      const product_function product = product_table[vectors - 1];
      const ptrdiff_t point_weights = (ptrdiff_t)sources * vectors * SIMD_WIDTH;
      const float *weights = packed + (ptrdiff_t)p * points[0] * sources * packed_channels(destinations) +
                             (ptrdiff_t)block * points[0] * sources * TILE_CHANNELS;
      float *result = results + ((ptrdiff_t)block * tile[0] * flat_sums + sum) * result_chunk;
      if (kinds[0] == 1) {
        product(factor, padded, 0, weights, sources, result, 0, 1, count, adds, &fetch);
        continue;
      }
      const int sum_points = winograd_sums(kinds[0]);
      product(factor, padded, chunk, weights, sources, sums, result_chunk, sum_points, count, 0, &fetch);
      const ptrdiff_t floats = (ptrdiff_t)count * vectors * SIMD_WIDTH;
      if (kinds[0] == 4) {
        transform_planes_back(sums, result_chunk, result, flat_sums * result_chunk, floats, adds, 4);
      } else if (kinds[0] == 2) {
        transform_planes_back(sums, result_chunk, result, flat_sums * result_chunk, floats, adds, 2);
      } else {
        // The two points of the middle tap belong to the first and the last sum.
        product(
            factor + 3 * chunk, padded, chunk, weights + 3 * point_weights, sources, sums, 2 * result_chunk, 2, count, 1,
            &fetch);
        transform_planes_back(sums, result_chunk, result, flat_sums * result_chunk, floats, adds, WINOGRAD_STRIDED2);
      }
    }
  }

  const int back_kind = output->gradient ? BACK_PASSES : output->statistics ? BACK_COUNTS : BACK_WRITES;
  const winograd_result_function back = back_tables[back_kind][kinds[1] - 1][kinds[2] - 1];
  ptrdiff_t instance = -1;
  float *record = 0, counted = 0;
  winograd_place place = winograd_place_of(plan, first);
  for (int t = 0; t < count; ++t, winograd_advance_place(plan, &place)) {
    const ptrdiff_t rest = place.image;
    int corner[3];
    winograd_corner(plan, &place, no_origin, 1, corner);
    winograd_result result = {
        .chunk = result_chunk, .planes = ck_minimum(tile[0], size[0] - corner[0]),
        .rows = ck_minimum(tile[1], size[1] - corner[1]), .columns = ck_minimum(tile[2], size[2] - corner[2]),
        .gradient = output->gradient};
    if (output->statistics) {
      if (rest != instance) {
        if (record && split == 0) record[0] = counted;
        record = output->statistics + (block_index + rest) * plan->statistics_floats;
        instance = rest;
        counted = 0;
        result.starts = 1;
      }
      result.moment_stride = packed_channels(destinations);
      counted += (float)(result.planes * result.rows * result.columns);
    }
    const int partial = result.rows < tile[1] || result.columns < tile[2];
    for (int block = b0; block < b1; ++block) {
      const int vectors = block_vectors(destinations, block);
      for (int v = 0; v < vectors; ++v) {
        const int channel = block * TILE_CHANNELS + v * SIMD_WIDTH;
        int stride, first_channel;
        float *const destination = output_of(output, channel, &stride, &first_channel);
        result.pixel = stride;
        result.row = result.pixel * size[2];
        result.plane = result.row * size[1];
        result.lanes = ck_minimum(SIMD_WIDTH, destinations - channel);
        result.bias = bias ? simd_load_lanes(bias + channel, result.lanes) : simd_broadcast(0);
        result.points = results + (ptrdiff_t)block * tile[0] * flat_sums * result_chunk + (t * vectors + v) * SIMD_WIDTH;
        result.pixels = destination + (rest * size[0] + corner[0]) * result.plane + corner[1] * result.row +
                        corner[2] * result.pixel + first_channel;
        if (record) result.moments = record + 16 + channel;
        result.term = rest * destinations + channel;
        result.origin = destination;
        const int streams = plan->streams && (uintptr_t)destination % sizeof(simd_float) == 0;
        back(&result, partial || result.lanes < SIMD_WIDTH, streams);
      }
    }
  }
  if (record && split == 0) record[0] = counted;
}

static void run_winograd(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const float *packed, const float *bias,
    const ck_convolution_output *output, float *scratch, int task) {
  const int split = task % plan->channel_splits;
  task /= plan->channel_splits;
  const int is_long = task < plan->long_tasks;
  const int first = is_long ? task * plan->task_blocks : plan->long_tasks * (plan->task_blocks - 1) + task;
  const int last = first + (is_long ? plan->task_blocks : 1);
  for (int block = first; block < last; ++block) {
    run_winograd_block(plan, input, packed, bias, output, scratch, split, block, block + 1 < last);
  }
}
