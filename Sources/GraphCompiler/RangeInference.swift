import TensorCore

/// Carries ranges from the inputs through a graph by the operations' range rules.
///
/// Operations whose parameters hold a shape are taken from two traces, at the smallest and at the largest inputs: shapes
/// grow with the inputs, so what lies between lies between those two.
enum RangeInference {
  /// The range of every value.
  ///
  /// - Parameters:
  ///   - most: the graph at the largest inputs, or at any inputs where there is no largest.
  ///   - least: the graph at the smallest inputs, of the same structure.
  ///   - inputs: the inputs' ranges.
  ///   - isBounded: whether both ends exist; without, a shape held by an operation or a constant tells nothing.
  static func ranges(_ most: Graph, _ least: Graph, inputs: [ShapeRange], isBounded: Bool) -> [ShapeRange] {
    var ranges = zip(most.values, least.values).map { ShapeRange($0.shape).union(ShapeRange($1.shape)) }
    if !isBounded {
      for value in most.constants.keys { ranges[value] = unknown(like: ranges[value]) }
    }
    for (input, range) in zip(most.inputs, inputs) { ranges[input.value] = range }
    for (a, b) in zip(most.nodes, least.nodes) {
      let arguments = a.inputs.map { ranges[$0] }
      let (upper, lower) = (a.operation.ranges(of: arguments), b.operation.ranges(of: arguments))
      for (position, output) in a.outputs.enumerated() {
        let union = upper[position].union(lower[position])
        let isOpen = !isBounded && a.operation is any ShapeBoundOperation
        ranges[output] = isOpen ? unknown(like: union) : union
      }
    }
    return ranges
  }

  /// No extents, one rank; an extent of 1 may be another in another trace, so it is unknown too.
  private static func unknown(like range: ShapeRange) -> ShapeRange {
    ShapeRange(range.dimensions.map { _ in .unknown })
  }
}

extension ShapeRange {
  /// The least range that contains both, which have one rank.
  func union(_ other: ShapeRange) -> ShapeRange {
    guard rank == other.rank else { return self }
    return ShapeRange(
      zip(dimensions, other.dimensions).map { a, b in
        DimensionRange(min(a.lower, b.lower), a.upper.flatMap { x in b.upper.map { max(x, $0) } })
      })
  }
}
