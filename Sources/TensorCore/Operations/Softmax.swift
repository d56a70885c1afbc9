import CKernels

/// e^x over its sum along the channels (the last axis).
public struct Softmax: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0].rank > 0, "\(Self.name): a scalar has no channels")
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_softmax_kernels_for(context.instructionSet).pointee
    let channels = outputs[0].shape.channels
    let (x, result) = (inputs[0].floats, outputs[0].floats)
    context.pool.run(count: outputs[0].count / max(channels, 1), grain: max(1, pointwiseGrain / 4 / max(channels, 1))) {
      rows in
      let first = rows.lowerBound * channels
      kernels.softmax(result + first, x + first, rows.count, channels)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [SoftmaxGradient()(context.output(0), context.outputGradient)]
  }
}
