import CKernels

/// `firstScale * a + secondScale * b` for two tensors of one shape in one pass: the shape of every optimizer update.
public struct ScaledAdd: Operation {
  public var firstScale: Float
  public var secondScale: Float

  public init(_ firstScale: Float, _ secondScale: Float) {
    self.firstScale = firstScale
    self.secondScale = secondScale
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    checkSameShape(inputs[0], inputs[1])
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0].common(with: inputs[1])] }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { true }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_pointwise_kernels_for(context.instructionSet).pointee
    let (a, b, result) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    context.pool.run(count: outputs[0].count, grain: pointwiseGrain) { range in
      let first = range.lowerBound
      kernels.scaled_add(result + first, a + first, firstScale, b + first, secondScale, range.count)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [
      context.isNeeded[0] ? context.outputGradient * firstScale : nil,
      context.isNeeded[1] ? context.outputGradient * secondScale : nil,
    ]
  }
}
