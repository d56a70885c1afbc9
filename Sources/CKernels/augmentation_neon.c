#if defined(__aarch64__)
#define SIMD_NEON
#include "simd_target.h"
#include "augmentation.inc.h"
SIMD_TARGET_END
#endif
