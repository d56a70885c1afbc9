// What the kernel checks share: levels, random values, guarded memory, comparators and counts.
//
// A family of kernels is one file with one function, run once for each instruction-set level. Every case names the
// operation it checks; at the end, the operations that had a case must be as many as the table has.
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "CKernels.h"

typedef struct check_family {
  const char *name;
  /// The number of operations in the family's table.
  size_t operations;
  void (*check)(ck_instruction_set level);
} check_family;

extern const check_family augmentation_family, convolution_family, movement_family, normalization_family,
    pointwise_family, reduction_family, resampling_family, softmax_family;

/// The operations of a table that holds nothing but function pointers.
#define TABLE_OPERATIONS(table) (sizeof(table) / sizeof(void (*)(void)))

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/// Runs a family at a level and prints how many cases it had; returns how many failed, never 0 if there was no case.
int check_family_run(const check_family *family, ck_instruction_set level);

/// Ends the case before and starts one for `operation`; the format describes it.
void begin_case(const char *operation, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Fails the case unless `condition` holds.
void expect(int condition, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// Compares every element: the error is at most `tolerance` times `scale`, or times the largest expected magnitude
/// where `scale` is 0. Where NaN or an infinity is expected, the same must be there; elsewhere only finite numbers
/// pass.
void expect_close(const float *actual, const double *expected, size_t count, double tolerance, double scale);

/// Compares every element: the error is at most `tolerance` times the expected magnitude, plus `floor`.
void expect_relative(const float *actual, const double *expected, size_t count, double tolerance, double floor);

/// Compares one number that is not an array's.
void expect_number(double actual, double expected, double allowed);

/// Compares bytes.
void expect_same(const void *actual, const void *expected, size_t bytes);

/// Whether the comparators reject what they must reject.
int comparators_reject(void);

/// `bytes` of memory, all bits set (NaN in every float), that end less than `alignment` bytes before an unreadable
/// page. Lives until `release_guarded`.
void *guarded(size_t bytes, size_t alignment);

/// Releases all guarded memory; fails the case if the bytes around it are not as they were.
void release_guarded(void);

/// Floats that end at an unreadable page.
float *guarded_floats(size_t count);
double *guarded_doubles(size_t count);

/// Restarts the random numbers, so that all levels see the same.
void seed_random(uint64_t seed);
/// Uniform in [low, high).
double random_number(double low, double high);
uint32_t random_below(uint32_t bound);
/// Guarded floats, uniform in [low, high).
float *random_floats(size_t count, double low, double high);
