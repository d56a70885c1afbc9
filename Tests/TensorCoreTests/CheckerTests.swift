import TensorCore
import TensorTestSupport
import Testing

/// Every checker must be able to fail.
@Suite struct CheckerTests {
  private func square(
    gradient: @escaping @Sendable (Tensor) -> Tensor?, differentiable: Set<Int> = [0]
  ) -> OperationCase {
    OperationCase(
      SquareWithRule(rule: gradient), inputs: { [TestInput.uniform([4])] }, differentiable: differentiable
    ) { [$0[0].map { $0 * $0 }] }
  }

  /// x * x with a gradient rule under test.
  private struct SquareWithRule: TensorCore.Operation {
    var rule: @Sendable (Tensor) -> Tensor?
    var worst: DimensionRange?

    static func == (a: Self, b: Self) -> Bool { false }
    func hash(into hasher: inout Hasher) {}
    func shapes(of inputs: [Shape]) -> [Shape] { [inputs[0]] }
    func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
      [ShapeRange(inputs[0].dimensions.map { DimensionRange(0, $0.exact ?? $0.lower) })]
    }
    func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
      for i in 0..<inputs[0].count { outputs[0].floats[i] = inputs[0].floats[i] * inputs[0].floats[i] }
    }
    var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }
    func gradients(_ context: GradientContext) -> [Tensor?] {
      [rule(context.input(0)).map { $0 * context.outputGradient }]
    }
  }

  @Test func rightRulePasses() {
    square { $0 * 2 }.checkForward()
    square { $0 * 2 }.checkGradients()
  }

  @Test func wrongGradientFails() {
    withKnownIssue { square { $0 * 2.01 }.checkGradients() }
  }

  @Test func missingGradientFails() {
    withKnownIssue { square { _ in nil }.checkGradients() }
  }

  @Test func gradientWhereThereIsNoneFails() {
    withKnownIssue { square(gradient: { $0 * 2 }, differentiable: []).checkGradients() }
  }

  @Test func notANumberFails() {
    withKnownIssue { square { $0 * 2 * .nan }.checkGradients() }
    let values = ReferenceArray(shape: [2], elements: [1, .nan])
    withKnownIssue { expectClose(values, values, tolerance: 1, "NaN on both sides") }
  }

  @Test func wrongForwardFails() {
    var test = square { $0 * 2 }
    test.reference = { [$0[0].map { $0 * $0 * 1.0001 }] }
    withKnownIssue { test.checkForward() }
  }

  @Test func nothingToCompareFails() {
    let empty = ReferenceArray(shape: [0], elements: [])
    withKnownIssue { expectClose(empty, empty, tolerance: 1, "empty") }
  }

  @Test func otherShapeFails() {
    withKnownIssue {
      expectClose(
        ReferenceArray(shape: [2], elements: [1, 2]), ReferenceArray(shape: [1, 2], elements: [1, 2]), tolerance: 1, "")
    }
  }

  @Test func unsoundRangesFail() {
    withKnownIssue { square { $0 * 2 }.checkRanges() }
  }
}
