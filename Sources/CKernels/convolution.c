#include "ck_convolution.h"

extern const ck_convolution_kernels ck_convolution_kernels_portable;
#if defined(__x86_64__)
extern const ck_convolution_kernels ck_convolution_kernels_avx2;
extern const ck_convolution_kernels ck_convolution_kernels_avx512;
#elif defined(__aarch64__)
extern const ck_convolution_kernels ck_convolution_kernels_neon;
#endif

const ck_convolution_kernels *ck_convolution_kernels_for(ck_instruction_set level) {
  switch (level) {
#if defined(__x86_64__)
    case CK_AVX512: return &ck_convolution_kernels_avx512;
    case CK_AVX2: return &ck_convolution_kernels_avx2;
#elif defined(__aarch64__)
    case CK_NEON: return &ck_convolution_kernels_neon;
#endif
    default: return &ck_convolution_kernels_portable;
  }
}
