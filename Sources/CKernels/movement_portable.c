#define SIMD_PORTABLE
#include "simd_target.h"
#include "movement.inc.h"
SIMD_TARGET_END
