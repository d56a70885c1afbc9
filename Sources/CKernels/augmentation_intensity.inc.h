// Filters, statistics, intensity changes and noise for one instruction set; included by augmentation.inc.h.

typedef uint32_t simd_uint __attribute__((vector_size(SIMD_WIDTH * 4), aligned(SIMD_WIDTH * 4)));
typedef uint64_t simd_wide __attribute__((vector_size(SIMD_WIDTH * 8)));

/// Values summed in single precision before the sum is widened.
#define SUMMATION_BLOCK 1024

static void SIMD_NAME(weighted_sum)(float *row, size_t count, const float *const *rows, const float *weights,
                                    size_t taps) {
  size_t i = 0;
  for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) {
    simd_float sum = {0};
    for (size_t tap = 0; tap < taps; tap++) {
      sum = simd_multiply_add(simd_load(rows[tap] + i), simd_broadcast(weights[tap]), sum);
    }
    simd_store(row + i, sum);
  }
  for (; i < count; i++) {
    float sum = 0;
    for (size_t tap = 0; tap < taps; tap++) sum += rows[tap][i] * weights[tap];
    row[i] = sum;
  }
}

static void SIMD_NAME(interpolate_row)(float *row, size_t count, const float *source, const int32_t *lower,
                                       const int32_t *upper, const float *weights) {
  for (size_t i = 0; i < count; i++) {
    float first = source[lower[i]];
    row[i] = first + weights[i] * (source[upper[i]] - first);
  }
}

static inline double SIMD_NAME(lane_sum)(simd_float values) {
  double sum = 0;
  for (int lane = 0; lane < SIMD_WIDTH; lane++) sum += values[lane];
  return sum;
}

static ck_intensity_summary SIMD_NAME(summarize)(const float *values, size_t count) {
  ck_intensity_summary result = {0, __builtin_inff(), -__builtin_inff()};
  simd_float minimum = simd_broadcast(result.minimum), maximum = simd_broadcast(result.maximum);
  size_t i = 0;
  while (i + SIMD_WIDTH <= count) {
    size_t end = i + SUMMATION_BLOCK < count ? i + SUMMATION_BLOCK : count;
    simd_float sum = {0};
    for (; i + SIMD_WIDTH <= end; i += SIMD_WIDTH) {
      simd_float value = simd_load(values + i);
      sum += value;
      minimum = __builtin_elementwise_min(minimum, value);
      maximum = __builtin_elementwise_max(maximum, value);
    }
    result.sum += SIMD_NAME(lane_sum)(sum);
  }
  for (int lane = 0; lane < SIMD_WIDTH; lane++) {
    if (minimum[lane] < result.minimum) result.minimum = minimum[lane];
    if (maximum[lane] > result.maximum) result.maximum = maximum[lane];
  }
  for (; i < count; i++) {
    result.sum += values[i];
    if (values[i] < result.minimum) result.minimum = values[i];
    if (values[i] > result.maximum) result.maximum = values[i];
  }
  return result;
}

static double SIMD_NAME(squared_deviations)(const float *values, size_t count, float mean) {
  double result = 0;
  size_t i = 0;
  while (i + SIMD_WIDTH <= count) {
    size_t end = i + SUMMATION_BLOCK < count ? i + SUMMATION_BLOCK : count;
    simd_float sum = {0};
    for (; i + SIMD_WIDTH <= end; i += SIMD_WIDTH) {
      simd_float difference = simd_load(values + i) - mean;
      sum = simd_multiply_add(difference, difference, sum);
    }
    result += SIMD_NAME(lane_sum)(sum);
  }
  for (; i < count; i++) result += (double)(values[i] - mean) * (double)(values[i] - mean);
  return result;
}

static void SIMD_NAME(rescale)(float *values, size_t count, float subtrahend, float factor, float addend,
                               float minimum, float maximum) {
  for (size_t i = 0; i < count; i++) {
    float value = (values[i] - subtrahend) * factor + addend;
    value = value < minimum ? minimum : value;
    values[i] = value > maximum ? maximum : value;
  }
}

/// The natural logarithm of a positive normal number's mantissa in [sqrt(1/2), sqrt(2)), and its exponent.
/// The polynomial is the one of Moshier's Cephes library (logf).
static inline __attribute__((always_inline)) simd_float SIMD_NAME(log_mantissa)(simd_float value,
                                                                               simd_float *exponent) {
  simd_int bits = (simd_int)value;
  simd_int power = (bits >> 23) - 126;
  simd_float mantissa = (simd_float)((bits & 0x007fffff) | 0x3f000000);  // in [1/2, 1)
  simd_int small = mantissa < 0.707106781186547524f;
  power += small;
  mantissa += (simd_float)((simd_int)mantissa & small);
  *exponent = __builtin_convertvector(power, simd_float);
  simd_float x = mantissa - 1.0f;
  simd_float polynomial = simd_broadcast(7.0376836292e-2f);
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(-1.1514610310e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(1.1676998740e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(-1.2420140846e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(1.4249322787e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(-1.6668057665e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(2.0000714765e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(-2.4999993993e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(3.3333331174e-1f));
  simd_float square = x * x;
  return x + (polynomial * x * square - 0.5f * square);
}

/// base ^ exponent for a base in [0, 1] and a positive exponent; numbers below the normal range count as 0.
static inline __attribute__((always_inline)) simd_float SIMD_NAME(power_of)(simd_float base, simd_float exponent) {
  simd_float binary_exponent;
  simd_float logarithm = SIMD_NAME(log_mantissa)(base, &binary_exponent);
  simd_float scaled = exponent * simd_multiply_add(logarithm, simd_broadcast(1.44269504088896341f), binary_exponent);
  scaled = __builtin_elementwise_max(scaled, simd_broadcast(-126.0f));
  // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
  simd_float whole = (scaled + 12582912.0f) - 12582912.0f;
  simd_float x = scaled - whole;
  simd_float polynomial = simd_broadcast(1.535336188319500e-4f);
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(1.339887440266574e-3f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(9.618437357674640e-3f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(5.550332471162809e-2f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(2.402264791363012e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(6.931472028550421e-1f));
  polynomial = simd_multiply_add(polynomial, x, simd_broadcast(1.0f));
  simd_int scale = (__builtin_convertvector(whole, simd_int) + 127) << 23;
  simd_float result = polynomial * (simd_float)scale;
  simd_int positive = base >= 1.17549435e-38f;
  return (simd_float)((simd_int)result & positive);
}

static void SIMD_NAME(power)(float *values, size_t count, float sign, float minimum, float denominator,
                             float exponent, float range) {
  for (size_t i = 0; i < count; i += SIMD_WIDTH) {
    simd_float value;
    size_t lanes = count - i < SIMD_WIDTH ? count - i : SIMD_WIDTH;
    if (lanes == SIMD_WIDTH) {
      value = simd_load(values + i);
    } else {
      value = simd_broadcast(sign * minimum);
      for (size_t lane = 0; lane < lanes; lane++) value[lane] = values[i + lane];
    }
    simd_float base = (value * sign - minimum) / denominator;
    value = SIMD_NAME(power_of)(base, simd_broadcast(exponent)) * range + minimum;
    if (lanes == SIMD_WIDTH) {
      simd_store(values + i, value);
    } else {
      for (size_t lane = 0; lane < lanes; lane++) values[i + lane] = value[lane];
    }
  }
}

/// One round's product of a lane with a constant, as its low and high halves.
static inline __attribute__((always_inline)) void SIMD_NAME(multiply_wide)(simd_uint a, uint32_t b, simd_uint *low,
                                                                          simd_uint *high) {
  simd_wide product = __builtin_convertvector(a, simd_wide) * (uint64_t)b;
  *low = __builtin_convertvector(product, simd_uint);
  *high = __builtin_convertvector(product >> 32, simd_uint);
}

/// sin and cos of 2 pi u for u in [0, 1).
static inline __attribute__((always_inline)) void SIMD_NAME(sine_cosine_of_turns)(simd_float turns, simd_float *sine,
                                                                                 simd_float *cosine) {
  simd_float quarters = turns * 4.0f;
  simd_float whole = (quarters + 12582912.0f) - 12582912.0f;
  simd_float x = (quarters - whole) * 1.57079632679489662f;
  simd_float square = x * x;
  // Cephes sinf and cosf on [-pi/4, pi/4].
  simd_float s = simd_broadcast(-1.9515295891e-4f);
  s = simd_multiply_add(s, square, simd_broadcast(8.3321608736e-3f));
  s = simd_multiply_add(s, square, simd_broadcast(-1.6666654611e-1f));
  s = simd_multiply_add(s * square, x, x);
  simd_float c = simd_broadcast(2.443315711809948e-5f);
  c = simd_multiply_add(c, square, simd_broadcast(-1.388731625493765e-3f));
  c = simd_multiply_add(c, square, simd_broadcast(4.166664568298827e-2f));
  c = simd_multiply_add(c * square, square, 1.0f - 0.5f * square);
  simd_int quadrant = __builtin_convertvector(whole, simd_int);
  simd_int swapped = (quadrant & 1) != 0;
  simd_int sine_bits = ((simd_int)s & ~swapped) | ((simd_int)c & swapped);
  simd_int cosine_bits = ((simd_int)c & ~swapped) | ((simd_int)s & swapped);
  *sine = (simd_float)(sine_bits ^ ((quadrant & 2) << 30));
  *cosine = (simd_float)(cosine_bits ^ (((quadrant + 1) & 2) << 30));
}

// Philox 4x32-10 (Salmon et al., SC 2011) and Box-Muller. Sixteen blocks of four words make 64 normal numbers: number
// 16 k + lane comes from word k of block `lane`, at every level.
#define NOISE_GROUP 64

static inline __attribute__((always_inline)) void SIMD_NAME(normal_numbers)(float *numbers, uint64_t first_block,
                                                                           uint64_t key) {
  for (int part = 0; part < 16; part += SIMD_WIDTH) {
    simd_uint c0, c1 = {0}, c2 = {0}, c3 = {0};
#pragma clang loop unroll(full)
    for (int lane = 0; lane < SIMD_WIDTH; lane++) {
      c0[lane] = (uint32_t)(first_block + (uint64_t)(part + lane));
      c1[lane] = (uint32_t)((first_block + (uint64_t)(part + lane)) >> 32);
    }
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
      simd_uint low_a, high_a, low_b, high_b;
      SIMD_NAME(multiply_wide)(c0, 0xd2511f53u, &low_a, &high_a);
      SIMD_NAME(multiply_wide)(c2, 0xcd9e8d57u, &low_b, &high_b);
      c0 = high_b ^ c1 ^ k0;
      c2 = high_a ^ c3 ^ k1;
      c1 = low_b;
      c3 = low_a;
      k0 += 0x9e3779b9u;
      k1 += 0xbb67ae85u;
    }
    simd_uint words[4] = {c0, c1, c2, c3};
    for (int pair = 0; pair < 2; pair++) {
      // In (0, 1], so that the logarithm is finite.
      simd_float radius_source =
          (__builtin_convertvector((simd_int)(words[2 * pair] >> 8), simd_float) + 1.0f) * 0x1p-24f;
      simd_float turns = __builtin_convertvector((simd_int)(words[2 * pair + 1] >> 8), simd_float) * 0x1p-24f;
      simd_float exponent, sine, cosine;
      simd_float logarithm = SIMD_NAME(log_mantissa)(radius_source, &exponent);
      logarithm = simd_multiply_add(exponent, simd_broadcast(0.693147180559945309f), logarithm);
      simd_float radius = __builtin_elementwise_sqrt(-2.0f * __builtin_elementwise_min(logarithm, simd_broadcast(0)));
      SIMD_NAME(sine_cosine_of_turns)(turns, &sine, &cosine);
      simd_store(numbers + 32 * pair + part, radius * cosine);
      simd_store(numbers + 32 * pair + 16 + part, radius * sine);
    }
  }
}

static void SIMD_NAME(add_noise)(float *values, size_t count, float deviation, uint64_t key) {
  float numbers[NOISE_GROUP];
  for (size_t i = 0; i < count; i += NOISE_GROUP) {
    SIMD_NAME(normal_numbers)(numbers, i / 4, key);
    size_t length = count - i < NOISE_GROUP ? count - i : NOISE_GROUP;
    for (size_t j = 0; j < length; j++) values[i + j] += deviation * numbers[j];
  }
}

#undef SUMMATION_BLOCK
#undef NOISE_GROUP
