// A face for libtiff with plain structures and messages: libtiff's own accessors take variable arguments, which Swift
// cannot pass, and its messages go to handlers.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ctiff_file ctiff_file;

#define CTIFF_MESSAGE_SIZE 200

/// One image of a file.
typedef struct ctiff_page {
  uint32_t width;
  uint32_t height;
  uint16_t samples_per_pixel;
  uint16_t bits_per_sample;
  /// 1 unsigned, 2 signed, 3 floating point, others are not numbers.
  uint16_t sample_format;
  /// 1 the samples of a pixel side by side, 2 one plane after the other.
  uint16_t planar_configuration;
  /// TIFF's number of the compression scheme.
  uint16_t compression;
  /// Whether libtiff can unpack the scheme.
  int is_decodable;
  /// Strips are parts as wide as the image.
  uint32_t part_width;
  uint32_t part_height;
  uint32_t part_count;
  /// Bytes in a row of a part, and in a whole part; 0 where that is not a sensible number.
  uint64_t part_row_size;
  uint64_t part_size;
} ctiff_page;

/// Opens the file behind a descriptor, which the result owns from then on. `largest_allocation` bounds what libtiff
/// allocates for tables. Returns NULL and a message for what is no TIFF file; the descriptor is then still the caller's.
ctiff_file *ctiff_open(int descriptor, int64_t largest_allocation, char message[CTIFF_MESSAGE_SIZE]);

void ctiff_close(ctiff_file *file);

/// Describes the current page. Returns 0, or -1 with a message.
int ctiff_describe(ctiff_file *file, ctiff_page *page, char message[CTIFF_MESSAGE_SIZE]);

/// The text of the tag ImageDescription of the current page, or NULL.
const char *ctiff_description(ctiff_file *file);

/// Moves to the next page. Returns 1, 0 where there is none, or -1 with a message.
int ctiff_next(ctiff_file *file, char message[CTIFF_MESSAGE_SIZE]);

/// Unpacks a strip or tile of the current page, samples in native byte order. `size` is at most the part's size; strips at
/// the lower end are shorter. Returns 0, or -1 with a message.
int ctiff_read_part(ctiff_file *file, uint32_t part, int is_tile, void *target, uint64_t size,
                    char message[CTIFF_MESSAGE_SIZE]);

/// Whether the pages consist of tiles.
int ctiff_is_tiled(ctiff_file *file);

/// Writes grey pages of `width` times `height` unsigned integers of 1 or 2 bytes (native byte order), packed with
/// deflate, with a text in the first page's ImageDescription. The descriptor is the caller's. Returns 0, or -1 with a
/// message.
int ctiff_write(int descriptor, const void *pixels, uint32_t width, uint32_t height, uint32_t pages,
                uint16_t bytes_per_sample, const char *description, char message[CTIFF_MESSAGE_SIZE]);

#ifdef __cplusplus
}
#endif
