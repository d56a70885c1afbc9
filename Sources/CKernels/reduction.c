#include "ck_reduction.h"

extern const ck_reduction_kernels ck_reduction_portable;
#if defined(__x86_64__)
extern const ck_reduction_kernels ck_reduction_avx2, ck_reduction_avx512;
#elif defined(__aarch64__)
extern const ck_reduction_kernels ck_reduction_neon;
#endif

const ck_reduction_kernels *ck_reduction_kernels_for(ck_instruction_set level) {
#if defined(__x86_64__)
  if (level >= CK_AVX512) return &ck_reduction_avx512;
  if (level >= CK_AVX2) return &ck_reduction_avx2;
#elif defined(__aarch64__)
  if (level >= CK_NEON) return &ck_reduction_neon;
#endif
  (void)level;
  return &ck_reduction_portable;
}
