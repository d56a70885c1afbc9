// Elementary functions on vectors; include after simd_target.h.
#pragma once

/// e^x within 2 ulp: x = n ln 2 + r, a polynomial in r (coefficients of Cephes' expf, S. L. Moshier), times 2^n.
SIMD_INLINE simd_float simd_exp(simd_float x) {
  const float round_to_integer = 12582912.0f;  // 1.5 * 2^23: adding it leaves the rounded number in the low bits
  x = simd_select(x > simd_broadcast(89.0f), simd_broadcast(89.0f), x);
  x = simd_select(x < simd_broadcast(-104.0f), simd_broadcast(-104.0f), x);
  const simd_float shifted =
      simd_multiply_add(x, simd_broadcast(1.44269504088896341f), simd_broadcast(round_to_integer));
  const simd_float n = shifted - round_to_integer;
  const simd_int power = (simd_int)shifted - 0x4B400000;
  simd_float r = simd_multiply_add(n, simd_broadcast(-0.693359375f), x);
  r = simd_multiply_add(n, simd_broadcast(2.12194440e-4f), r);
  simd_float p = simd_multiply_add(simd_broadcast(1.9875691500e-4f), r, simd_broadcast(1.3981999507e-3f));
  p = simd_multiply_add(p, r, simd_broadcast(8.3334519073e-3f));
  p = simd_multiply_add(p, r, simd_broadcast(4.1665795894e-2f));
  p = simd_multiply_add(p, r, simd_broadcast(1.6666665459e-1f));
  p = simd_multiply_add(p, r, simd_broadcast(5.0000001201e-1f));
  const simd_float y = simd_multiply_add(p, r * r, r) + 1.0f;
  // Two factors, so that results below the normal range come out right.
  const simd_int half = power >> 1;
  return y * (simd_float)((half + 127) << 23) * (simd_float)((power - half + 127) << 23);
}

/// ln(1 + u) for u in [0, 1], as 2 artanh(u / (2 + u)).
SIMD_INLINE simd_float simd_log1p_unit(simd_float u) {
  const simd_float z = u / (u + 2.0f), square = z * z;
  simd_float p = simd_multiply_add(simd_broadcast(1.0f / 17), square, simd_broadcast(1.0f / 15));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 13));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 11));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 9));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 7));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 5));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 3));
  return 2.0f * simd_multiply_add(p * square, z, z);
}

/// ln x: x = 2^e m with m near 1, ln m = 2 artanh((m - 1) / (m + 1)).
SIMD_INLINE simd_float simd_log(simd_float x) {
  const simd_int bits = (simd_int)x;
  // Zero, negative, subnormal, infinite and NaN lanes go to the C library.
  const simd_int unusual = (bits < 0x00800000) | (bits >= 0x7F800000);
  if (__builtin_reduce_or(unusual)) {
    for (int lane = 0; lane < SIMD_WIDTH; lane++) x[lane] = logf(x[lane]);
    return x;
  }
  // The exponent is taken at sqrt(1/2), so that m lies in [sqrt(1/2), sqrt(2)).
  const simd_int shifted = bits - 0x3F3504F3;
  const simd_int exponent = shifted >> 23;
  const simd_float m = (simd_float)((shifted & 0x007FFFFF) + 0x3F3504F3);
  const simd_float e = __builtin_convertvector(exponent, simd_float);
  const simd_float f = m - 1.0f, z = f / (m + 1.0f), square = z * z;
  simd_float p = simd_multiply_add(simd_broadcast(1.0f / 11), square, simd_broadcast(1.0f / 9));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 7));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 5));
  p = simd_multiply_add(p, square, simd_broadcast(1.0f / 3));
  const simd_float log_m = 2.0f * simd_multiply_add(p * square, z, z);
  return simd_multiply_add(
      e, simd_broadcast(0.693359375f), simd_multiply_add(e, simd_broadcast(-2.12194440e-4f), log_m));
}

/// 1 / (1 + e^-x).
SIMD_INLINE simd_float simd_sigmoid(simd_float x) { return 1.0f / (simd_exp(-x) + 1.0f); }

/// ln(1 + e^x) without overflow.
SIMD_INLINE simd_float simd_softplus(simd_float x) {
  const simd_float zero = {0};
  const simd_float magnitude = simd_select(x > zero, x, -x);
  return simd_select(x > zero, x, zero) + simd_log1p_unit(simd_exp(-magnitude));
}
