// A face for libpng that reports errors by return value: libpng itself reports them by longjmp, which must not cross
// Swift code.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpng_image {
  uint32_t width;
  uint32_t height;
  /// Values per pixel as `cpng_read` gives them: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
  uint32_t channels;
  /// 1 or 2, the latter in native byte order.
  uint32_t bytes_per_value;
} cpng_image;

#define CPNG_MESSAGE_SIZE 200

/// Reads the header of a whole PNG file in memory. Returns 0, or -1 with a message.
int cpng_read_header(const uint8_t *bytes, size_t count, cpng_image *image, char message[CPNG_MESSAGE_SIZE]);

/// Reads the pixels, row by row, values of a pixel side by side, as Pillow does: palettes become RGB, one bit becomes
/// 0 or 1, two and four bits are scaled to eight, sixteen bits stay only where there is one channel.
/// `pixel_bytes` must be width * height * channels * bytes_per_value. Returns 0, or -1 with a message.
int cpng_read(const uint8_t *bytes, size_t count, uint8_t *pixels, size_t pixel_bytes,
              char message[CPNG_MESSAGE_SIZE]);

/// Packs a grey image of 1 or 2 bytes a value (native byte order). On success returns 0 and memory to be freed with
/// `cpng_free`.
int cpng_write_grey(const uint8_t *pixels, uint32_t width, uint32_t height, uint32_t bytes_per_value,
                    uint8_t **file, size_t *count, char message[CPNG_MESSAGE_SIZE]);

void cpng_free(uint8_t *file);

#ifdef __cplusplus
}
#endif
