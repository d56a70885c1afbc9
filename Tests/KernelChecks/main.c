// Checks every kernel table that this processor can run, family by family, against plain loops.
//
// Arguments are names of levels that must run; without any, all that the processor has run.
#include <stdio.h>

#include "checks.h"

static const check_family *const families[] = {
    &convolution_family, &normalization_family, &softmax_family,    &reduction_family,
    &pointwise_family,   &movement_family,      &resampling_family, &augmentation_family,
};

#if defined(__aarch64__)
static const ck_instruction_set compiled_levels[] = {CK_NEON, CK_PORTABLE};
#elif defined(__x86_64__)
static const ck_instruction_set compiled_levels[] = {CK_AVX512, CK_AVX2, CK_PORTABLE};
#else
static const ck_instruction_set compiled_levels[] = {CK_PORTABLE};
#endif

/// Levels that are compiled in have tables of their own, and others get the nearest lower one's.
static int tables_are_chosen(void) {
  int wrong = 0;
#define CHOSEN(kernels_for)                                                                            \
  for (size_t i = 0; i + 1 < COUNT_OF(compiled_levels); i++)                                           \
    wrong += kernels_for(compiled_levels[i]) == kernels_for(compiled_levels[i + 1]);                   \
  for (ck_instruction_set level = CK_PORTABLE; level <= CK_AVX512; level++) {                          \
    size_t nearest = 0;                                                                                \
    while (compiled_levels[nearest] > level) nearest++;                                                \
    if (kernels_for(level) != kernels_for(compiled_levels[nearest])) {                                 \
      printf("FAILED %s(%s)\n", #kernels_for, ck_instruction_set_name(level));                         \
      wrong++;                                                                                         \
    }                                                                                                  \
  }
  CHOSEN(ck_augmentation_kernels_for)
  CHOSEN(ck_convolution_kernels_for)
  CHOSEN(ck_movement_kernels_for)
  CHOSEN(ck_normalization_kernels_for)
  CHOSEN(ck_pointwise_kernels_for)
  CHOSEN(ck_reduction_kernels_for)
  CHOSEN(ck_resampling_kernels_for)
  CHOSEN(ck_softmax_kernels_for)
  return wrong == 0;
}

int main(int argument_count, char **arguments) {
  // A fault must not take what was reported before it.
  setvbuf(stdout, 0, _IOLBF, 0);
  int failures = 0;
  if (!comparators_reject()) {
    printf("FAILED the comparators accept what they must reject\n");
    failures++;
  }
  if (!tables_are_chosen()) {
    printf("FAILED the tables of the levels are mixed up\n");
    failures++;
  }
  const ck_instruction_set highest = ck_probe_instruction_set();
#if defined(__aarch64__)
  if (highest != CK_NEON) {
    printf("FAILED the probe says %s on aarch64\n", ck_instruction_set_name(highest));
    failures++;
  }
#endif

  int ran[CK_AVX512 + 1] = {0};
  for (size_t i = 0; i < COUNT_OF(compiled_levels); i++) {
    const ck_instruction_set level = compiled_levels[i];
    int wanted = argument_count <= 1;
    for (int a = 1; a < argument_count; a++) wanted |= strcmp(arguments[a], ck_instruction_set_name(level)) == 0;
    if (!wanted) continue;
    if (level > highest) {
      printf("SKIPPED: %s kernels, which this processor cannot run\n", ck_instruction_set_name(level));
      continue;
    }
    for (size_t f = 0; f < COUNT_OF(families); f++) failures += check_family_run(families[f], level);
    ran[level] = 1;
  }

  int levels = 0;
  printf("levels that ran:");
  for (int level = CK_PORTABLE; level <= CK_AVX512; level++) {
    if (ran[level]) printf(" %s", ck_instruction_set_name((ck_instruction_set)level));
    levels += ran[level];
  }
  printf("\n");
  for (int a = 1; a < argument_count; a++) {
    int found = 0;
    for (int level = CK_PORTABLE; level <= CK_AVX512; level++)
      found |= ran[level] && strcmp(arguments[a], ck_instruction_set_name((ck_instruction_set)level)) == 0;
    if (!found) {
      printf("FAILED the level %s did not run\n", arguments[a]);
      failures++;
    }
  }
  if (failures > 0 || levels == 0) {
    printf("%d failures\n", failures);
    return 1;
  }
  return 0;
}
