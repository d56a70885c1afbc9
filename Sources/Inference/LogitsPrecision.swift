/// In which precision overlapping tiles and folds are added up.
public enum LogitsPrecision: String, Sendable, Hashable {
  /// Sums in float32, which neither overflow nor lose the thin borders of tiles. The default.
  case float32
  /// Every sum is rounded to float16 at the places where nnU-Net rounds, to compare with it voxel by voxel.
  ///
  /// What is rounded must be as near to the reference as can be: an addend that differs in its last bits may be rounded to
  /// the next float16 value, which is a large part of the sum where only a tile's corner sees a voxel. So convolutions are
  /// direct, whose errors are a half to a third of those of the fast algorithms, and logits are resampled in the
  /// reference's order of operations.
  case reference
}

/// The nearest float16 value, ties to even; beyond 65504 infinity. Written without branches so that loops vectorise.
@inline(__always)
package func roundedToHalf(_ value: Float) -> Float {
  let bits = value.bitPattern
  let magnitude = bits & 0x7FFF_FFFF
  // Ten of the 23 bits of the significand stay.
  let normal = (magnitude &+ 0x0FFF &+ ((magnitude >> 13) & 1)) & ~0x1FFF
  // Below 2^-14 the steps are 2^-24, which is what remains of a number beside 0.5.
  let small = ((Float(bitPattern: magnitude) + 0.5) - 0.5).bitPattern
  let rounded = magnitude < 0x3880_0000 ? small : normal
  // 65536 and more is infinity; NaN stays NaN.
  let limited = rounded >= 0x4780_0000 ? (magnitude > 0x7F80_0000 ? magnitude : 0x7F80_0000) : rounded
  return Float(bitPattern: limited | (bits & 0x8000_0000))
}
