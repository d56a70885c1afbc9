// Elementwise kernels for one instruction set; see simd_target.h.
#include "ck_pointwise.h"

static void SIMD_NAME(add)(float *result, const float *a, const float *b, size_t count) {
  size_t i = 0;
  for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) simd_store(result + i, simd_load(a + i) + simd_load(b + i));
  for (; i < count; i++) result[i] = a[i] + b[i];
}

const ck_pointwise_kernels SIMD_NAME(ck_pointwise) = {
    .add = SIMD_NAME(add),
};
