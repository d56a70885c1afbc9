/// Instance normalisation of `[N, ..., C]`: each channel of each instance gets mean 0 and variance 1 over the spatial
/// axes, then a weight and a bias per channel (inputs 1 and 2, `[C]`).
///
/// Outputs: the result and the statistics `[3, N, C]` (mean, what rounding lost of it, biased variance), through
/// which no gradient flows. Ulyanov, Vedaldi, Lempitsky, arXiv:1607.08022.
public struct InstanceNormalization: Operation {
  public var epsilon: Float

  public init(epsilon: Float) { self.epsilon = epsilon }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    checkNormalization(Self.name, inputs[0], inputs[1], inputs[2])
    return [inputs[0], NormalizationStatistics.shape(of: inputs[0])]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [inputs[0], NormalizationStatistics.range(of: inputs[0])]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32, .float32] }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { input == 0 && output == 0 }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    NormalizationLayout(inputs[0]).scratchByteCount
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    evaluateNormalization(inputs, into: outputs, epsilon: epsilon, negativeSlope: 1, in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1, 2], outputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    InstanceNormalizationGradient(epsilon: epsilon, negativeSlope: 1).inputGradients(context)
  }
}
