/// `InstanceNormalization` and a leaky rectifier in one pass, forward and backward; the two composed are its oracle.
public struct InstanceNormalizationActivation: Operation {
  public var epsilon: Float
  public var negativeSlope: Float

  public init(epsilon: Float, negativeSlope: Float) {
    check(
      negativeSlope >= 0 && negativeSlope < 1, "\(Self.name): the negative slope \(negativeSlope) is not in 0 ..< 1")
    self.epsilon = epsilon
    self.negativeSlope = negativeSlope
  }

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
    evaluateNormalization(inputs, into: outputs, epsilon: epsilon, negativeSlope: negativeSlope, in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1, 2], outputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    InstanceNormalizationGradient(epsilon: epsilon, negativeSlope: negativeSlope).inputGradients(context)
  }
}
