/// From values `[...]` and labels `[...]` to `[..., channels]`: each value in its label's channel, 0 elsewhere.
public struct ScatterChannel: Operation {
  public var channels: Int

  public init(channels: Int) { self.channels = channels }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    checkSameShape(inputs[0], inputs[1])
    return [Shape(inputs[0].extents + [channels])]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [ShapeRange(inputs[0].common(with: inputs[1]).dimensions + [DimensionRange(channels)])]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (x, result) = (inputs[0].floats, outputs[0].floats)
    inputs[1].withLabels(Self.name) { label in
      context.pool.run(count: inputs[1].count, grain: pointwiseGrain / 4) { range in
        (result + range.lowerBound * channels).update(repeating: 0, count: range.count * channels)
        for i in range {
          let channel = label(i)
          if channel >= 0, channel < channels { result[i * channels + channel] = x[i] }
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.isNeeded[0] ? GatherChannel()(context.outputGradient, context.input(1)) : nil, nil]
  }
}
