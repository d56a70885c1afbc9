#include "ck_softmax.h"

extern const ck_softmax_kernels ck_softmax_portable;
#if defined(__x86_64__)
extern const ck_softmax_kernels ck_softmax_avx2, ck_softmax_avx512;
#elif defined(__aarch64__)
extern const ck_softmax_kernels ck_softmax_neon;
#endif

const ck_softmax_kernels *ck_softmax_kernels_for(ck_instruction_set level) {
#if defined(__x86_64__)
  if (level >= CK_AVX512) return &ck_softmax_avx512;
  if (level >= CK_AVX2) return &ck_softmax_avx2;
#elif defined(__aarch64__)
  if (level >= CK_NEON) return &ck_softmax_neon;
#endif
  (void)level;
  return &ck_softmax_portable;
}
