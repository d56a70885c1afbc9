/// From `[..., C]` and labels `[...]` the element in the label's channel, `[...]`; 0 where a label names no channel.
public struct GatherChannel: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(
      Array(inputs[0].extents.dropLast()) == inputs[1].extents && inputs[0].rank > 0,
      "GatherChannel: labels \(inputs[1]) do not fit the values \(inputs[0])")
    return [inputs[1]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [inputs[1].common(with: ShapeRange(Array(inputs[0].dimensions.dropLast())))]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (x, result, channels) = (inputs[0].floats, outputs[0].floats, inputs[0].shape.channels)
    inputs[1].withLabels(Self.name) { label in
      context.pool.run(count: inputs[1].count, grain: pointwiseGrain / 4) { range in
        for i in range {
          let channel = label(i)
          result[i] = channel >= 0 && channel < channels ? x[i * channels + channel] : 0
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [ScatterChannel(channels: context.inputShapes[0].channels)(context.outputGradient, context.input(1)), nil]
  }
}
