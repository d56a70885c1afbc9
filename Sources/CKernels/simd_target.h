// Compiles one kernel source once per instruction set.
//
// A family of kernels lives in NAME.inc.h, written with clang vector types of SIMD_WIDTH floats, and is
// included by NAME_avx512.c, NAME_avx2.c, NAME_neon.c and NAME_portable.c. Each of those defines one of
// SIMD_AVX512, SIMD_AVX2, SIMD_NEON or SIMD_PORTABLE before including this header, and ends with
// SIMD_TARGET_END. The attribute is per function, so no compiler flag is needed.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(SIMD_AVX512) || defined(SIMD_AVX2)
#include <immintrin.h>
#endif

#if defined(SIMD_AVX512)
#define SIMD_WIDTH 16
#define SIMD_NAME(base) base##_avx512
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#define SIMD_TARGET_END _Pragma("clang attribute pop")
#elif defined(SIMD_AVX2)
#define SIMD_WIDTH 8
#define SIMD_NAME(base) base##_avx2
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define SIMD_TARGET_END _Pragma("clang attribute pop")
#elif defined(SIMD_NEON)
#define SIMD_WIDTH 4
#define SIMD_NAME(base) base##_neon
#define SIMD_TARGET_END
#elif defined(SIMD_PORTABLE)
#define SIMD_WIDTH 4
#define SIMD_NAME(base) base##_portable
#define SIMD_TARGET_END
#else
#error "define SIMD_AVX512, SIMD_AVX2, SIMD_NEON or SIMD_PORTABLE first"
#endif

typedef float simd_float __attribute__((vector_size(SIMD_WIDTH * 4), aligned(SIMD_WIDTH * 4)));
typedef float simd_float_unaligned __attribute__((vector_size(SIMD_WIDTH * 4), aligned(4)));
typedef int32_t simd_int __attribute__((vector_size(SIMD_WIDTH * 4), aligned(SIMD_WIDTH * 4)));
/// As many doubles as there are floats in a vector.
typedef double simd_double __attribute__((vector_size(SIMD_WIDTH * 8), aligned(SIMD_WIDTH * 8)));

static inline __attribute__((always_inline)) simd_float simd_load(const float *source) {
  return *(const simd_float_unaligned *)source;
}

static inline __attribute__((always_inline)) void simd_store(float *destination, simd_float value) {
  *(simd_float_unaligned *)destination = value;
}

static inline __attribute__((always_inline)) simd_float simd_broadcast(float value) {
  // Subtracting zero changes no value, so this is a broadcast; adding it would be an addition, for the sake of -0.
  return value - (simd_float){0};
}

/// a * b + c, fused where the instruction set has it; the portable level may round twice.
static inline __attribute__((always_inline)) simd_float simd_multiply_add(simd_float a, simd_float b, simd_float c) {
#if defined(SIMD_PORTABLE)
  return a * b + c;
#else
  return __builtin_elementwise_fma(a, b, c);
#endif
}

#define SIMD_INLINE static inline __attribute__((always_inline))

/// `*source` in all lanes, to be multiplied by several vectors.
SIMD_INLINE simd_float simd_load_factor(const float *source) {
#if defined(SIMD_NEON)
  // NEON multiplies by one lane of a register as fast as by a vector, while on most cores loading copies takes a turn
  // of the units that multiply. The compiler prefers the copies unless it can't see where the value came from.
  float value = *source;
  __asm__("" : "+w"(value));
  return simd_broadcast(value);
#else
  return simd_broadcast(*source);
#endif
}

/// The first `count` (1 ... SIMD_WIDTH) floats, zeros behind them; reads no memory beyond.
SIMD_INLINE simd_float simd_load_partial(const float *source, size_t count) {
#if defined(SIMD_AVX512)
  return (simd_float)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), source);
#elif defined(SIMD_AVX2)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return (simd_float)_mm256_maskload_ps(source, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes));
#else
  simd_float value = {0};
  for (size_t lane = 0; lane < count; lane++) value[lane] = source[lane];
  return value;
#endif
}

/// Stores the first `count` (1 ... SIMD_WIDTH) lanes and touches no memory beyond.
SIMD_INLINE void simd_store_partial(float *destination, simd_float value, size_t count) {
#if defined(SIMD_AVX512)
  _mm512_mask_storeu_ps(destination, (__mmask16)((1u << count) - 1), (__m512)value);
#elif defined(SIMD_AVX2)
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(destination, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes), (__m256)value);
#else
  for (size_t lane = 0; lane < count; lane++) destination[lane] = value[lane];
#endif
}

/// The first `lanes` floats, zeros behind them; at least SIMD_WIDTH are a whole vector.
SIMD_INLINE simd_float simd_load_lanes(const float *source, size_t lanes) {
  return lanes >= SIMD_WIDTH ? simd_load(source) : simd_load_partial(source, lanes);
}

/// Stores the first `lanes` lanes, of which there may be more than there are.
SIMD_INLINE void simd_store_lanes(float *destination, simd_float value, size_t lanes) {
  if (lanes >= SIMD_WIDTH)
    simd_store(destination, value);
  else
    simd_store_partial(destination, value, lanes);
}

/// `a` where the mask's lanes are all ones, `b` where they are zero.
SIMD_INLINE simd_float simd_select(simd_int mask, simd_float a, simd_float b) {
  return (simd_float)((mask & (simd_int)a) | (~mask & (simd_int)b));
}

/// values[places[i]] in lane i; places are below SIMD_WIDTH.
SIMD_INLINE simd_int simd_permute(simd_int values, simd_int places) {
#if defined(SIMD_AVX512)
  return (simd_int)_mm512_permutexvar_epi32((__m512i)places, (__m512i)values);
#elif defined(SIMD_AVX2)
  return (simd_int)_mm256_permutevar8x32_epi32((__m256i)values, (__m256i)places);
#else
  simd_int result;
  for (int lane = 0; lane < SIMD_WIDTH; lane++) result[lane] = values[places[lane]];
  return result;
#endif
}

/// The larger of both; NaN if one is.
SIMD_INLINE simd_float simd_maximum(simd_float a, simd_float b) {
  return simd_select((a > b) | (a != a), a, b);
}

/// The smaller of both; NaN if one is.
SIMD_INLINE simd_float simd_minimum(simd_float a, simd_float b) {
  return simd_select((a < b) | (a != a), a, b);
}

// A macro, because vectors this wide are not passed to functions in the same way at every level.
#define simd_widen(value) __builtin_convertvector(value, simd_double)

/// The sum of the lanes in double precision, in lane order.
SIMD_INLINE double simd_sum_lanes(simd_float value) {
  double sum = 0;
  for (int lane = 0; lane < SIMD_WIDTH; lane++) sum += (double)value[lane];
  return sum;
}
