#if defined(__linux__)
#define _GNU_SOURCE
#include <sched.h>
#endif
#include <unistd.h>

#include "ck_instruction_set.h"

ck_instruction_set ck_probe_instruction_set(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    // The kernels use the F, BW, DQ and VL groups, which every AVX-512 server core has together.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      return CK_AVX512;
    }
    return CK_AVX2;
  }
  return CK_PORTABLE;
#elif defined(__aarch64__)
  return CK_NEON;
#else
  return CK_PORTABLE;
#endif
}

const char *ck_instruction_set_name(ck_instruction_set level) {
  switch (level) {
    case CK_NEON: return "neon";
    case CK_AVX2: return "avx2";
    case CK_AVX512: return "avx512";
    default: return "portable";
  }
}

int ck_available_processors(void) {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
#endif
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}
