#define SIMD_PORTABLE
#include "simd_target.h"

#include "convolution_table.inc.h"

SIMD_TARGET_END
