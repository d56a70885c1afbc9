#include "ck_convolution.h"

extern const ck_convolution_kernels ck_convolution_kernels_portable;
#if defined(__x86_64__)
extern const ck_convolution_kernels ck_convolution_kernels_avx2;
extern const ck_convolution_kernels ck_convolution_kernels_avx512;
#elif defined(__aarch64__)
extern const ck_convolution_kernels ck_convolution_kernels_neon;
#endif

const ck_convolution_kernels *ck_convolution_kernels_for(ck_instruction_set level) {
#if defined(__x86_64__)
  if (level >= CK_AVX512) return &ck_convolution_kernels_avx512;
  if (level >= CK_AVX2) return &ck_convolution_kernels_avx2;
#elif defined(__aarch64__)
  if (level >= CK_NEON) return &ck_convolution_kernels_neon;
#endif
  (void)level;
  return &ck_convolution_kernels_portable;
}
