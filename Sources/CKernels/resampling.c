#include "ck_resampling.h"

extern const ck_resampling_kernels ck_resampling_portable;
#if defined(__x86_64__)
extern const ck_resampling_kernels ck_resampling_avx2, ck_resampling_avx512;
#elif defined(__aarch64__)
extern const ck_resampling_kernels ck_resampling_neon;
#endif

const ck_resampling_kernels *ck_resampling_kernels_for(ck_instruction_set level) {
#if defined(__x86_64__)
  if (level >= CK_AVX512) return &ck_resampling_avx512;
  if (level >= CK_AVX2) return &ck_resampling_avx2;
#elif defined(__aarch64__)
  if (level >= CK_NEON) return &ck_resampling_neon;
#endif
  (void)level;
  return &ck_resampling_portable;
}
