import CKernels

/// The second input where the first is > 0, `negativeSlope` times it elsewhere.
public struct LeakyRectifierGradient: Operation {
  public var negativeSlope: Float

  public init(negativeSlope: Float) { self.negativeSlope = negativeSlope }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    checkSameShape(inputs[0], inputs[1])
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0].common(with: inputs[1])] }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { true }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_pointwise_kernels_for(context.instructionSet).pointee
    let (x, gradient, result) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    context.pool.run(count: outputs[0].count, grain: pointwiseGrain) { range in
      let first = range.lowerBound
      kernels.leaky_rectifier_gradient(result + first, x + first, gradient + first, range.count, negativeSlope)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [nil, context.isNeeded[1] ? self(context.input(0), context.outputGradient) : nil]
  }
}
