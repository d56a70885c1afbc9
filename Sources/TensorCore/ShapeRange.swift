/// The values one extent may take: `lower ... upper`, without an upper end where nothing is known.
///
/// Arithmetic is interval arithmetic: for any extents inside the operands, the result contains what they give.
public struct DimensionRange: Hashable, Sendable, CustomStringConvertible {
  public var lower: Int
  /// The largest value, or `nil` where there is none.
  public var upper: Int?

  public init(_ lower: Int, _ upper: Int?) {
    check(lower >= 0 && (upper.map { $0 >= lower } ?? true), "DimensionRange: \(lower)...\(upper ?? -1) is empty")
    self.lower = lower
    self.upper = upper
  }

  public init(_ value: Int) { self.init(value, value) }
  public init(_ range: ClosedRange<Int>) { self.init(range.lowerBound, range.upperBound) }

  /// Any extent at all.
  public static let unknown = DimensionRange(0, nil)

  /// The one value the range holds, if it holds just one.
  public var exact: Int? { upper == lower ? lower : nil }

  public func contains(_ value: Int) -> Bool { value >= lower && (upper.map { value <= $0 } ?? true) }

  /// The range of `body(value)` for a function that never falls as its argument grows.
  public func mapMonotonic(_ body: (Int) -> Int) -> DimensionRange {
    DimensionRange(max(0, body(lower)), upper.map { max(0, body($0)) })
  }

  public func intersection(_ other: DimensionRange) -> DimensionRange? {
    let lower = max(lower, other.lower)
    let upper = [self.upper, other.upper].compactMap { $0 }.min()
    return upper.map { $0 < lower } ?? false ? nil : DimensionRange(lower, upper)
  }

  public static func + (a: DimensionRange, b: DimensionRange) -> DimensionRange {
    DimensionRange(a.lower + b.lower, a.upper.flatMap { x in b.upper.map { x + $0 } })
  }

  public static func * (a: DimensionRange, b: DimensionRange) -> DimensionRange {
    if a.exact == 0 || b.exact == 0 { return DimensionRange(0) }
    return DimensionRange(a.lower * b.lower, a.upper.flatMap { x in b.upper.map { x * $0 } })
  }

  public var description: String {
    if let exact { return "\(exact)" }
    return "\(lower)...\(upper.map(String.init) ?? "")"
  }
}

/// The ranges of a tensor's extents, outermost first.
public struct ShapeRange: Hashable, Sendable, ExpressibleByArrayLiteral, CustomStringConvertible {
  public var dimensions: [DimensionRange]

  public init(_ dimensions: [DimensionRange]) { self.dimensions = dimensions }
  public init(arrayLiteral dimensions: DimensionRange...) { self.init(dimensions) }
  /// The range that holds just one shape.
  public init(_ shape: Shape) { self.init(shape.extents.map { DimensionRange($0) }) }

  public var rank: Int { dimensions.count }
  /// The range of the number of elements.
  public var count: DimensionRange { dimensions.reduce(DimensionRange(1), *) }

  public subscript(axis: Int) -> DimensionRange {
    get { dimensions[axis] }
    set { dimensions[axis] = newValue }
  }

  public func contains(_ shape: Shape) -> Bool {
    rank == shape.rank && zip(dimensions, shape.extents).allSatisfy { $0.contains($1) }
  }

  public var description: String { "[" + dimensions.map(\.description).joined(separator: ", ") + "]" }
}
