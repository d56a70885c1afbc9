// Movement kernels for one instruction set; see simd_target.h.
#include "ck_movement.h"

static void SIMD_NAME(copy_rows)(
    void *destination, size_t destination_stride, const void *source, size_t source_stride, size_t row_bytes,
    size_t rows) {
  char *to = destination;
  const char *from = source;
  // A library call a row costs more than short rows do.
  if (row_bytes % sizeof(simd_float) == 0 && row_bytes <= 2048) {
    for (size_t row = 0; row < rows; row++, to += destination_stride, from += source_stride)
      for (size_t i = 0; i < row_bytes; i += sizeof(simd_float))
        simd_store((float *)(to + i), simd_load((const float *)(from + i)));
  } else if (row_bytes % 4 == 0 && row_bytes <= 64) {
    for (size_t row = 0; row < rows; row++, to += destination_stride, from += source_stride)
      for (size_t i = 0; i < row_bytes; i += 4) memcpy(to + i, from + i, 4);
  } else {
    for (size_t row = 0; row < rows; row++, to += destination_stride, from += source_stride)
      memcpy(to, from, row_bytes);
  }
}

#if SIMD_WIDTH >= 8
typedef float SIMD_NAME(eight) __attribute__((vector_size(32), aligned(4)));

SIMD_INLINE void SIMD_NAME(transpose_tile)(float *to, size_t to_stride, const float *from, size_t from_stride) {
  SIMD_NAME(eight) a[8], b[8];
  for (int i = 0; i < 8; i++) a[i] = *(const SIMD_NAME(eight) *)(from + i * from_stride);
  for (int i = 0; i < 8; i += 2) {
    b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; j++) {
      a[i + j] = __builtin_shufflevector(b[i + j], b[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      a[i + j + 2] = __builtin_shufflevector(b[i + j], b[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int j = 0; j < 4; j++) {
    *(SIMD_NAME(eight) *)(to + j * to_stride) = __builtin_shufflevector(a[j], a[j + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    *(SIMD_NAME(eight) *)(to + (j + 4) * to_stride) =
        __builtin_shufflevector(a[j], a[j + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}
#else
SIMD_INLINE void SIMD_NAME(transpose_tile)(float *to, size_t to_stride, const float *from, size_t from_stride) {
  for (int i = 0; i < 8; i++)
    for (int j = 0; j < 8; j++) to[j * to_stride + i] = from[i * from_stride + j];
}
#endif

static void SIMD_NAME(transpose)(
    float *destination, size_t destination_stride, const float *source, size_t source_stride, size_t rows,
    size_t columns) {
  size_t row = 0;
  for (; row + 8 <= rows; row += 8) {
    size_t column = 0;
    for (; column + 8 <= columns; column += 8)
      SIMD_NAME(transpose_tile)(
          destination + column * destination_stride + row, destination_stride, source + row * source_stride + column,
          source_stride);
    for (; column < columns; column++)
      for (size_t i = 0; i < 8; i++)
        destination[column * destination_stride + row + i] = source[(row + i) * source_stride + column];
  }
  for (; row < rows; row++)
    for (size_t column = 0; column < columns; column++)
      destination[column * destination_stride + row] = source[row * source_stride + column];
}

/// Floats ahead of the one read: rows come from as many places as there are row taps, more than a processor foresees.
enum { SIMD_NAME(prefetch_distance) = 256 };

/// One column's channels from `c` on: `vectors` vectors of `lanes` lanes.
SIMD_INLINE void SIMD_NAME(weighted_column)(
    float *result, const float *base, ck_weighted_taps rows, const ck_weighted_tap *columns, size_t column_count,
    size_t vectors, size_t lanes) {
  simd_float sum[2] = {{0}};
  for (size_t row = 0; row < rows.count; row++) {
    const float *from = base + rows.taps[row].offset;
    const float row_weight = rows.taps[row].weight;
    for (size_t column = 0; column < column_count; column++) {
      const simd_float weight = simd_broadcast(row_weight * columns[column].weight);
      for (size_t v = 0; v < vectors; v++) {
        const float *place = from + columns[column].offset + v * SIMD_WIDTH;
        __builtin_prefetch(place + SIMD_NAME(prefetch_distance));
        sum[v] = simd_multiply_add(simd_load_lanes(place, lanes), weight, sum[v]);
      }
    }
  }
  for (size_t v = 0; v < vectors; v++) simd_store_lanes(result + v * SIMD_WIDTH, sum[v], lanes);
}

static void SIMD_NAME(weighted_columns)(
    float *result, const float *base, ck_weighted_taps rows, const ck_weighted_tap *taps, const size_t *first_tap,
    size_t columns, size_t channels) {
  for (size_t column = 0; column < columns; column++, result += channels) {
    const ck_weighted_tap *own = taps + first_tap[column];
    const size_t count = first_tap[column + 1] - first_tap[column];
    size_t c = 0;
    for (; c + 2 * SIMD_WIDTH <= channels; c += 2 * SIMD_WIDTH)
      SIMD_NAME(weighted_column)(result + c, base + c, rows, own, count, 2, SIMD_WIDTH);
    for (; c + SIMD_WIDTH <= channels; c += SIMD_WIDTH)
      SIMD_NAME(weighted_column)(result + c, base + c, rows, own, count, 1, SIMD_WIDTH);
    if (c < channels) SIMD_NAME(weighted_column)(result + c, base + c, rows, own, count, 1, channels - c);
  }
}

const ck_movement_kernels SIMD_NAME(ck_movement) = {
    .copy_rows = SIMD_NAME(copy_rows),
    .transpose = SIMD_NAME(transpose),
    .weighted_columns = SIMD_NAME(weighted_columns),
};
