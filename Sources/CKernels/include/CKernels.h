// Flat-pointer SIMD kernels with run-time choice of instruction set.
// No function here allocates, starts a thread or keeps state; the only global is the cached probe.
#pragma once

#include "ck_augmentation.h"
#include "ck_convolution.h"
#include "ck_instruction_set.h"
#include "ck_movement.h"
#include "ck_normalization.h"
#include "ck_pointwise.h"
#include "ck_resampling.h"
#include "ck_reduction.h"
#include "ck_softmax.h"
