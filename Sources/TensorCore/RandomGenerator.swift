/// A counter-based random generator (Philox 4x32 with 10 rounds) whose whole state is a key and a position.
///
/// Counter-based: element `i` of a stream can be drawn without drawing those before it, so a mask is the same however
/// many threads fill it, and a state written to a checkpoint continues where it stopped.
/// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
public struct RandomGenerator: RandomNumberGenerator, Codable, Hashable, Sendable {
  /// Selects the stream.
  public var key: UInt64
  /// The number of 64-bit words drawn so far.
  public var position: UInt64

  public init(seed: UInt64) {
    key = seed
    position = 0
  }

  public mutating func next() -> UInt64 {
    defer { position &+= 1 }
    return word(at: position)
  }

  /// The word at an absolute position of this stream, without moving.
  public func word(at position: UInt64) -> UInt64 {
    let block = Self.block(key: key, counter: position >> 1)
    return position & 1 == 0 ? block.0 : block.1
  }

  /// A generator of an independent stream; two children of one parent differ.
  public mutating func child() -> RandomGenerator {
    RandomGenerator(seed: next())
  }

  /// Uniform in [0, 1) with 24 random bits.
  public mutating func uniform() -> Float {
    Float(next() >> 40) * 0x1p-24
  }

  /// Uniform in [0, 1) with 53 random bits.
  public mutating func uniformDouble() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  private static func block(key: UInt64, counter: UInt64) -> (UInt64, UInt64) {
    let result = philox(
      counter: (UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32), 0, 0),
      key: (UInt32(truncatingIfNeeded: key), UInt32(truncatingIfNeeded: key >> 32)))
    return (UInt64(result.0) | UInt64(result.1) << 32, UInt64(result.2) | UInt64(result.3) << 32)
  }

  /// Philox 4x32 with 10 rounds, as Random123 defines it.
  package static func philox(
    counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var (c0, c1, c2, c3) = counter
    var (k0, k1) = key
    for _ in 0..<10 {
      let a = UInt64(0xD251_1F53) &* UInt64(c0)
      let b = UInt64(0xCD9E_8D57) &* UInt64(c2)
      (c0, c1, c2, c3) = (
        UInt32(truncatingIfNeeded: b >> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: a >> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: a)
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return (c0, c1, c2, c3)
  }
}
