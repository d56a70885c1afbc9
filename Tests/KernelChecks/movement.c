// Copies and turns are exact; weighted columns are sums of a few products.
#include "checks.h"

static void check_copy_rows(const ck_movement_kernels *kernels) {
  static const size_t widths[] = {1,  2,  3,  4,  6,   8,   12,  16,  20,  28,  32,   36,   48,  60,
                                  64, 68, 80, 96, 100, 128, 132, 160, 320, 512, 2048, 2052, 4096};
  for (size_t w = 0; w < COUNT_OF(widths); w++) {
    for (size_t gap = 0; gap <= 12; gap += 12) {
      const size_t width = widths[w], rows = 5, to_stride = width + gap, from_stride = width + 2 * gap;
      begin_case("copy_rows", "5 rows of %zu bytes, %zu apart", width, to_stride);
      const size_t from_bytes = (rows - 1) * from_stride + width, to_bytes = (rows - 1) * to_stride + width;
      unsigned char *from = guarded(from_bytes, 1), *to = guarded(to_bytes, 1), *expected = guarded(to_bytes, 1);
      for (size_t i = 0; i < from_bytes; i++) from[i] = (unsigned char)random_below(256);
      for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < width; i++) expected[row * to_stride + i] = from[row * from_stride + i];
      kernels->copy_rows(to, to_stride, from, from_stride, width, rows);
      expect_same(to, expected, to_bytes);
      release_guarded();
    }
  }
}

static void check_transpose(const ck_movement_kernels *kernels) {
  static const size_t extents[] = {1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 33};
  for (size_t r = 0; r < COUNT_OF(extents); r++) {
    for (size_t c = 0; c < COUNT_OF(extents); c++) {
      for (size_t gap = 0; gap <= 3; gap += 3) {
        const size_t rows = extents[r], columns = extents[c];
        begin_case("transpose", "%zu x %zu, strides with %zu more", rows, columns, gap);
        const size_t to_stride = rows + gap, from_stride = columns + 2 * gap;
        const size_t to_count = (columns - 1) * to_stride + rows;
        const float *from = random_floats((rows - 1) * from_stride + columns, -1, 1);
        float *to = guarded_floats(to_count), *expected = guarded_floats(to_count);
        for (size_t row = 0; row < rows; row++)
          for (size_t column = 0; column < columns; column++)
            expected[column * to_stride + row] = from[row * from_stride + column];
        kernels->transpose(to, to_stride, from, from_stride, rows, columns);
        expect_same(to, expected, to_count * sizeof(float));
        release_guarded();
      }
    }
  }
}

static void check_weighted_columns(const ck_movement_kernels *kernels) {
  static const size_t channels[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 64, 80}, taps[] = {1, 2, 4, 9};
  enum { columns = 3 };
  for (size_t c = 0; c < COUNT_OF(channels); c++) {
    for (size_t t = 0; t < COUNT_OF(taps); t++) {
      begin_case("weighted_columns", "%zu rows of %zu channels", taps[t], channels[c]);
      const size_t places = 11, width = channels[c];
      const float *base = random_floats(2 * places * width, -1, 1);
      // Columns of 0, 1 and 2 taps.
      static const size_t first[columns + 1] = {0, 0, 1, 3};
      ck_weighted_tap rows[9], own[3];
      for (size_t i = 0; i < taps[t]; i++)
        rows[i] = (ck_weighted_tap){(ptrdiff_t)(random_below(places) * width), (float)random_number(-1, 1)};
      for (size_t i = 0; i < COUNT_OF(own); i++)
        own[i] = (ck_weighted_tap){(ptrdiff_t)(random_below(places + 1) * width), (float)random_number(-1, 1)};
      double *expected = guarded_doubles(columns * width);
      float *result = guarded_floats(columns * width);
      for (size_t i = 0; i < columns * width; i++) {
        expected[i] = 0;
        for (size_t row = 0; row < taps[t]; row++)
          for (size_t tap = first[i / width]; tap < first[i / width + 1]; tap++)
            expected[i] += (double)rows[row].weight * own[tap].weight *
                base[rows[row].offset + own[tap].offset + (ptrdiff_t)(i % width)];
      }
      kernels->weighted_columns(
          result, base, (ck_weighted_taps){rows, taps[t]}, own, first, columns, channels[c]);
      expect_close(result, expected, columns * width, 2e-7, 2 * (double)taps[t]);
      release_guarded();
    }
  }
}

static void check(ck_instruction_set level) {
  const ck_movement_kernels *kernels = ck_movement_kernels_for(level);
  check_copy_rows(kernels);
  check_transpose(kernels);
  check_weighted_columns(kernels);
}

const check_family movement_family = {"movement", TABLE_OPERATIONS(ck_movement_kernels), check};
