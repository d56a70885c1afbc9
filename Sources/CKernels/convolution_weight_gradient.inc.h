// Direct weight gradient: tiles of (tap, input channel) slots against vectors of output channels, summed over pixels.
//
// Each split owns a part of the pixels and a whole partial gradient in the layout of the packed weights; splits are
// added in order afterwards.

static void plan_direct_weight_gradient(const ck_convolution_shape *shape, int is_plain, ck_convolution_plan *plan) {
  set_sides(shape, CK_CONVOLUTION_WEIGHT_GRADIENT, plan);
  const int kernel_x = shape->kernel[2];
  const int slots = plan->source_channels * (shape->dilation[2] == 1 && shape->groups == 1 ? kernel_x : 1);
  set_blocks(plan, is_plain && slots % TILE_GROUP == 0);
  const int taps = ck_kernel_taps(plan);
  plan->split_floats =
      (ptrdiff_t)shape->groups * taps * plan->source_channels * packed_channels(plan->destination_channels);
  // Enough tasks to share; partial gradients of at most 64 MiB together.
  const int row_blocks = shape->batch * plan->z_blocks * plan->y_blocks;
  const int channel_tasks = shape->groups * plan->channel_blocks;
  int splits = ck_minimum(row_blocks, ck_divide_up(32, channel_tasks));
  while (splits > 1 && splits * plan->split_floats > 16 * 1024 * 1024) --splits;
  plan->splits = ck_maximum(splits, 1);
  plan->channel_splits = plan->channel_blocks;
  plan->tasks = plan->splits * channel_tasks;
  plan->partial_floats = plan->splits * plan->split_floats;
  plan->reduce_tasks = shape->groups * ck_divide_up(plan->destination_channels, SIMD_WIDTH);
  const ptrdiff_t pixels = (ptrdiff_t)plan->z_block * plan->y_block * shape->output[2];
  plan->scratch_floats =
      plan->slab_floats + plan->patch_floats + 4 * offset_floats(plan->z_block * plan->y_block) + pixels * TILE_CHANNELS + 64;
}

/// Adds the products of `all` pixels of an image one after the other to a narrow convolution's partial gradient.
ALWAYS_INLINE void accumulate_narrow_pixels(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const float *gradient, float *partial,
    ptrdiff_t first, int all, int image, const int outputs) {
  // Chains of additions enough to hide their latency.
  const int chains = outputs < 4 ? 2 : 1, width = packed_channels(outputs);
  gradient += first * outputs;
  for (const ck_convolution_source *source = input->sources; source < input->sources + input->count; ++source) {
    const int channels = source->channels;
    const float *const pixels = source->values + first * channels;
    for (int c = 0; c < channels; c += SIMD_WIDTH, partial += SIMD_WIDTH * width) {
      const int lanes = ck_minimum(SIMD_WIDTH, channels - c);
      source_terms terms;
      if (source->terms) terms = source_terms_at(source, plan->shape.batch, image, c, lanes);
      simd_float sums[2][SIMD_WIDTH / 2];
      UNROLL for (int i = 0; i < chains; ++i) {
        UNROLL for (int o = 0; o < outputs; ++o) sums[i][o] = simd_broadcast(0);
      }
      for (int x = 0; x < all; x += chains) {
        UNROLL for (int i = 0; i < chains; ++i) {
          if (x + i >= all) continue;
          const float *at = pixels + (ptrdiff_t)(x + i) * channels + c;
          simd_float value = lanes == SIMD_WIDTH ? simd_load(at) : simd_load_partial(at, lanes);
          if (source->terms) value = read_through(value, &terms);
          UNROLL for (int o = 0; o < outputs; ++o) {
            sums[i][o] = simd_multiply_add(value, simd_load_factor(gradient + (x + i) * outputs + o), sums[i][o]);
          }
        }
      }
      UNROLL for (int o = 0; o < outputs; ++o) {
        const simd_float sum = chains == 2 ? sums[0][o] + sums[1][o] : sums[0][o];
        for (int k = 0; k < lanes; ++k) partial[k * width + o] += sum[k];
      }
    }
    // The next source's channels follow this one's.
    partial -= (ck_round_up(channels, SIMD_WIDTH) - channels) * width;
  }
}

#define NARROW_ACCUMULATE(outputs)                                                                                  \
  case outputs:                                                                                                     \
    accumulate_narrow_pixels(                                                                                       \
        plan, input, output_gradient->values, partial, row * size[2], (y1 - y0) * size[2], image, outputs);         \
    break;

/// All pixels of z in z0..<z1, y in y0..<y1.
static void accumulate_narrow(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const ck_convolution_source *output_gradient,
    float *partial, int image, int z0, int z1, int y0, int y1) {
  const int *size = plan->source_size;
  for (int z = z0; z < z1; ++z) {
    const ptrdiff_t row = ((ptrdiff_t)image * size[0] + z) * size[1] + y0;
    switch (plan->destination_channels) { NARROW_CASES(NARROW_ACCUMULATE) }
  }
}

static void accumulate_direct(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const ck_convolution_source *output_gradient,
    float *partials, float *scratch, int task) {
  const ck_convolution_shape *shape = &plan->shape;
  const int block = task % plan->channel_blocks, group = task / plan->channel_blocks % shape->groups;
  const int split = task / plan->channel_blocks / shape->groups;
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int taps = ck_kernel_taps(plan);
  const int vectors = block_vectors(destinations, block), width = vectors * SIMD_WIDTH;
  const int lanes = block_lanes(destinations, block);
  float *const partial = partials + split * plan->split_floats +
                         (ptrdiff_t)group * taps * sources * packed_channels(destinations) +
                         (ptrdiff_t)block * taps * sources * TILE_CHANNELS;
  memset(partial, 0, (size_t)taps * sources * width * sizeof(float));

  const ck_axis axes[3] = {ck_axis_of(plan, 0, 0), ck_axis_of(plan, 1, 0), ck_axis_of(plan, 2, 0)};
  const int rows_most = plan->z_block * plan->y_block;
  float *const slab = scratch, *const patches = slab + plan->slab_floats;
  ptrdiff_t *const source_offsets = (ptrdiff_t *)(patches + plan->patch_floats);
  ptrdiff_t *const weight_offsets = source_offsets + rows_most;
  float *const gradient_copy = patches + plan->patch_floats + 4 * offset_floats(rows_most);

  const ptrdiff_t pixel = plan->reads_tensor ? plan->source_stride : sources;
  const ptrdiff_t row = pixel * (plan->reads_tensor ? plan->source_size[2] : plan->slab_size[2]);
  const ptrdiff_t plane = row * (plan->reads_tensor ? plan->source_size[1] : plan->slab_size[1]);
  const int columns = shape->output[2];
  const int merged = plan->run_merged;
  const int slots = plan->uses_patches ? taps * sources : merged ? axes[2].taps * sources : sources;
  const int runs_x = merged ? 1 : axes[2].taps;
  const int parts = plan->uses_patches ? 1 : axes[0].taps * axes[1].taps * runs_x;

  const int row_blocks = shape->batch * plan->z_blocks * plan->y_blocks;
  const int first = (int)((long)row_blocks * split / plan->splits);
  const int last = (int)((long)row_blocks * (split + 1) / plan->splits);
  const int narrow = is_narrow(plan) && !output_gradient->terms;
  for (int at = first; at < last; ++at) {
    const int image = at / (plan->z_blocks * plan->y_blocks);
    const int z0 = at / plan->y_blocks % plan->z_blocks * plan->z_block, y0 = at % plan->y_blocks * plan->y_block;
    const int z1 = ck_minimum(z0 + plan->z_block, axes[0].count), y1 = ck_minimum(y0 + plan->y_block, axes[1].count);
    if (z1 <= z0 || y1 <= y0) continue;
    if (narrow) {
      accumulate_narrow(plan, input, output_gradient, partial, image, z0, z1, y0, y1);
      continue;
    }
    if (!plan->reads_tensor) fill_slab(plan, input, image, group, z0, y0, slab);
    if (plan->uses_patches) fill_patches(plan, axes, z1 - z0, y1 - y0, slab, patches);
    const float *origin = slab;
    if (plan->reads_tensor) {
      origin = input->sources[0].values + (ptrdiff_t)image * plan->source_size[0] * plane + group * sources +
               (z0 * axes[0].source_step + plan->slab_low[0]) * plane +
               (y0 * axes[1].source_step + plan->slab_low[1]) * row + plan->slab_low[2] * pixel;
    }

    // The output gradient's rows: read in place where every vector is whole.
    const int first_channel = group * destinations + block * TILE_CHANNELS;
    const float *gradient_image = output_gradient->values + (ptrdiff_t)image * axes[0].count * axes[1].count * columns *
                                  plan->destination_stride;
    const float *gradient = gradient_image + first_channel;
    ptrdiff_t gradient_pixel = plan->destination_stride;
    const int copies = lanes != width || output_gradient->terms;
    if (copies) {
      for (int z = z0; z < z1; ++z) {
        for (int y = y0; y < y1; ++y) {
          const float *from = gradient_image + ((ptrdiff_t)z * axes[1].count + y) * columns * gradient_pixel;
          float *to = gradient_copy + ((ptrdiff_t)(z - z0) * plan->y_block + y - y0) * columns * width;
          read_pixels(output_gradient, shape->batch, image, first_channel, lanes, from, columns, to, width);
          for (int x = 0; lanes < width && x < columns; ++x) {
            memset(to + (ptrdiff_t)x * width + lanes, 0, (width - lanes) * sizeof(float));
          }
        }
      }
    }

    for (int part = 0; part < parts; ++part) {
      const int jz = part / runs_x / axes[1].taps, jy = part / runs_x % axes[1].taps, jx = part % runs_x;
      int rows = 0;
      for (int z = z0; z < z1; ++z) {
        for (int y = y0; y < y1; ++y) {
          if (plan->uses_patches) {
            source_offsets[rows] = (ptrdiff_t)((z - z0) * plan->y_block + y - y0) *
                                   ck_round_up(columns, TILE_GROUP) * plan->patch_stride;
          } else {
            const int iz = z * axes[0].source_step + axes[0].first_offset + jz * axes[0].offset_step;
            const int iy = y * axes[1].source_step + axes[1].first_offset + jy * axes[1].offset_step;
            if (iz < 0 || iz >= plan->source_size[0] || iy < 0 || iy >= plan->source_size[1]) continue;
            source_offsets[rows] = ((z - z0) * axes[0].source_step + jz * axes[0].offset_step) * plane +
                                   ((y - y0) * axes[1].source_step + jy * axes[1].offset_step) * row +
                                   jx * axes[2].offset_step * pixel;
          }
          weight_offsets[rows] = copies ? ((ptrdiff_t)(z - z0) * plan->y_block + y - y0) * columns * width
                                        : ((ptrdiff_t)z * axes[1].count + y) * columns * gradient_pixel;
          ++rows;
        }
      }
      if (rows == 0) continue;
      tile_arguments tile = {
          .destination_stride = width,
          .segments = rows,
          .run = columns,
          .source_offsets = source_offsets,
          .weight_offsets = weight_offsets,
          .weights = copies ? gradient_copy : gradient,
          .weight_stride = copies ? width : gradient_pixel,
          .step_stride = plan->uses_patches ? plan->patch_stride : axes[2].source_step * pixel,
          .lanes = width,
      };
      for (int slot = 0; slot < slots; slot += TILE_SLOTS) {
        const int groups = ck_minimum(TILE_GROUPS, ck_divide_up(slots - slot, TILE_GROUP));
        tile.source[0] = (plan->uses_patches ? patches : origin) + slot;
        for (int g = 0; g < groups; ++g) {
          tile.count[g] = ck_minimum(TILE_GROUP, slots - slot - g * TILE_GROUP);
          tile.destination[g] = partial + ((ptrdiff_t)part * slots + slot + g * TILE_GROUP) * width;
        }
        tile_channels_table[groups - 1][vectors - 1](&tile);
      }
    }
  }
}

static void reduce_direct(const ck_convolution_plan *plan, const float *partials, float *weight_gradient, int task) {
  const int taps = ck_kernel_taps(plan);
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int vectors_of_group = ck_divide_up(destinations, SIMD_WIDTH);
  const int group = task / vectors_of_group, vector = task % vectors_of_group;
  const int block = vector / TILE_VECTORS;
  const int width = block_vectors(destinations, block) * SIMD_WIDTH;
  const int lanes = ck_minimum(SIMD_WIDTH, destinations - vector * SIMD_WIDTH);
  const float *base = partials + (ptrdiff_t)group * taps * sources * packed_channels(destinations) +
                      (ptrdiff_t)block * taps * sources * TILE_CHANNELS + (vector % TILE_VECTORS) * SIMD_WIDTH;
  const int columns = sources * taps;
  float *rows = weight_gradient + ((ptrdiff_t)group * destinations + vector * SIMD_WIDTH) * columns;
  int source = 0, tap = 0;
  for (int c = 0; c < columns; c += SIMD_WIDTH) {
    const int here = ck_minimum(SIMD_WIDTH, columns - c);
    float sums[SIMD_WIDTH][SIMD_WIDTH] = {{0}};
    for (int i = 0; i < here; ++i) {
      const float *from = base + ((ptrdiff_t)tap * sources + source) * width;
      simd_float sum = simd_load(from);
      for (int s = 1; s < plan->splits; ++s) sum += simd_load(from + s * plan->split_floats);
      simd_store(sums[i], sum);
      if (++tap == taps) {
        tap = 0;
        ++source;
      }
    }
    simd_float tile[SIMD_WIDTH];
    UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) tile[r] = simd_load(sums[r]);
    simd_transpose(tile);
    if (here == SIMD_WIDTH && lanes == SIMD_WIDTH) {
      UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) simd_store(rows + (ptrdiff_t)r * columns + c, tile[r]);
    } else {
      float copy[SIMD_WIDTH][SIMD_WIDTH];
      UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) simd_store(copy[r], tile[r]);
      for (int r = 0; r < lanes; ++r) memcpy(rows + (ptrdiff_t)r * columns + c, copy[r], here * sizeof(float));
    }
  }
}
