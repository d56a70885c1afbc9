import TensorCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension OperationCase {
  private static func reduction(
    _ make: ([Int], Bool) -> any Operation, distinct: Bool,
    _ body: @escaping @Sendable ([Double]) -> Double
  ) -> [OperationCase] {
    let variants: [(Shape, [Int], Bool)] = [
      ([3, 4, 5], [0, 1, 2], false), ([3, 4, 5], [2], true), ([3, 4, 5], [0], false),
      ([2, 3, 4, 5, 6], [1, 2, 3], true),
      ([2, 3, 4, 5], [0, 2], false), ([2, 3, 4, 5], [1, 3], true), ([5, 3], [1], false), ([7, 40], [1], false),
      ([70_003], [0], false), ([2, 3000, 19], [1], false), ([3, 40_001], [1], true), ([9], [], false),
      ([2, 9, 4000], [0, 2], false),
    ]
    return variants.map { shape, axes, keepsAxes in
      OperationCase(
        make(axes, keepsAxes), "\(shape) over \(axes)",
        inputs: { [distinct ? TestInput.distinct(shape) : TestInput.uniform(shape, in: -1...2)] },
        otherShapes: shape == [2, 3, 4, 5] ? [[[3, 3, 9, 1]]] : []
      ) { arguments in
        let kept = Shape(shape.extents.enumerated().map { axes.contains($0) ? 1 : $1 })
        var groups = [[Double]](repeating: [], count: kept.count)
        for (place, value) in arguments[0].elements.enumerated() {
          let index = shape.index(of: place).enumerated().map { axes.contains($0) ? 0 : $1 }
          groups[kept.offset(of: index)].append(value)
        }
        let result = keepsAxes ? kept : Shape(shape.extents.enumerated().filter { !axes.contains($0.0) }.map(\.1))
        return [ReferenceArray(shape: result, elements: groups.map(body))]
      }
    }
  }

  static let reductions: [OperationCase] = sums + means + maxima + squares

  private static let sums = reduction({ Sum(over: $0, keepingAxes: $1) }, distinct: false) { $0.reduce(0, +) }

  private static let means = reduction({ Mean(over: $0, keepingAxes: $1) }, distinct: false) {
    $0.reduce(0, +) / Double($0.count)
  }

  private static let maxima = reduction({ LargestElement(over: $0, keepingAxes: $1) }, distinct: true) {
    $0.max() ?? 0
  }

  private static let squares: [OperationCase] = ([[4, 5, 3], [70_001], [1, 1]] as [Shape]).map { shape in
    OperationCase(
      SumOfSquares(), "\(shape)", inputs: { [TestInput.uniform(shape)] },
      otherShapes: shape.rank == 3 ? [[[9, 1, 2]]] : []
    ) { [ReferenceArray(shape: [], elements: [$0[0].elements.reduce(0) { $0 + $1 * $1 }])] }
  }

  /// Applies `body` to the channels of every row.
  private static func rows(
    _ arrays: [ReferenceArray], _ body: ([[Double]]) -> [Double]
  ) -> [ReferenceArray] {
    let channels = arrays[0].shape.channels
    var elements: [Double] = []
    for first in stride(from: 0, to: arrays[0].elements.count, by: channels) {
      elements += body(arrays.map { Array($0.elements[first..<first + channels]) })
    }
    return [ReferenceArray(shape: arrays[0].shape, elements: elements)]
  }

  private static func softmax(_ x: [Double]) -> [Double] {
    let largest = x.max() ?? 0
    let powers = x.map { exp($0 - largest) }
    let sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
  }

  static let softmaxes: [OperationCase] = ([[2, 3, 4, 3], [5, 1], [3, 17], [2, 100], [9000, 4]] as [Shape]).flatMap {
    shape -> [OperationCase] in
    let other = [shape.extents.map { $0 + 1 }].map { [Shape($0)] }
    return [
      OperationCase(
        Softmax(), "\(shape)", inputs: { [TestInput.uniform(shape, in: -9...9)] }, otherShapes: other
      ) { rows($0) { softmax($0[0]) } },
      OperationCase(
        LogSoftmax(), "\(shape)", inputs: { [TestInput.uniform(shape, in: -9...9)] }, otherShapes: other
      ) { rows($0) { softmax($0[0]).map { log($0) } } },
      OperationCase(
        SoftmaxGradient(), "\(shape)",
        inputs: { [TestInput.uniform(shape, in: 0...1), TestInput.uniform(shape, seed: 2)] }, differentiable: [0, 1]
      ) {
        rows($0) { row in
          let sum = zip(row[0], row[1]).reduce(0) { $0 + $1.0 * $1.1 }
          return zip(row[0], row[1]).map { $0 * ($1 - sum) }
        }
      },
      OperationCase(
        LogSoftmaxGradient(), "\(shape)",
        inputs: { [TestInput.uniform(shape, in: -5...0), TestInput.uniform(shape, seed: 2)] }, differentiable: [0, 1]
      ) {
        rows($0) { row in
          let sum = row[1].reduce(0, +)
          return zip(row[0], row[1]).map { $1 - exp($0) * sum }
        }
      },
    ]
  }
}
