#define SIMD_PORTABLE
#include "simd_target.h"
#include "normalization.inc.h"
SIMD_TARGET_END
