import GraphCompiler
import TensorCore
import TensorTestSupport
import Testing

@Suite struct MemoryTests {
  private static func network(_ arguments: [Tensor]) -> [Tensor] {
    let (x, w, v) = (arguments[0], arguments[1], arguments[2])
    let ones = Tensor(repeating: 1, shape: [8])
    var current = x.convolved(with: w, bias: nil, ConvolutionGeometry(preserving: [3, 3, 3]))
    for _ in 0..<4 {
      let normalized = current.instanceNormalized(weight: ones, bias: ones, epsilon: 1e-5, negativeSlope: 0.01)
      current = normalized.convolved(with: v, bias: ones, ConvolutionGeometry(preserving: [3, 3, 3])) + normalized
    }
    return [current.softmax()]
  }

  private static let inputs = [
    InputDeclaration("x", axes: [.named("n"), .named("z"), .named("y"), .named("x"), .fixed(1)]),
    InputDeclaration("w", shape: [8, 1, 3, 3, 3]), InputDeclaration("v", shape: [8, 8, 3, 3, 3]),
  ]
  private static let variables = Dictionary(
    uniqueKeysWithValues: ["n", "z", "y", "x"].map { ($0, $0 == "n" ? VariableRange(1...2) : VariableRange(8...24)) })

  private static func arguments(_ extents: [Int]) -> [Tensor] {
    [
      uniform(Shape(extents + [1]), seed: 1), uniform([8, 1, 3, 3, 3], seed: 2), uniform([8, 8, 3, 3, 3], seed: 3),
    ]
  }

  @Test func overlappingLifetimesNeverShareMemory() {
    // Values are compared bit for bit with memory planned at the largest shape, used at a smaller one.
    let function = compile(Self.inputs, Self.variables, options: exactOptions()) { Self.network($0) }
    for extents in [[2, 24, 24, 24], [1, 9, 17, 24], [2, 8, 8, 8]] {
      var inputs = Self.arguments(extents)
      let expected = Self.network(inputs)
      #expect(isSame(function.run(&inputs).outputs, expected))
    }
    #expect(function.reports.count == 1)
  }

  /// A chain of elementwise operations lives in the memory of one value rather than two.
  @Test func overwritingSavesMemory() {
    func peak(_ disabled: Set<String>) -> Int? {
      let input = InputDeclaration("x", shape: [64, 1024])
      let function = compile([input], options: testOptions { $0.disabledPasses = disabled }) { arguments in
        [arguments[0].exponential().softplus().squareRoot().sigmoid().sum()]
      }
      return function.prepare(for: [uniform([64, 1024], seed: 1)])?.arenaByteCount
    }
    let (overwriting, without) = (peak([]) ?? 0, peak(["in-place"]) ?? 0)
    #expect(overwriting >= 4 << 16 && overwriting < 6 << 16 && without >= 8 << 16)
  }
}
