#define SIMD_PORTABLE
#include "simd_target.h"
#include "pointwise.inc.h"
SIMD_TARGET_END
