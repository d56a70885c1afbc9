import CKernels

/// Elements of the second input where the first is not 0, of the third elsewhere. All have one shape.
///
/// Unlike a product with a mask, what is not selected may be infinite or NaN.
public struct Select: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] {
    checkSameShape(inputs[0], inputs[1])
    checkSameShape(inputs[1], inputs[2])
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [inputs[0].common(with: inputs[1]).common(with: inputs[2])]
  }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { true }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_pointwise_kernels_for(context.instructionSet).pointee
    let (mask, a, b, result) = (inputs[0].floats, inputs[1].floats, inputs[2].floats, outputs[0].floats)
    context.pool.run(count: outputs[0].count, grain: pointwiseGrain) { range in
      let first = range.lowerBound
      kernels.select(result + first, mask + first, a + first, b + first, range.count)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    let zeros = Tensor(zeros: gradient.shape)
    return [
      nil,
      context.isNeeded[1] ? Select()(context.input(0), gradient, zeros) : nil,
      context.isNeeded[2] ? Select()(context.input(0), zeros, gradient) : nil,
    ]
  }
}
