#include "checks.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { most_operations = 64, most_reports = 8 };

static struct {
  const char *family, *level;
  const char *operations[most_operations];
  size_t operation_count;
  long cases, failures;
  const char *operation;
  char description[256];
  int failed;
  /// Whether failures are expected, and not to be printed.
  int silent;
} state;

typedef struct guarded_block {
  struct guarded_block *next;
  unsigned char *pages;
  size_t page_bytes;
  size_t before, bytes, after;
} guarded_block;

static guarded_block *blocks;

static const unsigned char canary = 0xA5;

static void fail(const char *format, va_list arguments) {
  state.failed += 1;
  if (state.silent || state.failed > 1 || state.failures >= most_reports) return;
  printf("FAILED %s %s.%s %s: ", state.level, state.family, state.operation, state.description);
  vprintf(format, arguments);
  printf("\n");
}

void expect(int condition, const char *format, ...) {
  if (condition) return;
  va_list arguments;
  va_start(arguments, format);
  fail(format, arguments);
  va_end(arguments);
}

/// The page behind a buffer was touched: says by which case. Nothing can go on after that.
static void report_fault(int signal) {
  (void)signal;
  char text[512];
  const int length = snprintf(
      text, sizeof text, "FAILED %s %s.%s %s: touched memory outside of its buffers\n", state.level, state.family,
      state.operation, state.description);
  if (length > 0 && write(STDOUT_FILENO, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1) < 0) {
    _exit(2);
  }
  _exit(1);
}

static int is_intact(const unsigned char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (bytes[i] != canary) return 0;
  return 1;
}

void release_guarded(void) {
  while (blocks) {
    guarded_block *block = blocks;
    blocks = block->next;
    expect(is_intact(block->pages, block->before), "wrote before a buffer of %zu bytes", block->bytes);
    expect(
        is_intact(block->pages + block->before + block->bytes, block->after), "wrote after a buffer of %zu bytes",
        block->bytes);
    munmap(block->pages, block->page_bytes);
    free(block);
  }
}

static void end_case(void) {
  if (state.failed) state.failures += 1;
  state.failed = 0;
}

void *guarded(size_t bytes, size_t alignment) {
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t size = (bytes + alignment - 1) / alignment * alignment;
  const size_t readable = (size + page - 1) / page * page;
  guarded_block *block = malloc(sizeof *block);
  unsigned char *pages = mmap(0, readable + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!block || pages == MAP_FAILED || mprotect(pages + readable, page, PROT_NONE) != 0) {
    printf("kernel checks: no memory for %zu bytes\n", bytes);
    exit(1);
  }
  *block = (guarded_block){blocks, pages, readable + page, readable - size, bytes, size - bytes};
  blocks = block;
  memset(pages, canary, block->before);
  memset(pages + block->before, 0xFF, bytes);
  memset(pages + block->before + bytes, canary, block->after);
  return pages + block->before;
}

float *guarded_floats(size_t count) { return guarded(count * sizeof(float), sizeof(float)); }
double *guarded_doubles(size_t count) { return guarded(count * sizeof(double), sizeof(double)); }

void begin_case(const char *operation, const char *format, ...) {
  end_case();
  size_t known = 0;
  while (known < state.operation_count && strcmp(state.operations[known], operation) != 0) known++;
  if (known == state.operation_count && known < most_operations) state.operations[state.operation_count++] = operation;
  state.operation = operation;
  state.cases += 1;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(state.description, sizeof state.description, format, arguments);
  va_end(arguments);
}

static double magnitude_of(const double *values, size_t count) {
  double largest = 0;
  for (size_t i = 0; i < count; i++)
    if (isfinite(values[i]) && fabs(values[i]) > largest) largest = fabs(values[i]);
  return largest;
}

static void compare(
    const float *actual, const double *expected, size_t count, double tolerance, double constant) {
  expect(count > 0, "nothing was compared");
  size_t worst = 0;
  double worst_excess = 0;
  for (size_t i = 0; i < count; i++) {
    double excess;
    if (!isfinite(expected[i]))
      excess = isnan(expected[i]) ? (isnan(actual[i]) ? 0 : INFINITY) : (actual[i] == expected[i] ? 0 : INFINITY);
    else if (!isfinite(actual[i]))
      excess = INFINITY;
    else
      excess = fabs(actual[i] - expected[i]) - (tolerance * fabs(expected[i]) + constant);
    if (excess > worst_excess) {
      worst_excess = excess;
      worst = i;
    }
  }
  if (worst_excess > 0) {
    expect(
        0, "element %zu of %zu is %.9g, expected %.9g, allowed error %.3g", worst, count, actual[worst],
        expected[worst], tolerance * fabs(expected[worst]) + constant);
  }
}

void expect_close(const float *actual, const double *expected, size_t count, double tolerance, double scale) {
  compare(actual, expected, count, 0, tolerance * (scale > 0 ? scale : magnitude_of(expected, count)));
}

void expect_relative(const float *actual, const double *expected, size_t count, double tolerance, double floor) {
  compare(actual, expected, count, tolerance, floor);
}

void expect_number(double actual, double expected, double allowed) {
  expect(fabs(actual - expected) <= allowed, "%.12g, expected %.12g, allowed error %.3g", actual, expected, allowed);
}

void expect_same(const void *actual, const void *expected, size_t bytes) {
  expect(bytes > 0, "nothing was compared");
  const unsigned char *a = actual, *b = expected;
  size_t i = 0;
  while (i < bytes && a[i] == b[i]) i++;
  expect(i == bytes, "byte %zu of %zu is %d, expected %d", i, bytes, i < bytes ? a[i] : 0, i < bytes ? b[i] : 0);
}

int comparators_reject(void) {
  const float right[3] = {1, -2, 0.5f}, off[3] = {1, -2.01f, 0.5f}, not_numbers[3] = {1, NAN, 0.5f},
              infinite[3] = {1, -INFINITY, 0.5f};
  const double expected[3] = {1, -2, 0.5}, unusual[3] = {1, NAN, 0.5};
  int wrong = 0;
  state.silent = 1;
#define REJECTS(call)            \
  state.failed = 0;              \
  call;                          \
  wrong += state.failed == 0;
#define ACCEPTS(call)            \
  state.failed = 0;              \
  call;                          \
  wrong += state.failed != 0;
  ACCEPTS(expect_close(right, expected, 3, 1e-6, 0))
  REJECTS(expect_close(off, expected, 3, 1e-3, 0))
  ACCEPTS(expect_close(off, expected, 3, 1e-2, 0))
  REJECTS(expect_close(not_numbers, expected, 3, 1e30, 0))
  REJECTS(expect_close(infinite, expected, 3, 1e30, 0))
  REJECTS(expect_close(right, unusual, 3, 1e30, 0))
  ACCEPTS(expect_close(not_numbers, unusual, 3, 0, 0))
  REJECTS(expect_close(right, expected, 0, 1, 0))
  REJECTS(expect_relative(off, expected, 3, 1e-3, 0))
  REJECTS(expect_number(NAN, 1, INFINITY))
  REJECTS(expect_same(right, off, sizeof right))
  state.failed = 0;
  for (int after = 0; after <= 1; after++) {
    begin_case("guarded", "a write outside of a buffer is seen");
    unsigned char *buffer = guarded(60, 64);
    buffer[after ? 60 : -1] = 1;
    release_guarded();
    wrong += state.failed != 1;
  }
  memset(&state, 0, sizeof state);
  return wrong == 0;
}

int check_family_run(const check_family *family, ck_instruction_set level) {
  memset(&state, 0, sizeof state);
  state.family = family->name;
  state.level = ck_instruction_set_name(level);
  signal(SIGSEGV, report_fault);
  signal(SIGBUS, report_fault);
  seed_random(1);
  family->check(level);
  release_guarded();
  end_case();
  printf("%-8s %-13s %5ld cases of %zu operations", state.level, family->name, state.cases, state.operation_count);
  printf(state.failures ? ", %ld FAILED\n" : "\n", state.failures);
  if (state.operation_count != family->operations) {
    printf("FAILED %s %s: the table has %zu operations\n", state.level, family->name, family->operations);
    return (int)state.failures + 1;
  }
  return (int)state.failures + (state.cases == 0);
}

static uint64_t random_state = 1;

void seed_random(uint64_t seed) { random_state = seed * 0x9E3779B97F4A7C15u + 0x632BE59BD9B4E019u; }

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
static uint64_t next_random(void) {
  uint64_t z = random_state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

double random_number(double low, double high) { return low + (high - low) * (double)(next_random() >> 11) * 0x1p-53; }

uint32_t random_below(uint32_t bound) { return (uint32_t)(next_random() >> 32) % bound; }

float *random_floats(size_t count, double low, double high) {
  float *values = guarded_floats(count);
  for (size_t i = 0; i < count; i++) values[i] = (float)random_number(low, high);
  return values;
}
