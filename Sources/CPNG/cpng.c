#include "CPNG.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

typedef struct cpng_stream {
  const uint8_t *bytes;
  size_t count;
  size_t position;
} cpng_stream;

typedef struct cpng_sink {
  uint8_t *bytes;
  size_t count;
  size_t capacity;
} cpng_sink;

static void on_error(png_structp png, png_const_charp text) {
  char *message = png_get_error_ptr(png);
  strncpy(message, text, CPNG_MESSAGE_SIZE - 1);
  message[CPNG_MESSAGE_SIZE - 1] = 0;
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

static void take(png_structp png, png_bytep target, png_size_t count) {
  cpng_stream *stream = png_get_io_ptr(png);
  if (stream->count - stream->position < count) png_error(png, "the file ends too early");
  memcpy(target, stream->bytes + stream->position, count);
  stream->position += count;
}

static void give(png_structp png, png_bytep source, png_size_t count) {
  cpng_sink *sink = png_get_io_ptr(png);
  if (sink->capacity - sink->count < count) {
    size_t capacity = sink->capacity * 2 + count + 4096;
    uint8_t *bytes = realloc(sink->bytes, capacity);
    if (!bytes) png_error(png, "no memory");
    sink->bytes = bytes;
    sink->capacity = capacity;
  }
  memcpy(sink->bytes + sink->count, source, count);
  sink->count += count;
}

static void no_flush(png_structp png) { (void)png; }

/// Reads the header and asks for the transformations.
static void prepare(png_structp png, png_infop info, cpng_image *image) {
  png_read_info(png, info);
  int depth = png_get_bit_depth(png, info), color = png_get_color_type(png, info);
  if (color == PNG_COLOR_TYPE_PALETTE) {
    // A transparent palette entry would become a fourth channel; Pillow leaves it out.
    png_set_palette_to_rgb(png);
    png_set_strip_alpha(png);
  }
  if (color == PNG_COLOR_TYPE_GRAY && depth == 1) png_set_packing(png);
  if (color == PNG_COLOR_TYPE_GRAY && (depth == 2 || depth == 4)) png_set_expand_gray_1_2_4_to_8(png);
  if (depth == 16) {
    if (color == PNG_COLOR_TYPE_GRAY) {
      uint16_t one = 1;
      if (*(uint8_t *)&one) png_set_swap(png);
    } else {
      png_set_strip_16(png);
    }
  }
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  image->width = png_get_image_width(png, info);
  image->height = png_get_image_height(png, info);
  image->channels = png_get_channels(png, info);
  image->bytes_per_value = png_get_bit_depth(png, info) == 16 ? 2 : 1;
}

static int read_file(const uint8_t *bytes, size_t count, cpng_image *image, uint8_t *pixels, size_t pixel_bytes,
                     char message[CPNG_MESSAGE_SIZE]) {
  strcpy(message, "no memory");
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
  if (!png) return -1;
  png_infop info = png_create_info_struct(png);
  cpng_stream stream = {bytes, count, 0};
  // Changed between setjmp and longjmp.
  png_bytep *volatile rows = NULL;
  if (!info || setjmp(png_jmpbuf(png))) {
    free((void *)rows);
    png_destroy_read_struct(&png, &info, NULL);
    return -1;
  }
  png_set_read_fn(png, &stream, take);
  prepare(png, info, image);
  if (pixels) {
    size_t row_bytes = png_get_rowbytes(png, info);
    if (row_bytes != (size_t)image->width * image->channels * image->bytes_per_value ||
        row_bytes * image->height != pixel_bytes) {
      png_error(png, "the header changed");
    }
    rows = malloc(sizeof(png_bytep) * image->height);
    if (!rows) png_error(png, "no memory");
    for (size_t y = 0; y < image->height; y++) rows[y] = pixels + y * row_bytes;
    png_read_image(png, rows);
    png_read_end(png, NULL);
    free((void *)rows);
    rows = NULL;
  }
  png_destroy_read_struct(&png, &info, NULL);
  return 0;
}

int cpng_read_header(const uint8_t *bytes, size_t count, cpng_image *image, char message[CPNG_MESSAGE_SIZE]) {
  return read_file(bytes, count, image, NULL, 0, message);
}

int cpng_read(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t pixel_bytes,
              char message[CPNG_MESSAGE_SIZE]) {
  cpng_image image;
  return read_file(bytes, count, &image, pixels, pixel_bytes, message);
}

int cpng_write_grey(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t bytes_per_value,
                    uint8_t **file, size_t *count, char message[CPNG_MESSAGE_SIZE]) {
  strcpy(message, "no memory");
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, on_error, on_warning);
  if (!png) return -1;
  png_infop info = png_create_info_struct(png);
  cpng_sink sink = {NULL, 0, 0};
  if (!info || setjmp(png_jmpbuf(png))) {
    free(sink.bytes);
    png_destroy_write_struct(&png, &info);
    return -1;
  }
  png_set_write_fn(png, &sink, give, no_flush);
  png_set_IHDR(png, info, width, height, bytes_per_value == 2 ? 16 : 8, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  uint16_t one = 1;
  if (bytes_per_value == 2 && *(uint8_t *)&one) png_set_swap(png);
  for (size_t y = 0; y < height; y++) png_write_row(png, pixels + y * width * bytes_per_value);
  png_write_end(png, NULL);
  png_destroy_write_struct(&png, &info);
  *file = sink.bytes;
  *count = sink.count;
  return 0;
}

void cpng_free(uint8_t *file) { free(file); }
