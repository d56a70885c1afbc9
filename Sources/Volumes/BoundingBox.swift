import TensorCore

/// A box of voxels, half open: `lower ..< upper` along every spatial axis. It may reach outside of a grid.
///
/// Encodes as nnU-Net writes boxes: `[[lower, upper], ...]`.
public struct BoundingBox: Hashable, Sendable, Codable {
  /// The first index inside, per spatial axis.
  public var lower: [Int]
  /// The first index outside, per spatial axis.
  public var upper: [Int]

  /// - Parameter upper: nowhere less than `lower`.
  public init(lower: [Int], upper: [Int]) {
    check(
      lower.count == upper.count && zip(lower, upper).allSatisfy { $0 <= $1 },
      "BoundingBox: bounds \(lower) and \(upper) do not make a box")
    self.lower = lower
    self.upper = upper
  }

  /// The sizes, per axis.
  public var shape: [Int] { zip(upper, lower).map { $0 - $1 } }

  public init(from decoder: any Decoder) throws {
    let rows = try decoder.singleValueContainer().decode([[Int]].self)
    guard rows.allSatisfy({ $0.count == 2 && $0[0] <= $0[1] }) else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "expected rows [lower, upper], found \(rows)"))
    }
    lower = rows.map { $0[0] }
    upper = rows.map { $0[1] }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(zip(lower, upper).map { [$0, $1] })
  }
}
