#define SIMD_PORTABLE
#include "simd_target.h"
#include "reduction.inc.h"
SIMD_TARGET_END
