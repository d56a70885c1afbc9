/// The extents of a tensor, outermost first. Activations are `[N, Z, Y, X, C]` or `[N, Y, X, C]`.
public struct Shape: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  public var extents: [Int]

  public init(_ extents: [Int]) {
    check(extents.allSatisfy { $0 >= 0 }, "Shape: extents must not be negative, got \(extents)")
    self.extents = extents
  }

  public init(arrayLiteral extents: Int...) { self.init(extents) }

  public var rank: Int { extents.count }

  /// The number of elements; 1 for a scalar.
  public var count: Int { extents.reduce(1, *) }

  public subscript(axis: Int) -> Int {
    get { extents[axis] }
    set { extents[axis] = newValue }
  }

  /// The innermost extent of a channels-last activation.
  public var channels: Int { extents.last ?? 1 }

  /// The extents between batch and channels of a channels-last activation.
  public var spatial: [Int] { Array(extents.dropFirst().dropLast()) }

  /// Row-major strides in elements.
  public var strides: [Int] {
    var strides = [Int](repeating: 1, count: rank)
    for axis in stride(from: rank - 2, through: 0, by: -1) { strides[axis] = strides[axis + 1] * extents[axis + 1] }
    return strides
  }

  public var description: String { "[" + extents.map(String.init).joined(separator: ", ") + "]" }
}
