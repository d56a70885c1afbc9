// One-dimensional Winograd transforms of vectors, for output tiles of 1 (no transform), 2, 4 and 6 with kernels of 3,
// and for output tiles of 2 and 4 with kernels of 3 and stride 2.
//
// Tiles of 4 use the points 0, +-3/4, +-4/3 and infinity: their product is 1, which saves multiplications, and in
// three dimensions their rounding error is a fifth of that of the usual 0, +-1, +-2. Construction: Lavin and Gray,
// "Fast algorithms for convolutional neural networks", 2016; choice of points: Barabasz et al., "Error analysis and
// improving the accuracy of Winograd convolution for deep neural networks", 2020.

#define WINOGRAD_A 0.75f
#define WINOGRAD_B 1.33333333333333333f
#define WINOGRAD_A2 (0.75f * 0.75f)
#define WINOGRAD_B2 1.77777777777777778f
#define WINOGRAD_A3 (0.75f * 0.75f * 0.75f)
#define WINOGRAD_B3 2.37037037037037037f
// Tiles of 6 use 0, +-0.55, +-1, +-1/0.55 and infinity, for the same reasons. The sum of the squares is that of their
// products in pairs.
#define WINOGRAD_C 0.55000000000000004f
#define WINOGRAD_D 1.8181818181818181f
#define WINOGRAD_C2 0.30250000000000005f
#define WINOGRAD_D2 3.3057851239669418f
#define WINOGRAD_C3 0.16637500000000005f
#define WINOGRAD_D3 6.0105184072126212f
#define WINOGRAD_C4 0.091506250000000025f
#define WINOGRAD_D4 10.928215285841128f
#define WINOGRAD_C5 0.050328437500000017f
#define WINOGRAD_D5 19.869482337892961f
#define WINOGRAD_SQUARES 4.608285123966942f
// With stride 2 the outer taps read every other sample and the middle tap those between. The outer two are Winograd's
// F(2,2) with the points 0, 1 and infinity, or F(4,2) with 0, +-0.75, 1.5 and infinity, chosen for their rounding; the
// middle one takes a point for each result. Products that only ever appear added up are added while they are multiplied:
// those of the first and of the last result with the points 0 and infinity. So five points leave three sums, nine seven.
#define WINOGRAD_S 0.75f
#define WINOGRAD_S2 0.5625f
#define WINOGRAD_S3 0.421875f
#define WINOGRAD_T 1.5f
#define WINOGRAD_T2 2.25f
#define WINOGRAD_T3 3.375f

/// The largest number of points along an axis.
#define WINOGRAD_POINTS 9
/// The largest tile.
#define WINOGRAD_OUTPUTS 6
/// In place of a tile: tiles of 2 and 4 with stride 2.
#define WINOGRAD_STRIDED2 3
#define WINOGRAD_STRIDED4 5
/// The most samples from a tile to the next.
#define WINOGRAD_STEP 8

ALWAYS_INLINE int winograd_stride(int tile) { return tile == WINOGRAD_STRIDED2 || tile == WINOGRAD_STRIDED4 ? 2 : 1; }
/// Outputs of a tile.
ALWAYS_INLINE int winograd_outputs(int tile) { return winograd_stride(tile) == 2 ? tile - 1 : tile; }
/// Input samples of a tile, and points.
ALWAYS_INLINE int winograd_points(int tile) {
  return tile == 1 ? 1 : winograd_stride(tile) == 2 ? 2 * winograd_outputs(tile) + 1 : tile + 2;
}
/// Samples from a tile to the next, of the input or of the output's gradient.
ALWAYS_INLINE int winograd_step(int tile, int gradient) {
  return winograd_outputs(tile) * (gradient ? 1 : winograd_stride(tile));
}
/// Sums of products that the way back starts from.
ALWAYS_INLINE int winograd_sums(int tile) { return winograd_points(tile) - (winograd_stride(tile) == 2 ? 2 : 0); }
/// The sum that a point belongs to; points from `winograd_sums` on add to what earlier ones left.
ALWAYS_INLINE int winograd_sum(int tile, int point) {
  const int sums = winograd_sums(tile);
  return point < sums ? point : winograd_outputs(tile) * (point - sums);
}

ALWAYS_INLINE simd_float simd_scale_add(float a, simd_float b, simd_float c) {
  return simd_multiply_add(simd_broadcast(a), b, c);
}

/// The pair of points +-p of tiles of 6, given the sum and the product of the other two squares.
ALWAYS_INLINE void transform_input_pair(
    const simd_float *x, float p, float sum, float product, simd_float *plus, simd_float *minus) {
  const simd_float even = simd_scale_add(product, x[2], simd_scale_add(-sum, x[4], x[6]));
  const simd_float odd = simd_scale_add(product, x[1], simd_scale_add(-sum, x[3], x[5]));
  *plus = simd_scale_add(p, odd, even);
  *minus = simd_scale_add(-p, odd, even);
}

/// Input samples to points.
ALWAYS_INLINE void transform_input(const int tile, const simd_float *x, simd_float *v) {
  if (tile == 1) {
    v[0] = x[0];
  } else if (tile == 2) {
    v[0] = x[0] - x[2];
    v[1] = x[1] + x[2];
    v[2] = x[2] - x[1];
    v[3] = x[3] - x[1];
  } else if (tile == WINOGRAD_STRIDED2) {
    v[0] = x[0] - x[2];
    v[1] = x[2];
    v[2] = x[4] - x[2];
    v[3] = x[1];
    v[4] = x[3];
  } else if (tile == WINOGRAD_STRIDED4) {
    v[3] = simd_scale_add(-WINOGRAD_S2, x[2], x[6]);
    v[0] = simd_scale_add(-WINOGRAD_T, simd_scale_add(-WINOGRAD_S2, x[0], x[4]), v[3]);
    v[1] = simd_scale_add(-WINOGRAD_S, x[4], simd_scale_add(-WINOGRAD_S * WINOGRAD_T, x[2], x[6]));
    v[2] = simd_scale_add(-WINOGRAD_T2, x[4], simd_scale_add(WINOGRAD_S * WINOGRAD_T, x[2], x[6]));
    v[4] = simd_scale_add(-WINOGRAD_T, v[3], simd_scale_add(-WINOGRAD_S2, x[4], x[8]));
    v[5] = x[3];
    v[6] = x[5];
    v[7] = x[1];
    v[8] = x[7];
  } else if (tile == 6) {
    v[0] = simd_scale_add(WINOGRAD_SQUARES, x[4] - x[2], x[0] - x[6]);
    transform_input_pair(x, WINOGRAD_C, 1 + WINOGRAD_D2, WINOGRAD_D2, v + 1, v + 2);
    transform_input_pair(x, 1, WINOGRAD_C2 + WINOGRAD_D2, 1, v + 3, v + 4);
    transform_input_pair(x, WINOGRAD_D, 1 + WINOGRAD_C2, WINOGRAD_C2, v + 5, v + 6);
    v[7] = simd_scale_add(WINOGRAD_SQUARES, x[3] - x[5], x[7] - x[1]);
  } else {
    v[0] = simd_scale_add(-(WINOGRAD_A2 + WINOGRAD_B2), x[2], x[0] + x[4]);
    const simd_float even_a = simd_scale_add(-WINOGRAD_B2, x[2], x[4]), odd_a = simd_scale_add(-WINOGRAD_B2, x[1], x[3]);
    v[1] = simd_scale_add(WINOGRAD_A, odd_a, even_a);
    v[2] = simd_scale_add(-WINOGRAD_A, odd_a, even_a);
    const simd_float even_b = simd_scale_add(-WINOGRAD_A2, x[2], x[4]), odd_b = simd_scale_add(-WINOGRAD_A2, x[1], x[3]);
    v[3] = simd_scale_add(WINOGRAD_B, odd_b, even_b);
    v[4] = simd_scale_add(-WINOGRAD_B, odd_b, even_b);
    v[5] = simd_scale_add(-(WINOGRAD_A2 + WINOGRAD_B2), x[3], x[1] + x[5]);
  }
}

/// Sums of products to output samples.
ALWAYS_INLINE void transform_output(const int tile, const simd_float *m, simd_float *y) {
  if (tile == 1) {
    y[0] = m[0];
  } else if (tile == 2) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] + m[3];
  } else if (tile == WINOGRAD_STRIDED2) {
    y[0] = m[0] + m[1];
    y[1] = m[1] + m[2];
  } else if (tile == WINOGRAD_STRIDED4) {
    const simd_float sum = m[1] + m[2], difference = m[1] - m[2];
    y[0] = m[0] + sum + m[3];
    y[1] = simd_scale_add(WINOGRAD_S, difference, simd_scale_add(WINOGRAD_T, m[3], m[5]));
    y[2] = simd_scale_add(WINOGRAD_S2, sum, simd_scale_add(WINOGRAD_T2, m[3], m[6]));
    y[3] = simd_scale_add(WINOGRAD_S3, difference, simd_scale_add(WINOGRAD_T3, m[3], m[4]));
  } else if (tile == 6) {
    const simd_float sum_c = m[1] + m[2], difference_c = m[1] - m[2];
    const simd_float sum_1 = m[3] + m[4], difference_1 = m[3] - m[4];
    const simd_float sum_d = m[5] + m[6], difference_d = m[5] - m[6];
    y[0] = m[0] + sum_c + (sum_1 + sum_d);
    y[1] = simd_scale_add(WINOGRAD_C, difference_c, simd_scale_add(WINOGRAD_D, difference_d, difference_1));
    y[2] = simd_scale_add(WINOGRAD_C2, sum_c, simd_scale_add(WINOGRAD_D2, sum_d, sum_1));
    y[3] = simd_scale_add(WINOGRAD_C3, difference_c, simd_scale_add(WINOGRAD_D3, difference_d, difference_1));
    y[4] = simd_scale_add(WINOGRAD_C4, sum_c, simd_scale_add(WINOGRAD_D4, sum_d, sum_1));
    y[5] = simd_scale_add(
        WINOGRAD_C5, difference_c, simd_scale_add(WINOGRAD_D5, difference_d, difference_1 + m[7]));
  } else {
    const simd_float sum_a = m[1] + m[2], difference_a = m[1] - m[2];
    const simd_float sum_b = m[3] + m[4], difference_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = simd_scale_add(WINOGRAD_A, difference_a, simd_broadcast(WINOGRAD_B) * difference_b);
    y[2] = simd_scale_add(WINOGRAD_A2, sum_a, simd_broadcast(WINOGRAD_B2) * sum_b);
    y[3] = simd_scale_add(WINOGRAD_A3, difference_a, simd_scale_add(WINOGRAD_B3, difference_b, m[5]));
  }
}

/// The pair of points +-p of tiles of 6.
ALWAYS_INLINE void transform_gradient_pair(
    const simd_float *y, float p, float p2, float p4, simd_float *plus, simd_float *minus) {
  const simd_float even = simd_scale_add(p4, y[4], simd_scale_add(p2, y[2], y[0]));
  const simd_float odd = simd_scale_add(p4, y[5], simd_scale_add(p2, y[3], y[1]));
  *plus = simd_scale_add(p, odd, even);
  *minus = simd_scale_add(-p, odd, even);
}

/// The transpose of `transform_output`: gradients of output samples to points.
ALWAYS_INLINE void transform_gradient(const int tile, const simd_float *y, simd_float *m) {
  if (tile == 1) {
    m[0] = y[0];
  } else if (tile == 2) {
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = y[0] - y[1];
    m[3] = y[1];
  } else if (tile == WINOGRAD_STRIDED2) {
    m[0] = y[0];
    m[1] = y[0] + y[1];
    m[2] = y[1];
    m[3] = y[0];
    m[4] = y[1];
  } else if (tile == WINOGRAD_STRIDED4) {
    const simd_float even = simd_scale_add(WINOGRAD_S2, y[2], y[0]), odd = simd_scale_add(WINOGRAD_S2, y[3], y[1]);
    m[0] = y[0];
    m[1] = simd_scale_add(WINOGRAD_S, odd, even);
    m[2] = simd_scale_add(-WINOGRAD_S, odd, even);
    m[3] = simd_scale_add(
        WINOGRAD_T, simd_scale_add(WINOGRAD_T2, y[3], y[1]), simd_scale_add(WINOGRAD_T2, y[2], y[0]));
    m[4] = y[3];
    m[5] = y[1];
    m[6] = y[2];
    m[7] = y[0];
    m[8] = y[3];
  } else if (tile == 6) {
    m[0] = y[0];
    transform_gradient_pair(y, WINOGRAD_C, WINOGRAD_C2, WINOGRAD_C4, m + 1, m + 2);
    transform_gradient_pair(y, 1, 1, 1, m + 3, m + 4);
    transform_gradient_pair(y, WINOGRAD_D, WINOGRAD_D2, WINOGRAD_D4, m + 5, m + 6);
    m[7] = y[5];
  } else {
    m[0] = y[0];
    const simd_float even_a = simd_scale_add(WINOGRAD_A2, y[2], y[0]), odd_a = simd_scale_add(WINOGRAD_A2, y[3], y[1]);
    m[1] = simd_scale_add(WINOGRAD_A, odd_a, even_a);
    m[2] = simd_scale_add(-WINOGRAD_A, odd_a, even_a);
    const simd_float even_b = simd_scale_add(WINOGRAD_B2, y[2], y[0]), odd_b = simd_scale_add(WINOGRAD_B2, y[3], y[1]);
    m[3] = simd_scale_add(WINOGRAD_B, odd_b, even_b);
    m[4] = simd_scale_add(-WINOGRAD_B, odd_b, even_b);
    m[5] = y[3];
  }
}

// 1 / (2 a^2 (a^2 - b^2)) and the same for b.
#define WINOGRAD_FA (-0.73142857142857143f)
#define WINOGRAD_FB 0.23142857142857143f
// 1 / (2 p^2 (p^2 - q^2) (p^2 - r^2)) for each pair of points of tiles of 6.
#define WINOGRAD_FC 0.7890487723621662f
#define WINOGRAD_F1 (-0.31089014786552077f)
#define WINOGRAD_FD 0.021841375503354563f

// 1 / (p (p - q) (p - r)) for the points p of tiles of 4 with stride 2, those without infinity.
#define WINOGRAD_F0 (32.0f / 27)
#define WINOGRAD_FS (-32.0f / 27)
#define WINOGRAD_FN (-32.0f / 81)
#define WINOGRAD_FT (32.0f / 81)

/// The pair of points +-p of tiles of 6.
ALWAYS_INLINE void transform_weight_pair(
    const simd_float *g, float factor, float p, float p2, simd_float *plus, simd_float *minus) {
  const simd_float even = simd_broadcast(factor) * simd_scale_add(p2, g[2], g[0]);
  *plus = simd_scale_add(factor * p, g[1], even);
  *minus = simd_scale_add(-factor * p, g[1], even);
}

/// Three weights to points (one where there is no transform).
ALWAYS_INLINE void transform_weight(const int tile, const simd_float *g, simd_float *u) {
  if (tile == 1) {
    u[0] = g[0];
  } else if (tile == 2) {
    const simd_float half_sum = simd_broadcast(0.5f) * (g[0] + g[2]);
    u[0] = g[0];
    u[1] = simd_scale_add(0.5f, g[1], half_sum);
    u[2] = simd_scale_add(-0.5f, g[1], half_sum);
    u[3] = g[2];
  } else if (tile == WINOGRAD_STRIDED2) {
    u[0] = g[0];
    u[1] = g[0] + g[2];
    u[2] = g[2];
    u[3] = g[1];
    u[4] = g[1];
  } else if (tile == WINOGRAD_STRIDED4) {
    u[0] = simd_broadcast(WINOGRAD_F0) * g[0];
    u[1] = simd_broadcast(WINOGRAD_FS) * simd_scale_add(WINOGRAD_S, g[2], g[0]);
    u[2] = simd_broadcast(WINOGRAD_FN) * simd_scale_add(-WINOGRAD_S, g[2], g[0]);
    u[3] = simd_broadcast(WINOGRAD_FT) * simd_scale_add(WINOGRAD_T, g[2], g[0]);
    u[4] = g[2];
    UNROLL for (int p = 5; p < 9; ++p) u[p] = g[1];
  } else if (tile == 6) {
    u[0] = g[0];
    transform_weight_pair(g, WINOGRAD_FC, WINOGRAD_C, WINOGRAD_C2, u + 1, u + 2);
    transform_weight_pair(g, WINOGRAD_F1, 1, 1, u + 3, u + 4);
    transform_weight_pair(g, WINOGRAD_FD, WINOGRAD_D, WINOGRAD_D2, u + 5, u + 6);
    u[7] = g[2];
  } else {
    u[0] = g[0];
    const simd_float even_a = simd_broadcast(WINOGRAD_FA) * simd_scale_add(WINOGRAD_A2, g[2], g[0]);
    u[1] = simd_scale_add(WINOGRAD_FA * WINOGRAD_A, g[1], even_a);
    u[2] = simd_scale_add(-WINOGRAD_FA * WINOGRAD_A, g[1], even_a);
    const simd_float even_b = simd_broadcast(WINOGRAD_FB) * simd_scale_add(WINOGRAD_B2, g[2], g[0]);
    u[3] = simd_scale_add(WINOGRAD_FB * WINOGRAD_B, g[1], even_b);
    u[4] = simd_scale_add(-WINOGRAD_FB * WINOGRAD_B, g[1], even_b);
    u[5] = g[2];
  }
}

/// The transpose of `transform_weight`: sums at points to gradients of the weights.
ALWAYS_INLINE void transform_weight_gradient(const int tile, const simd_float *u, simd_float *g) {
  if (tile == 1) {
    g[0] = u[0];
  } else if (tile == 2) {
    const simd_float half_sum = simd_broadcast(0.5f) * (u[1] + u[2]);
    g[0] = u[0] + half_sum;
    g[1] = simd_broadcast(0.5f) * (u[1] - u[2]);
    g[2] = u[3] + half_sum;
  } else if (tile == WINOGRAD_STRIDED2) {
    g[0] = u[0] + u[1];
    g[1] = u[3] + u[4];
    g[2] = u[1] + u[2];
  } else if (tile == WINOGRAD_STRIDED4) {
    const simd_float s = simd_broadcast(WINOGRAD_FS) * u[1], n = simd_broadcast(WINOGRAD_FN) * u[2];
    const simd_float t = simd_broadcast(WINOGRAD_FT) * u[3];
    g[0] = simd_scale_add(WINOGRAD_F0, u[0], s) + (n + t);
    g[1] = (u[5] + u[6]) + (u[7] + u[8]);
    g[2] = simd_scale_add(WINOGRAD_S, s - n, simd_scale_add(WINOGRAD_T, t, u[4]));
  } else if (tile == 6) {
    const simd_float sum_c = simd_broadcast(WINOGRAD_FC) * (u[1] + u[2]);
    const simd_float sum_1 = simd_broadcast(WINOGRAD_F1) * (u[3] + u[4]);
    const simd_float sum_d = simd_broadcast(WINOGRAD_FD) * (u[5] + u[6]);
    g[0] = u[0] + sum_c + (sum_1 + sum_d);
    g[1] = simd_scale_add(
        WINOGRAD_FC * WINOGRAD_C, u[1] - u[2],
        simd_scale_add(WINOGRAD_FD * WINOGRAD_D, u[5] - u[6], simd_broadcast(WINOGRAD_F1) * (u[3] - u[4])));
    g[2] = simd_scale_add(WINOGRAD_C2, sum_c, simd_scale_add(WINOGRAD_D2, sum_d, sum_1 + u[7]));
  } else {
    const simd_float sum_a = simd_broadcast(WINOGRAD_FA) * (u[1] + u[2]);
    const simd_float sum_b = simd_broadcast(WINOGRAD_FB) * (u[3] + u[4]);
    g[0] = u[0] + sum_a + sum_b;
    g[1] = simd_scale_add(
        WINOGRAD_FA * WINOGRAD_A, u[1] - u[2], simd_broadcast(WINOGRAD_FB * WINOGRAD_B) * (u[3] - u[4]));
    g[2] = simd_scale_add(WINOGRAD_A2, sum_a, simd_scale_add(WINOGRAD_B2, sum_b, u[5]));
  }
}
