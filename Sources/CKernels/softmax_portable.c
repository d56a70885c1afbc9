#define SIMD_PORTABLE
#include "simd_target.h"
#include "softmax.inc.h"
SIMD_TARGET_END
