#define SIMD_PORTABLE
#include "simd_target.h"
#include "augmentation.inc.h"
SIMD_TARGET_END
