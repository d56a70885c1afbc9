import CKernels

/// From a log-softmax y and the gradient g for it: `g - e^y * sum(g)`, the sum along the channels.
public struct LogSoftmaxGradient: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] {
    checkSameShape(inputs[0], inputs[1])
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0].common(with: inputs[1])] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_softmax_kernels_for(context.instructionSet).pointee
    let channels = outputs[0].shape.channels
    let (y, gradient, result) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    context.pool.run(count: outputs[0].count / max(channels, 1), grain: max(1, pointwiseGrain / 4 / max(channels, 1))) {
      rows in
      let first = rows.lowerBound * channels
      kernels.log_softmax_gradient(result + first, y + first, gradient + first, rows.count, channels)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let (y, g, upstream) = (context.input(0), context.input(1), context.outputGradient)
    let channel = [y.rank - 1]
    let weighted = upstream * y.exponential()
    return [
      context.isNeeded[0] ? -(weighted * g.sum(axes: channel, keepingAxes: true)) : nil,
      context.isNeeded[1] ? upstream - weighted.sum(axes: channel, keepingAxes: true) : nil,
    ]
  }
}
