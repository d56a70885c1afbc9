import GraphCompiler
import TensorCore

/// The named dimensions of activations: `batch` and `z`, `y`, `x`.
struct SpatialNames {
  let names: [String]

  init(_ dimensions: Int) { names = Array(["z", "y", "x"].suffix(dimensions)) }

  /// The axes of `[N, spatial, C]`, or of `[N, spatial]` without channels.
  func axes(channels: Int?, dividedBy divisors: [Int]? = nil) -> [InputDeclaration.Axis] {
    let divisors = divisors ?? names.map { _ in 1 }
    return [.named("batch")] + zip(names, divisors).map { .named($0, dividedBy: $1) }
      + (channels.map { [.fixed($0)] } ?? [])
  }

  func variables(batch: VariableRange, extents: [VariableRange]) -> [String: VariableRange] {
    check(extents.count == names.count, "\(extents.count) ranges for \(names.count) spatial axes")
    var variables = ["batch": batch]
    for (name, range) in zip(names, extents) { variables[name] = range }
    return variables
  }
}

extension UNet {
  /// For each spatial axis the ranges of extents that the network takes up to a bound.
  public func extentRanges(upTo extents: [Int]) -> [VariableRange] {
    zip(extents, architecture.requiredDivisors).map { extent, divisor in
      VariableRange(DimensionRange(divisor, max(divisor, extent)), multipleOf: divisor)
    }
  }
}
