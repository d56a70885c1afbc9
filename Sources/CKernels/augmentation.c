#include "ck_augmentation.h"

extern const ck_augmentation_kernels ck_augmentation_portable;
#if defined(__x86_64__)
extern const ck_augmentation_kernels ck_augmentation_avx2, ck_augmentation_avx512;
#elif defined(__aarch64__)
extern const ck_augmentation_kernels ck_augmentation_neon;
#endif

const ck_augmentation_kernels *ck_augmentation_kernels_for(ck_instruction_set level) {
#if defined(__x86_64__)
  if (level >= CK_AVX512) return &ck_augmentation_avx512;
  if (level >= CK_AVX2) return &ck_augmentation_avx2;
#elif defined(__aarch64__)
  if (level >= CK_NEON) return &ck_augmentation_neon;
#endif
  (void)level;
  return &ck_augmentation_portable;
}
