#if defined(__x86_64__)
#define SIMD_AVX512
#include "simd_target.h"
#include "augmentation.inc.h"
SIMD_TARGET_END
#endif
