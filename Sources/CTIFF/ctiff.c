#include "CTIFF.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>
#include <unistd.h>

struct ctiff_file {
  TIFF *tiff;
  /// The first message since it was last emptied.
  char message[CTIFF_MESSAGE_SIZE];
};

// 4.5.0, which brought handlers and limits for each file.
#define CTIFF_HAS_OPTIONS (TIFFLIB_VERSION >= 20221213)

#if CTIFF_HAS_OPTIONS
static int on_error(TIFF *tiff, void *context, const char *module, const char *format, va_list arguments) {
  (void)tiff;
  (void)module;
  ctiff_file *file = context;
  if (file->message[0] == 0) vsnprintf(file->message, sizeof file->message, format, arguments);
  return 1;
}

static int on_warning(TIFF *tiff, void *context, const char *module, const char *format, va_list arguments) {
  (void)tiff;
  (void)context;
  (void)module;
  (void)format;
  (void)arguments;
  return 1;
}
#endif

static void take_message(ctiff_file *file, char message[CTIFF_MESSAGE_SIZE]) {
  const char *text = file->message[0] ? file->message : "libtiff gave no reason";
  snprintf(message, CTIFF_MESSAGE_SIZE, "%s", text);
  file->message[0] = 0;
}

static ctiff_file *open_descriptor(int descriptor, const char *mode, int64_t largest_allocation,
                                   char message[CTIFF_MESSAGE_SIZE]) {
  ctiff_file *file = calloc(1, sizeof *file);
  if (!file) {
    snprintf(message, CTIFF_MESSAGE_SIZE, "no memory");
    return NULL;
  }
#if CTIFF_HAS_OPTIONS
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (options) {
    if (largest_allocation > 0) TIFFOpenOptionsSetMaxSingleMemAlloc(options, largest_allocation);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, file);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, file);
    file->tiff = TIFFFdOpenExt(descriptor, "image", mode, options);
    TIFFOpenOptionsFree(options);
  }
#else
  // Without handlers of a file's own the reasons are lost, but nothing is printed.
  (void)largest_allocation;
  TIFFSetErrorHandler(NULL);
  TIFFSetWarningHandler(NULL);
  file->tiff = TIFFFdOpen(descriptor, "image", mode);
#endif
  if (!file->tiff) {
    take_message(file, message);
    free(file);
    return NULL;
  }
  return file;
}

ctiff_file *ctiff_open(int descriptor, int64_t largest_allocation, char message[CTIFF_MESSAGE_SIZE]) {
  // m: no memory mapping, which would turn a file cut short under our eyes into a signal.
  return open_descriptor(descriptor, "rm", largest_allocation, message);
}

void ctiff_close(ctiff_file *file) {
  TIFFClose(file->tiff);
  free(file);
}

int ctiff_describe(ctiff_file *file, ctiff_page *page, char message[CTIFF_MESSAGE_SIZE]) {
  TIFF *tiff = file->tiff;
  memset(page, 0, sizeof *page);
  file->message[0] = 0;
  if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &page->width) ||
      !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &page->height) || page->width == 0 || page->height == 0) {
    snprintf(message, CTIFF_MESSAGE_SIZE, "a page without a size");
    return -1;
  }
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &page->samples_per_pixel);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &page->bits_per_sample);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &page->sample_format);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &page->planar_configuration);
  TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &page->compression);
  page->is_decodable = TIFFIsCODECConfigured(page->compression);
  tmsize_t row_size, part_size;
  if (TIFFIsTiled(tiff)) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &page->part_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &page->part_height);
    page->part_count = TIFFNumberOfTiles(tiff);
    row_size = TIFFTileRowSize(tiff);
    part_size = TIFFTileSize(tiff);
  } else {
    uint32_t rows = page->height;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
    page->part_width = page->width;
    page->part_height = rows < page->height ? rows : page->height;
    page->part_count = TIFFNumberOfStrips(tiff);
    row_size = TIFFScanlineSize(tiff);
    part_size = TIFFStripSize(tiff);
  }
  page->part_row_size = row_size > 0 ? (uint64_t)row_size : 0;
  page->part_size = part_size > 0 ? (uint64_t)part_size : 0;
  return 0;
}

const char *ctiff_description(ctiff_file *file) {
  char *text = NULL;
  return TIFFGetField(file->tiff, TIFFTAG_IMAGEDESCRIPTION, &text) ? text : NULL;
}

int ctiff_next(ctiff_file *file, char message[CTIFF_MESSAGE_SIZE]) {
  if (TIFFLastDirectory(file->tiff)) return 0;
  file->message[0] = 0;
  if (TIFFReadDirectory(file->tiff)) return 1;
  take_message(file, message);
  return -1;
}

int ctiff_is_tiled(ctiff_file *file) { return TIFFIsTiled(file->tiff); }

int ctiff_read_part(ctiff_file *file, uint32_t part, int is_tile, void *target, uint64_t size,
                    char message[CTIFF_MESSAGE_SIZE]) {
  file->message[0] = 0;
  tmsize_t wanted = (tmsize_t)size;
  tmsize_t found = is_tile ? TIFFReadEncodedTile(file->tiff, part, target, wanted)
                           : TIFFReadEncodedStrip(file->tiff, part, target, wanted);
  if (found == wanted) return 0;
  if (file->message[0] == 0 && found >= 0) {
    snprintf(message, CTIFF_MESSAGE_SIZE, "part %u has %lld bytes instead of %lld", part, (long long)found,
             (long long)wanted);
  } else {
    take_message(file, message);
  }
  return -1;
}

int ctiff_write(int descriptor, const void *pixels, uint32_t width, uint32_t height, uint32_t pages,
                uint16_t bytes_per_sample, const char *description, char message[CTIFF_MESSAGE_SIZE]) {
  uint64_t row_size = (uint64_t)width * bytes_per_sample;
  // 8: BigTIFF, where the offsets of an ordinary file might not suffice.
  int is_big = row_size * height * pages > (uint64_t)1 << 31;
  // libtiff closes what it is given.
  int copy = dup(descriptor);
  ctiff_file *file = copy < 0 ? NULL : open_descriptor(copy, is_big ? "w8" : "w", 0, message);
  if (!file) {
    if (copy < 0) snprintf(message, CTIFF_MESSAGE_SIZE, "no descriptor left");
    if (copy >= 0) close(copy);
    return -1;
  }
  TIFF *tiff = file->tiff;
  uint32_t rows = row_size ? (uint32_t)(((uint64_t)1 << 18) / row_size) : 1;
  if (rows < 1) rows = 1;
  if (rows > height) rows = height;
  int succeeded = 1;
  for (uint32_t page = 0; page < pages && succeeded; page++) {
    succeeded = TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, width) && TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, height) &&
                TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, bytes_per_sample * 8) &&
                TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1) &&
                TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT) &&
                TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK) &&
                TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
                TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE) &&
                TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, rows) &&
                (page > 0 || TIFFSetField(tiff, TIFFTAG_IMAGEDESCRIPTION, description));
    const uint8_t *plane = (const uint8_t *)pixels + (uint64_t)page * height * row_size;
    for (uint32_t row = 0, strip = 0; row < height && succeeded; row += rows, strip++) {
      uint32_t count = height - row < rows ? height - row : rows;
      // libtiff does not change what it writes, but does not say so.
      void *source = (void *)(plane + row * row_size);
      succeeded = TIFFWriteEncodedStrip(tiff, strip, source, (tmsize_t)(count * row_size)) >= 0;
    }
    succeeded = succeeded && TIFFWriteDirectory(tiff);
  }
  if (!succeeded) take_message(file, message);
  ctiff_close(file);
  return succeeded ? 0 : -1;
}
