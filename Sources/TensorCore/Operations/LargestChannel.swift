/// The index of the largest of the channels (the last axis) as int16; of equals the first, as NumPy's argmax.
public struct LargestChannel: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0].rank > 0 && inputs[0].channels > 0, "LargestChannel: shape \(inputs[0]) has no channels")
    return [Shape(Array(inputs[0].extents.dropLast()))]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(Array(inputs[0].dimensions.dropLast()))] }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.int16] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (x, result, channels) = (inputs[0].floats, outputs[0].pointer(to: Int16.self), inputs[0].shape.channels)
    context.pool.run(count: outputs[0].count, grain: max(1, pointwiseGrain / channels)) { range in
      for i in range {
        let values = x + i * channels
        var best = 0
        for channel in 1..<max(channels, 1) where values[channel] > values[best] { best = channel }
        result[i] = Int16(best)
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] { [nil] }
}
