// Direct convolution, forward and input gradient: tiles of pixels against packed weights.
//
// Packed weights: for each group, for each phase, for each block of TILE_CHANNELS destination channels (the last one
// as narrow as it can be): [tap][source channel][lane].

static int packed_channels(int channels) { return ck_round_up(channels, SIMD_WIDTH); }

static void set_sides(const ck_convolution_shape *shape, ck_convolution_pass pass, ck_convolution_plan *plan) {
  const int backward = pass == CK_CONVOLUTION_INPUT_GRADIENT;
  memset(plan, 0, sizeof *plan);
  plan->algorithm = CK_CONVOLUTION_DIRECT;
  plan->shape = *shape;
  plan->pass = pass;
  plan->source_stride = backward ? shape->output_channels : shape->input_channels;
  plan->destination_stride = backward ? shape->input_channels : shape->output_channels;
  plan->source_channels = plan->source_stride / shape->groups;
  plan->destination_channels = plan->destination_stride / shape->groups;
  memcpy(plan->source_size, backward ? shape->output : shape->input, sizeof plan->source_size);
  memcpy(plan->destination_size, backward ? shape->input : shape->output, sizeof plan->destination_size);
  plan->channel_blocks = ck_divide_up(plan->destination_channels, TILE_CHANNELS);
  const int *size = plan->destination_size;
  const ptrdiff_t floats = (ptrdiff_t)shape->batch * size[0] * size[1] * size[2] * plan->destination_stride;
  plan->streams = floats > 4 * 1024 * 1024 && plan->destination_channels % SIMD_WIDTH == 0;
}

/// Sets how tasks read the source: blocks of rows, and the zero-padded copy or matrix of patches they make.
static void set_blocks(ck_convolution_plan *plan, int may_read_tensor) {
  const int *kernel = plan->shape.kernel;
  int high[3], fits = 1, positions_minimum = 0;
  for (int a = 0; a < 3; ++a) {
    int low = 0, top = 0, seen = 0;
    plan->positions[a] = ck_axis_of(plan, a, 0).count;
    for (int phase = 0; phase < ck_phases(plan, a); ++phase) {
      const ck_axis axis = ck_axis_of(plan, a, phase);
      if (a == 2) positions_minimum = phase == 0 ? axis.count : ck_minimum(positions_minimum, axis.count);
      if (axis.taps == 0 || axis.count == 0) continue;
      const int last = axis.first_offset + (axis.taps - 1) * axis.offset_step;
      low = seen ? ck_minimum(low, axis.first_offset) : axis.first_offset;
      top = seen ? ck_maximum(top, last) : last;
      seen = 1;
      if (axis.first_offset < 0) fits = 0;
      if ((axis.count - 1) * axis.source_step + last >= plan->source_size[a]) fits = 0;
    }
    plan->slab_low[a] = low;
    high[a] = top;
  }
  const int source_step = ck_axis_of(plan, 2, 0).source_step;
  plan->run_merged = 1;
  for (int phase = 0; phase < ck_phases(plan, 2); ++phase) {
    const ck_axis axis = ck_axis_of(plan, 2, phase);
    if (axis.taps > 1 && axis.offset_step != 1) plan->run_merged = 0;
  }
  // Tiles of strided convolutions read several rows at once, which memory serves slower than a copy of one after the
  // other.
  plan->reads_tensor = may_read_tensor && fits && positions_minimum >= TILE_GROUP && source_step == 1;
  if (plan->reads_tensor && plan->shape.groups > 1) plan->run_merged = 0;

  const ptrdiff_t taps = ck_kernel_taps(plan);
  const int phased = ck_phases(plan, 0) * ck_phases(plan, 1) * ck_phases(plan, 2) > 1;
  const ptrdiff_t run = (ptrdiff_t)plan->source_channels * (plan->run_merged ? kernel[2] : 1);
  // Weight gradients, whose slots are the taps, need them long; other passes only where a run would be one step.
  const int long_run = plan->pass == CK_CONVOLUTION_WEIGHT_GRADIENT ? 16 : 3;
  plan->uses_patches = !phased && run < long_run && taps * plan->source_channels > run;
  if (plan->uses_patches) plan->reads_tensor = 0;
  // Patches are copied in fours, so the last run may go past the taps.
  plan->patch_stride = ck_round_up((int)(taps * plan->source_channels - run) + ck_round_up((int)run, 4), 4);

  plan->slab_size[2] = (ck_round_up(plan->positions[2], TILE_GROUP) - 1) * source_step + high[2] - plan->slab_low[2] + 1;
  // Rows until the copies fill a good part of a level-2 cache, then planes.
  const ptrdiff_t budget = 80 * 1024;
  const ptrdiff_t row = (ptrdiff_t)plan->slab_size[2] * plan->source_channels;
  const ptrdiff_t patch_row =
      plan->uses_patches ? (ptrdiff_t)ck_round_up(plan->positions[2], TILE_GROUP) * plan->patch_stride : 0;
  int blocks[2] = {1, 1};
  for (;;) {
    const int grown_axis = blocks[1] < plan->positions[1] ? 1 : 0;
    if (grown_axis == 0 && blocks[0] >= plan->positions[0]) break;
    // A plane at a time unless planes are small: tasks must be many enough to share.
    if (grown_axis == 0 && (ptrdiff_t)blocks[0] * plan->positions[1] * plan->positions[2] >= 8 * TILE_SLOTS) break;
    int next[2] = {blocks[0], blocks[1]};
    next[grown_axis] += 1;
    ptrdiff_t rows = 1;
    for (int a = 0; a < 2; ++a) {
      const int step = ck_axis_of(plan, a, 0).source_step;
      rows *= (ptrdiff_t)(next[a] - 1) * step + high[a] - plan->slab_low[a] + 1;
    }
    if (rows * row + (ptrdiff_t)next[0] * next[1] * patch_row > budget) break;
    blocks[grown_axis] = next[grown_axis];
  }
  plan->z_blocks = ck_divide_up(ck_maximum(plan->positions[0], 1), blocks[0]);
  plan->z_block = ck_divide_up(ck_maximum(plan->positions[0], 1), plan->z_blocks);
  plan->y_blocks = ck_divide_up(ck_maximum(plan->positions[1], 1), blocks[1]);
  plan->y_block = ck_divide_up(ck_maximum(plan->positions[1], 1), plan->y_blocks);
  plan->slab_size[0] = (plan->z_block - 1) * ck_axis_of(plan, 0, 0).source_step + high[0] - plan->slab_low[0] + 1;
  plan->slab_size[1] = (plan->y_block - 1) * ck_axis_of(plan, 1, 0).source_step + high[1] - plan->slab_low[1] + 1;
  // Slack for tiles that read, and copies that write, past the last pixel.
  plan->slab_floats = plan->reads_tensor ? 0 : plan->slab_size[0] * plan->slab_size[1] * row + 64;
  plan->slab_floats = (plan->slab_floats + 15) / 16 * 16;
  plan->patch_floats = plan->uses_patches ? (plan->z_block * plan->y_block * patch_row + 64 + 15) / 16 * 16 : 0;
}

/// Floats of scratch that hold `count` offsets.
static ptrdiff_t offset_floats(ptrdiff_t count) {
  return (ptrdiff_t)(count * sizeof(ptrdiff_t) / sizeof(float) + 15) / 16 * 16;
}

static void plan_direct(
    const ck_convolution_shape *shape, ck_convolution_pass pass, int is_plain, ck_convolution_plan *plan) {
  set_sides(shape, pass, plan);
  set_blocks(plan, is_plain);
  const ptrdiff_t taps = ck_kernel_taps(plan);
  plan->packed_floats = shape->groups * taps * plan->source_channels * packed_channels(plan->destination_channels);
  plan->pack_tasks = shape->groups * ck_divide_up(plan->destination_channels, SIMD_WIDTH);
  const int pixel_tasks = shape->batch * shape->groups * plan->z_blocks * plan->y_blocks;
  // Small volumes of many channels are shared by channels too.
  plan->channel_splits = ck_minimum(plan->channel_blocks, ck_maximum(1, 16 / ck_maximum(pixel_tasks, 1)));
  plan->tasks = pixel_tasks * plan->channel_splits;
  plan->scratch_floats = plan->slab_floats + plan->patch_floats + 4 * offset_floats(taps) + 64;
  plan->output_cut = TILE_CHANNELS;
  if (shape->groups == 1) plan->statistics_records = pixel_tasks;
}

static void pack_direct(const ck_convolution_plan *plan, const float *weights, float *packed, int task) {
  const ck_convolution_shape *shape = &plan->shape;
  const int taps = ck_kernel_taps(plan);
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int backward = plan->pass == CK_CONVOLUTION_INPUT_GRADIENT;
  const int vectors_of_group = ck_divide_up(destinations, SIMD_WIDTH);
  const int group = task / vectors_of_group, vector = task % vectors_of_group;
  const int block = vector / TILE_VECTORS;
  const int width = block_vectors(destinations, block) * SIMD_WIDTH;
  const int lanes = ck_minimum(SIMD_WIDTH, destinations - vector * SIMD_WIDTH);
  const ptrdiff_t group_floats = (ptrdiff_t)taps * sources * packed_channels(destinations);
  const int inputs = shape->input_channels / shape->groups, outputs = shape->output_channels / shape->groups;
  const int single = ck_phases(plan, 0) * ck_phases(plan, 1) * ck_phases(plan, 2) == 1;
  float *const lane_base = packed + group * group_floats + (vector % TILE_VECTORS) * SIMD_WIDTH;

  // In the weights, a destination channel is `row_stride` from the next, and `columns` contiguous values follow.
  const ptrdiff_t row_stride = backward ? taps : (ptrdiff_t)inputs * taps;
  const int outer = backward ? sources : 1;
  const int columns = backward ? taps : sources * taps;
  const float *first = weights + (ptrdiff_t)group * outputs * inputs * taps + (ptrdiff_t)vector * SIMD_WIDTH * row_stride;
  for (int c = 0; c < columns; c += SIMD_WIDTH) {
    const int here = ck_minimum(SIMD_WIDTH, columns - c);
    // Where each column goes for the first source channel.
    ptrdiff_t offsets[SIMD_WIDTH];
    for (int i = 0; i < here; ++i) {
      const int tap = (c + i) % taps, source = (c + i) / taps;
      int phase_taps = taps, base = 0, position = backward ? taps - 1 - tap : tap;
      if (!single) position = ck_packed_tap(plan, tap, &phase_taps, &base);
      offsets[i] = (ptrdiff_t)base * sources * packed_channels(destinations) +
                   (ptrdiff_t)block * phase_taps * sources * TILE_CHANNELS +
                   ((ptrdiff_t)position * sources + source) * width;
    }
    for (int o = 0; o < outer; ++o) {
      const float *rows = first + (ptrdiff_t)o * inputs * taps;
      simd_float tile[SIMD_WIDTH];
      if (here == SIMD_WIDTH && lanes == SIMD_WIDTH) {
        UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) tile[r] = simd_load(rows + r * row_stride + c);
      } else {
        UNROLL for (int r = 0; r < SIMD_WIDTH; ++r) {
          tile[r] = r < lanes ? simd_load_partial(rows + r * row_stride + c, here) : simd_broadcast(0);
        }
      }
      simd_transpose(tile);
      UNROLL for (int i = 0; i < SIMD_WIDTH; ++i) {
        if (i < here) simd_store(lane_base + offsets[i] + (ptrdiff_t)o * width, tile[i]);
      }
    }
  }
}

/// A source's terms for a vector of channels.
typedef struct source_terms {
  simd_float mean, scale, offset, slope;
} source_terms;

/// Terms of `lanes` channels of one instance, parts `term` apart.
ALWAYS_INLINE source_terms source_terms_of(const float *terms, ptrdiff_t term, float slope, int lanes) {
  return (source_terms){
      .mean = simd_load_lanes(terms, lanes),
      .scale = simd_load_lanes(terms + term, lanes),
      .offset = simd_load_lanes(terms + 2 * term, lanes),
      .slope = simd_broadcast(slope)};
}

/// Terms of a source's channels from `channel` on.
ALWAYS_INLINE source_terms source_terms_at(
    const ck_convolution_source *source, int batch, int image, int channel, int lanes) {
  return source_terms_of(
      source->terms + (ptrdiff_t)image * source->channels + channel, (ptrdiff_t)batch * source->channels, source->slope,
      lanes);
}

/// What is read for a value of a source with terms.
ALWAYS_INLINE simd_float read_through(simd_float value, const source_terms *terms) {
  const simd_float z = simd_multiply_add(value - terms->mean, terms->scale, terms->offset);
  const simd_float slope = terms->slope;
  // With slopes in 0 ... 1 the larger of both; where the instruction takes one of two, of equals and of NaN the latter.
#if defined(SIMD_AVX512)
  return (simd_float)_mm512_max_ps((__m512)(z * slope), (__m512)z);
#elif defined(SIMD_AVX2)
  return (simd_float)_mm256_max_ps((__m256)(z * slope), (__m256)z);
#else
  return simd_select(z > simd_broadcast(0), z, z * slope);
#endif
}

/// Copies `channels` channels from `first` on of `pixels` pixels of a source, read as its terms say.
static void read_pixels(const ck_convolution_source *source, int batch, int image, int first, int channels,
    const float *pixels_from, ptrdiff_t pixels, float *to, ptrdiff_t to_stride) {
  const ptrdiff_t stride = source->channels;
  if (!source->terms) {
    if (channels == stride && channels == to_stride) {
      memcpy(to, pixels_from, pixels * channels * sizeof(float));
    } else {
      for (ptrdiff_t x = 0; x < pixels; ++x) {
        memcpy(to + x * to_stride, pixels_from + x * stride + first, channels * sizeof(float));
      }
    }
    return;
  }
  for (int c = 0; c < channels; c += SIMD_WIDTH) {
    const int lanes = ck_minimum(SIMD_WIDTH, channels - c);
    const source_terms terms = source_terms_at(source, batch, image, first + c, lanes);
    const float *from = pixels_from + first + c;
    float *at = to + c;
    if (lanes == SIMD_WIDTH) {
      for (ptrdiff_t x = 0; x < pixels; ++x) {
        simd_store(at + x * to_stride, read_through(simd_load(from + x * stride), &terms));
      }
    } else {
      for (ptrdiff_t x = 0; x < pixels; ++x) {
        const simd_float value = simd_load_partial(from + x * stride, lanes);
        simd_store_partial(at + x * to_stride, read_through(value, &terms), lanes);
      }
    }
  }
}

/// Copies the source rows that positions from (z, y) on need, zero outside, to `slab`.
static void fill_slab(
    const ck_convolution_plan *plan, const ck_convolution_input *input, int image, int group, int z, int y, float *slab) {
  const int *size = plan->source_size;
  const int channels = plan->source_channels;
  const int z0 = z * ck_axis_of(plan, 0, 0).source_step + plan->slab_low[0];
  const int y0 = y * ck_axis_of(plan, 1, 0).source_step + plan->slab_low[1];
  const int x0 = plan->slab_low[2], width = plan->slab_size[2];
  const int from = ck_minimum(ck_maximum(x0, 0), ck_maximum(size[2], 0));
  const int to = ck_maximum(from, ck_minimum(x0 + width, size[2]));
  const ptrdiff_t row_floats = (ptrdiff_t)width * channels;
  const ptrdiff_t before = (ptrdiff_t)ck_minimum(from - x0, width) * channels;
  const ptrdiff_t inside = x0 >= size[2] ? 0 : (ptrdiff_t)(to - from) * channels;
  for (int sz = 0; sz < plan->slab_size[0]; ++sz) {
    for (int sy = 0; sy < plan->slab_size[1]; ++sy) {
      float *row = slab + ((ptrdiff_t)sz * plan->slab_size[1] + sy) * row_floats;
      const int iz = z0 + sz, iy = y0 + sy;
      if (iz < 0 || iz >= size[0] || iy < 0 || iy >= size[1] || inside <= 0) {
        memset(row, 0, row_floats * sizeof(float));
        continue;
      }
      const ptrdiff_t pixel = (((ptrdiff_t)image * size[0] + iz) * size[1] + iy) * size[2] + from;
      memset(row, 0, before * sizeof(float));
      if (input->count == 1) {
        const ck_convolution_source *source = &input->sources[0];
        read_pixels(source, plan->shape.batch, image, group * channels, channels,
            source->values + pixel * source->channels, to - from, row + before, channels);
      } else {
        float *at = row + before;
        for (int s = 0; s < input->count; ++s) {
          const ck_convolution_source *source = &input->sources[s];
          read_pixels(source, plan->shape.batch, image, 0, source->channels,
              source->values + pixel * source->channels, to - from, at, channels);
          at += source->channels;
        }
      }
      memset(row + before + inside, 0, (row_floats - before - inside) * sizeof(float));
    }
  }
  memset(slab + plan->slab_size[0] * plan->slab_size[1] * row_floats, 0, 64 * sizeof(float));
}

/// The tensor of an output that holds block `block` of channels, its channels, and the first of the block in it.
ALWAYS_INLINE float *output_of(const ck_convolution_output *output, int channel, int *channels, int *first) {
  int o = 0;
  while (o + 1 < output->count && channel >= output->channels[o]) channel -= output->channels[o++];
  *channels = output->channels[o];
  *first = channel;
  return output->values[o];
}

/// Lays out each pixel's taps in one contiguous run, for sources of few channels.
static void fill_patches(
    const ck_convolution_plan *plan, const ck_axis axes[3], int rows_z, int rows_y, const float *slab, float *patches) {
  const int channels = plan->source_channels;
  const ptrdiff_t row_floats = (ptrdiff_t)plan->slab_size[2] * channels;
  const int run = plan->run_merged ? axes[2].taps * channels : channels;
  const int runs_x = plan->run_merged ? 1 : axes[2].taps;
  const int pixels = ck_round_up(axes[2].count, TILE_GROUP);
  for (int z = 0; z < rows_z; ++z) {
    for (int y = 0; y < rows_y; ++y) {
      float *patch = patches + (ptrdiff_t)(z * plan->y_block + y) * pixels * plan->patch_stride;
      for (int jz = 0; jz < axes[0].taps; ++jz) {
        for (int jy = 0; jy < axes[1].taps; ++jy) {
          const int sz = z * axes[0].source_step + jz * axes[0].offset_step;
          const int sy = y * axes[1].source_step + jy * axes[1].offset_step;
          const float *row = slab + ((ptrdiff_t)sz * plan->slab_size[1] + sy) * row_floats;
          for (int jx = 0; jx < runs_x; ++jx) {
            const float *from = row + (ptrdiff_t)jx * axes[2].offset_step * channels;
            float *to = patch + ((jz * axes[1].taps + jy) * runs_x + jx) * run;
            const ptrdiff_t step = (ptrdiff_t)axes[2].source_step * channels;
            // In fours: what runs over is written again by the next run, and the last pixel has slack.
            for (int c = 0; c < run; c += 4) {
              for (int x = 0; x < pixels; ++x) {
                memcpy(to + (ptrdiff_t)x * plan->patch_stride + c, from + x * step + c, 4 * sizeof(float));
              }
            }
          }
        }
      }
    }
  }
}

/// The taps of one axis that read inside the source at position q.
ALWAYS_INLINE void valid_taps(const ck_axis *axis, int size, int q, int *low, int *high) {
  const int base = q * axis->source_step + axis->first_offset;
  int first = 0, last = axis->taps;
  while (first < last && base + first * axis->offset_step < 0) ++first;
  while (last > first && base + (last - 1) * axis->offset_step >= size) --last;
  if (first == last) return;
  *low = ck_minimum(*low, first);
  *high = ck_maximum(*high, last);
}

/// Fetches what the next tile of the row will read. Its lines lie in several rows, each visited many times before the
/// next, which no hardware foresees.
ALWAYS_INLINE void prefetch_tile(const tile_arguments *tile) {
  const ptrdiff_t width = TILE_SLOTS * tile->slot_stride;
  for (int s = 0; s < tile->segments; ++s) {
    const float *from = tile->source[0] + tile->source_offsets[s] + width;
    for (ptrdiff_t i = 0; i < width; i += 16) __builtin_prefetch(from + i, 0, 2);
  }
}

/// One phase of a task: all positions of z in z0..<z1, y in y0..<y1, channel blocks in b0..<b1. Whether the record
/// `starts` with it. Returns whether there were any positions.
static int run_phase(
    const ck_convolution_plan *plan, const ck_axis axes[3], const float *source, const float *packed, const float *bias,
    const ck_convolution_output *output, float *record, int starts, const float *slab, float *patches,
    ptrdiff_t *offsets, int image, int group, int z0, int z1, int y0, int y1, int b0, int b1) {
  const int sources = plan->source_channels, destinations = plan->destination_channels;
  const int phase_taps = axes[0].taps * axes[1].taps * axes[2].taps;
  const int total_taps = ck_kernel_taps(plan);
  z1 = ck_minimum(z1, axes[0].count);
  y1 = ck_minimum(y1, axes[1].count);
  if (z1 <= z0 || y1 <= y0 || axes[2].count <= 0) return 0;

  // The tensor or its copy, seen as rows of pixels.
  const ptrdiff_t pixel = plan->reads_tensor ? plan->source_stride : sources;
  const ptrdiff_t row = pixel * (plan->reads_tensor ? plan->source_size[2] : plan->slab_size[2]);
  const ptrdiff_t plane = row * (plan->reads_tensor ? plan->source_size[1] : plan->slab_size[1]);
  const float *origin = slab;
  if (plan->reads_tensor) {
    origin = source + (ptrdiff_t)image * plan->source_size[0] * plane + group * sources +
             (z0 * axes[0].source_step + plan->slab_low[0]) * plane +
             (y0 * axes[1].source_step + plan->slab_low[1]) * row + plan->slab_low[2] * pixel;
  }
  // Offsets within the slab start at its lower corner, those of the phase at its first tap.
  const float *phase_origin = origin;
  if (phase_taps > 0) {
    phase_origin += (axes[0].first_offset - plan->slab_low[0]) * plane +
                    (axes[1].first_offset - plan->slab_low[1]) * row + (axes[2].first_offset - plan->slab_low[2]) * pixel;
  }
  const int merged = plan->run_merged;
  const int runs_x = merged ? 1 : axes[2].taps;
  const int run = merged ? axes[2].taps * sources : sources;
  if (plan->uses_patches) fill_patches(plan, axes, z1 - z0, y1 - y0, slab, patches);

  ptrdiff_t *const source_offsets = offsets, *const weight_offsets = offsets + total_taps;
  ptrdiff_t *const some_source_offsets = offsets + 2 * total_taps, *const some_weight_offsets = offsets + 3 * total_taps;

  const int pixel_groups = ck_divide_up(axes[2].count, TILE_GROUP);
  const int all_groups = (z1 - z0) * (y1 - y0) * pixel_groups;
  const int *size = plan->destination_size;
  if (record && b0 == 0) record[0] += (float)((z1 - z0) * (y1 - y0) * axes[2].count);

  for (int block = b0; block < b1; ++block) {
    int destination_stride, first_channel;
    float *const destination =
        output_of(output, group * destinations + block * TILE_CHANNELS, &destination_stride, &first_channel);
    float *const image_destination =
        destination + (ptrdiff_t)image * size[0] * size[1] * size[2] * destination_stride + first_channel;
    const int vectors = block_vectors(destinations, block), width = vectors * SIMD_WIDTH;
    float block_bias[TILE_CHANNELS] = {0};
    tile_arguments tile = {
        .destination_stride = (ptrdiff_t)axes[2].step * destination_stride,
        .weights = packed + (ptrdiff_t)block * phase_taps * sources * TILE_CHANNELS,
        .lanes = block_lanes(destinations, block),
        .streams = plan->streams && (uintptr_t)destination % sizeof(simd_float) == 0,
        .moments = record ? record + 16 + block * TILE_CHANNELS : 0,
        .moment_stride = packed_channels(destinations),
        .starts = starts,
        .gradient = output->gradient,
        .origin = destination,
        .instance = image,
        .channel = first_channel,
        .channels = destination_stride,
    };
    if (bias) {
      memcpy(block_bias, bias + group * destinations + block * TILE_CHANNELS, tile.lanes * sizeof(float));
      tile.bias = block_bias;
    }
    if (plan->uses_patches) {
      source_offsets[0] = weight_offsets[0] = 0;
      tile.segments = 1;
      tile.run = phase_taps * sources;
      tile.slot_stride = plan->patch_stride;
    } else {
      int segment = 0;
      for (int jz = 0; jz < axes[0].taps; ++jz) {
        for (int jy = 0; jy < axes[1].taps; ++jy) {
          for (int jx = 0; jx < runs_x; ++jx, ++segment) {
            source_offsets[segment] =
                jz * axes[0].offset_step * plane + jy * axes[1].offset_step * row + jx * axes[2].offset_step * pixel;
            weight_offsets[segment] = (ptrdiff_t)segment * run * width;
          }
        }
      }
      tile.segments = phase_taps > 0 ? segment : 0;
      tile.run = run;
      tile.slot_stride = axes[2].source_step * pixel;
    }
    tile.source_offsets = source_offsets;
    tile.weight_offsets = weight_offsets;
    const int all_segments = tile.segments;

    int z = z0, y = y0, x = 0;
    for (int first = 0; first < all_groups; first += TILE_GROUPS) {
      const int groups = ck_minimum(TILE_GROUPS, all_groups - first);
      int z_low = axes[0].taps, z_high = 0, y_low = axes[1].taps, y_high = 0;
      for (int g = 0; g < groups; ++g) {
        int position = x * TILE_GROUP;
        const int wanted = position;
        // Reading the tensor itself, the last group steps back instead of past the row's end.
        if (plan->reads_tensor) position = ck_minimum(position, axes[2].count - TILE_GROUP);
        tile.count[g] = ck_minimum(TILE_GROUP, axes[2].count - position);
        tile.counted[g] = wanted - position;
        if (plan->uses_patches) {
          tile.source[g] = patches + ((ptrdiff_t)((z - z0) * plan->y_block + y - y0) * pixel_groups * TILE_GROUP +
                                      position) * plan->patch_stride;
        } else {
          tile.source[g] = phase_origin + (z - z0) * axes[0].source_step * plane + (y - y0) * axes[1].source_step * row +
                           position * axes[2].source_step * pixel;
          if (g == 0 || x == 0) {
            valid_taps(&axes[0], plan->source_size[0], z, &z_low, &z_high);
            valid_taps(&axes[1], plan->source_size[1], y, &y_low, &y_high);
          }
        }
        tile.destination[g] =
            image_destination +
            (((ptrdiff_t)(axes[0].start + z * axes[0].step) * size[1] + axes[1].start + y * axes[1].step) * size[2] +
             axes[2].start + position * axes[2].step) * destination_stride;
        if (++x == pixel_groups) {
          x = 0;
          if (++y == y1) {
            y = y0;
            ++z;
          }
        }
      }
      if (!plan->uses_patches) {
        // Rows of taps that lie outside the source for all pixels of the tile are left out.
        if (z_high - z_low == axes[0].taps && y_high - y_low == axes[1].taps) {
          tile.source_offsets = source_offsets;
          tile.weight_offsets = weight_offsets;
          tile.segments = all_segments;
        } else {
          int kept = 0;
          for (int jz = z_low; jz < z_high; ++jz) {
            for (int jy = y_low; jy < y_high; ++jy) {
              for (int jx = 0; jx < runs_x; ++jx, ++kept) {
                const int segment = (jz * axes[1].taps + jy) * runs_x + jx;
                some_source_offsets[kept] = source_offsets[segment];
                some_weight_offsets[kept] = weight_offsets[segment];
              }
            }
          }
          tile.source_offsets = some_source_offsets;
          tile.weight_offsets = some_weight_offsets;
          tile.segments = axes[2].taps > 0 ? kept : 0;
        }
      }
      if (plan->reads_tensor && block == b0) prefetch_tile(&tile);
      tile_pixels_table[groups - 1][vectors - 1](&tile);
      tile.starts = 0;
    }
  }
  return 1;
}

/// Whether there are so few results for a pixel (those of an output head) that vectors of output channels would be half
/// empty: then a vector holds pixels, or input channels (weight gradient).
static int is_narrow(const ck_convolution_plan *plan) {
  if (plan->pass == CK_CONVOLUTION_INPUT_GRADIENT || plan->shape.groups != 1) return 0;
  if (2 * plan->destination_channels > SIMD_WIDTH || ck_kernel_taps(plan) != 1) return 0;
  for (int a = 0; a < 3; ++a) {
    if (plan->shape.stride[a] != 1 || plan->source_size[a] != plan->destination_size[a]) return 0;
  }
  return plan->shape.padding_lower[0] == 0 && plan->shape.padding_lower[1] == 0 && plan->shape.padding_lower[2] == 0;
}

/// `all` pixels of an image one after the other; sums in the order of `tile_pixels`.
ALWAYS_INLINE void run_narrow_pixels(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const float *packed, const float *bias,
    float *destination, ptrdiff_t first, int all, int image, const int outputs) {
  for (int x = 0; x < all; x += SIMD_WIDTH) {
    const int count = ck_minimum(SIMD_WIDTH, all - x);
    simd_float sums[SIMD_WIDTH / 2];
    UNROLL for (int o = 0; o < outputs; ++o) sums[o] = simd_broadcast(bias ? bias[o] : 0);
    const float *weights = packed;
    for (const ck_convolution_source *source = input->sources; source < input->sources + input->count; ++source) {
      const int channels = source->channels;
      const float *const pixels = source->values + (first + x) * channels;
      for (int c = 0; c < channels; c += SIMD_WIDTH) {
        const int lanes = ck_minimum(SIMD_WIDTH, channels - c);
        simd_float values[SIMD_WIDTH];
        if (lanes == SIMD_WIDTH && count == SIMD_WIDTH) {
          UNROLL for (int p = 0; p < SIMD_WIDTH; ++p) values[p] = simd_load(pixels + p * channels + c);
        } else {
          for (int p = 0; p < SIMD_WIDTH; ++p) {
            values[p] = p < count ? simd_load_partial(pixels + p * channels + c, lanes) : simd_broadcast(0);
          }
        }
        if (source->terms) {
          const source_terms terms = source_terms_at(source, plan->shape.batch, image, c, lanes);
          UNROLL for (int p = 0; p < SIMD_WIDTH; ++p) values[p] = read_through(values[p], &terms);
        }
        simd_transpose(values);
        for (int k = 0; k < lanes; ++k, weights += SIMD_WIDTH) {
          UNROLL for (int o = 0; o < outputs; ++o) {
            sums[o] = simd_multiply_add(values[k], simd_load_factor(weights + o), sums[o]);
          }
        }
      }
    }
    float *const to = destination + (first + x) * outputs;
    UNROLL for (int o = 0; o < outputs; ++o) {
      for (int p = 0; p < count; ++p) to[p * outputs + o] = sums[o][p];
    }
  }
}

/// Calls CASE(outputs) for the number of results, a constant for the compiler.
#if SIMD_WIDTH >= 16
#define NARROW_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8)
#elif SIMD_WIDTH >= 8
#define NARROW_CASES(CASE) CASE(1) CASE(2) CASE(3) CASE(4)
#else
#define NARROW_CASES(CASE) CASE(1) CASE(2)
#endif

#define NARROW_RUN(outputs)                                                                              \
  case outputs:                                                                                          \
    run_narrow_pixels(plan, input, packed, bias, output->values[0], first, all, image, outputs);         \
    break;

/// All pixels of z in z0..<z1, y in y0..<y1.
static void run_narrow(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const float *packed, const float *bias,
    const ck_convolution_output *output, int image, int z0, int z1, int y0, int y1) {
  const int *size = plan->source_size, all = (y1 - y0) * size[2];
  for (int z = z0; z < z1; ++z) {
    const ptrdiff_t first = (((ptrdiff_t)image * size[0] + z) * size[1] + y0) * size[2];
    switch (plan->destination_channels) {
      NARROW_CASES(NARROW_RUN)
    }
  }
}

static void run_direct(
    const ck_convolution_plan *plan, const ck_convolution_input *input, const float *packed, const float *bias,
    const ck_convolution_output *output, float *scratch, int task) {
  const int split = task % plan->channel_splits;
  task /= plan->channel_splits;
  float *const record = output->statistics ? output->statistics + task * plan->statistics_floats : 0;
  const int y_task = task % plan->y_blocks;
  task /= plan->y_blocks;
  const int z_task = task % plan->z_blocks;
  task /= plan->z_blocks;
  const int group = task % plan->shape.groups, image = task / plan->shape.groups;
  const int z0 = z_task * plan->z_block, z1 = ck_minimum(z0 + plan->z_block, plan->positions[0]);
  const int y0 = y_task * plan->y_block, y1 = ck_minimum(y0 + plan->y_block, plan->positions[1]);
  const int b0 = (int)((long)plan->channel_blocks * split / plan->channel_splits);
  const int b1 = (int)((long)plan->channel_blocks * (split + 1) / plan->channel_splits);

  if (!record && !output->gradient && is_narrow(plan)) {
    run_narrow(plan, input, packed, bias, output, image, z0, z1, y0, y1);
    return;
  }
  float *const slab = scratch, *const patches = slab + plan->slab_floats;
  ptrdiff_t *const offsets = (ptrdiff_t *)(patches + plan->patch_floats);
  if (!plan->reads_tensor) fill_slab(plan, input, image, group, z0, y0, slab);
  const int taps = ck_kernel_taps(plan);
  const ptrdiff_t per_tap = (ptrdiff_t)plan->source_channels * packed_channels(plan->destination_channels);
  packed += group * taps * per_tap;
  int starts = 1;
  for (int pz = 0; pz < ck_phases(plan, 0); ++pz) {
    for (int py = 0; py < ck_phases(plan, 1); ++py) {
      for (int px = 0; px < ck_phases(plan, 2); ++px) {
        const ck_axis axes[3] = {ck_axis_of(plan, 0, pz), ck_axis_of(plan, 1, py), ck_axis_of(plan, 2, px)};
        if (run_phase(plan, axes, input->sources[0].values, packed, bias, output, record, starts, slab, patches,
                offsets, image, group, z0, z1, y0, y1, b0, b1)) {
          starts = 0;
        }
        packed += axes[0].taps * axes[1].taps * axes[2].taps * per_tap;
      }
    }
  }
}
