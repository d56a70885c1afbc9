// Which instruction sets this processor offers, and which one kernels may use.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/// Instruction-set levels, ordered: a higher level never runs on a processor that only has a lower one.
typedef enum ck_instruction_set {
  CK_PORTABLE = 0,
  CK_NEON = 1,
  CK_AVX2 = 2,
  CK_AVX512 = 3,
} ck_instruction_set;

/// The highest level this processor and operating system support.
ck_instruction_set ck_probe_instruction_set(void);

/// The level's name: "portable", "neon", "avx2" or "avx512".
const char *ck_instruction_set_name(ck_instruction_set level);

/// The number of processors this process may run on; at least 1.
int ck_available_processors(void);

/// Says that this thread does nothing but look at memory again and again, so that its core saves its strength.
static inline void ck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#ifdef __cplusplus
}
#endif
