#pragma once

// The initialisers of zlib are macros, which Swift does not import.

#include <string.h>
#include <zlib.h>

/// `window_bits` as in zlib: -15 for a raw deflate stream, 31 for gzip.
static inline int czlib_inflate_init(z_stream *stream, int window_bits) {
  memset(stream, 0, sizeof(*stream));
  return inflateInit2(stream, window_bits);
}

static inline int czlib_deflate_init(z_stream *stream, int level, int window_bits) {
  memset(stream, 0, sizeof(*stream));
  return deflateInit2(stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
}
