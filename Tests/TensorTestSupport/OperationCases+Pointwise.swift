import TensorCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension OperationCase {
  private static func unary(
    _ operation: any Operation, in range: ClosedRange<Float> = -2...2, avoiding kinks: [Float] = [],
    tolerance: Double = 1e-6, _ body: @escaping @Sendable (Double) -> Double
  ) -> [OperationCase] {
    [[3, 5, 7], [2, 40_000]].map { (shape: Shape) in
      OperationCase(
        operation, "\(shape)", inputs: { [TestInput.uniform(shape, in: range, avoiding: kinks)] },
        tolerance: tolerance, otherShapes: [shape.rank == 3 ? [[1, 9, 7]] : [[5, 3]]]
      ) { [$0[0].map(body)] }
    }
  }

  static let pointwise: [OperationCase] = unaryCases.flatMap { $0 } + pairwise

  private static let unaryCases: [[OperationCase]] = [
    unary(ScaleOffset(scale: -1.5, offset: 0.25)) { -1.5 * $0 + 0.25 },
    unary(Exponential(), in: -20...5) { exp($0) },
    unary(NaturalLogarithm(), in: 0.1...50) { log($0) },
    unary(SquareRoot(), in: 0.1...9) { $0.squareRoot() },
    unary(Reciprocal(), in: -3...3, avoiding: [0, 0.1, 0.2, -0.1, -0.2]) { 1 / $0 },
    unary(AbsoluteValue(), avoiding: [0]) { abs($0) },
    unary(Sigmoid(), in: -9...9) { 1 / (1 + exp(-$0)) },
    unary(Softplus(), in: -9...9) { log1p(exp($0)) },
    unary(Clamp(lower: -0.5, upper: 0.75), avoiding: [-0.5, 0.75]) { min(max($0, -0.5), 0.75) },
    unary(Power(2)) { $0 * $0 },
    unary(Power(-1.5), in: 0.5...2) { pow($0, -1.5) },
    unary(LeakyRectifier(negativeSlope: 0.01), avoiding: [0]) { $0 > 0 ? $0 : Double(Float(0.01)) * $0 },
    unary(LeakyRectifier(negativeSlope: 0), avoiding: [0]) { max($0, 0) },
  ]

  private static let pairwise: [OperationCase] = [
    OperationCase(
      LeakyRectifierGradient(negativeSlope: 0.25),
      inputs: { [TestInput.uniform([3, 5, 7], avoiding: [0]), TestInput.uniform([3, 5, 7], seed: 2)] },
      differentiable: [1], otherShapes: [[[4, 5, 7], [4, 5, 7]]]
    ) { arguments in
      [
        ReferenceArray(shape: arguments[0].shape) {
          arguments[0][$0] > 0 ? arguments[1][$0] : 0.25 * arguments[1][$0]
        }
      ]
    },
    OperationCase(
      ScaledAdd(0.5, -2), inputs: { [TestInput.uniform([7, 11]), TestInput.uniform([7, 11], seed: 2)] },
      differentiable: [0, 1], otherShapes: [[[1, 11], [1, 11]]]
    ) { arguments in
      [ReferenceArray(shape: arguments[0].shape) { 0.5 * arguments[0][$0] - 2 * arguments[1][$0] }]
    },
    OperationCase(
      Select(),
      inputs: {
        let mask = TestInput.uniform([5, 9], seed: 3).isGreater(than: Tensor(0))
        return [mask, TestInput.uniform([5, 9]), TestInput.uniform([5, 9], seed: 2)]
      }, differentiable: [1, 2], otherShapes: [[[6, 9], [6, 9], [6, 9]]]
    ) { arguments in
      [
        ReferenceArray(shape: arguments[0].shape) { arguments[0][$0] != 0 ? arguments[1][$0] : arguments[2][$0] }
      ]
    },
  ]

  private static func binary(
    _ operation: any Operation, in range: ClosedRange<Float> = -2...2, avoiding kinks: [Float] = [],
    differentiable: Set<Int> = [0, 1], distinct: Bool = false,
    _ body: @escaping @Sendable (Double, Double) -> Double
  ) -> [OperationCase] {
    let pairs: [(Shape, Shape)] = [
      ([4, 5, 6], [4, 5, 6]), ([4, 5, 6], []), ([], [3, 4]), ([2, 3, 4, 7], [7]), ([2, 3, 4, 5], [2, 1, 1, 5]),
      ([2, 3, 4], [2, 3, 1]), ([3, 1, 5], [1, 4, 1]), ([1], [17]), ([70_001], [70_001]), ([3, 500, 33], [3, 1, 33]),
    ]
    return pairs.map { a, b in
      OperationCase(
        operation, "\(a) and \(b)",
        inputs: {
          let first = TestInput.uniform(a, in: range, avoiding: kinks)
          // Second values between the first ones, where the operation has a kink at equality.
          guard distinct else { return [first, TestInput.uniform(b, in: range, seed: 2, avoiding: kinks)] }
          let grid = first.elements().map { ($0 * 10).rounded() / 10 }
          let other = TestInput.uniform(b, in: range, seed: 2).elements().map { ($0 * 10).rounded() / 10 + 0.05 }
          return [Tensor(grid, shape: a), Tensor(other, shape: b)]
        }, differentiable: differentiable, otherShapes: a == [4, 5, 6] && b == a ? [[[1, 5, 9], [8, 1, 9]]] : []
      ) { arguments in
        let shape = a.broadcast(with: b) ?? []
        func element(_ array: ReferenceArray, _ index: [Int]) -> Double {
          array[zip(index.suffix(array.shape.rank), array.shape.extents).map { min($0, $1 - 1) }]
        }
        return [ReferenceArray(shape: shape) { body(element(arguments[0], $0), element(arguments[1], $0)) }]
      }
    }
  }

  static let broadcasting: [OperationCase] = binaryCases.flatMap { $0 } + repetitions

  private static let binaryCases: [[OperationCase]] = [
    binary(Add()) { $0 + $1 },
    binary(Subtract()) { $0 - $1 },
    binary(Multiply()) { $0 * $1 },
    binary(Divide(), in: 0.5...2) { $0 / $1 },
    binary(Maximum(), distinct: true) { max($0, $1) },
    binary(Compare(.greater), differentiable: [], distinct: true) { $0 > $1 ? 1 : 0 },
    binary(Compare(.greaterOrEqual), differentiable: [], distinct: true) { $0 >= $1 ? 1 : 0 },
  ]

  private static let repetitions: [OperationCase] = [
    OperationCase(
      Compare(.equal),
      inputs: { [Tensor([1, 2, 3] as [Float], shape: [3]), Tensor([3, 2, 1] as [Float], shape: [3])] },
      differentiable: []
    ) { _ in [ReferenceArray(shape: [3], elements: [0, 1, 0])] },
    OperationCase(Broadcast(to: [4, 2, 3, 5]), inputs: { [TestInput.uniform([2, 1, 5])] }) { arguments in
      [ReferenceArray(shape: [4, 2, 3, 5]) { arguments[0][[$0[1], 0, $0[3]]] }]
    },
  ]
}
