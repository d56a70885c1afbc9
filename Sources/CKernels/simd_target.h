// Compiles one kernel source once per instruction set.
//
// A family of kernels lives in NAME.inc.h, written with clang vector types of SIMD_WIDTH floats, and is
// included by NAME_avx512.c, NAME_avx2.c, NAME_neon.c and NAME_portable.c. Each of those defines one of
// SIMD_AVX512, SIMD_AVX2, SIMD_NEON or SIMD_PORTABLE before including this header, and ends with
// SIMD_TARGET_END. The attribute is per function, so no compiler flag is needed.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

static inline __attribute__((always_inline)) simd_float simd_load(const float *source) {
  return *(const simd_float_unaligned *)source;
}

static inline __attribute__((always_inline)) void simd_store(float *destination, simd_float value) {
  *(simd_float_unaligned *)destination = value;
}

static inline __attribute__((always_inline)) simd_float simd_broadcast(float value) {
  return (simd_float){0} + value;
}

/// a * b + c, fused where the instruction set has it; the portable level may round twice.
static inline __attribute__((always_inline)) simd_float simd_multiply_add(simd_float a, simd_float b, simd_float c) {
#if defined(SIMD_PORTABLE)
  return a * b + c;
#else
  return __builtin_elementwise_fma(a, b, c);
#endif
}
