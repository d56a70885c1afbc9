/// NumPy's order statistics, operation for operation, because plans must agree to the last bit.
enum Statistics {
  /// `numpy.percentile(values, 100 * quantile)` with linear interpolation; `values` must not be empty.
  static func quantile(_ values: [Double], _ quantile: Double) -> Double {
    let sorted = values.sorted()
    return self.quantile(quantile, count: sorted.count) { sorted[$0] }
  }

  /// The same for sorted values that are looked up by rank.
  static func quantile(_ quantile: Double, count: Int, valueAtRank: (Int) -> Double) -> Double {
    let virtual = Double(count - 1) * quantile
    let lower = min(max(Int(virtual), 0), count - 1)
    let upper = min(lower + 1, count - 1)
    let weight = virtual - Double(lower)
    let (a, b) = (valueAtRank(lower), valueAtRank(upper))
    let difference = b - a
    // Two forms, so that the result never leaves [a, b].
    return weight >= 0.5 ? b - difference * (1 - weight) : a + difference * weight
  }

  /// `numpy.median(values)`; `values` must not be empty.
  static func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }

  /// A function of every column of a table with rows of equal length.
  static func byColumn(_ rows: [[Double]], _ function: ([Double]) -> Double) -> [Double] {
    (0..<(rows.first?.count ?? 0)).map { column in function(rows.map { $0[column] }) }
  }

  /// The first of the largest values: `numpy.argmax`.
  static func indexOfMaximum(_ values: [Double]) -> Int {
    values.indices.reduce(0) { values[$1] > values[$0] ? $1 : $0 }
  }

  /// The last of the largest values: `numpy.argsort(values)[-1]` for so few values.
  static func lastIndexOfMaximum(_ values: [Double]) -> Int {
    values.indices.reduce(0) { values[$1] >= values[$0] ? $1 : $0 }
  }

  static func product(_ values: [Double]) -> Double { values.reduce(1, *) }

  /// Python's `round`: half to even.
  static func rounded(_ value: Double) -> Double { value.rounded(.toNearestOrEven) }
}
