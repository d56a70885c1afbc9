#define SIMD_PORTABLE
#include "simd_target.h"
#include "resampling.inc.h"
SIMD_TARGET_END
