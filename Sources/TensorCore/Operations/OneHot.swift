/// Labels `[...]` to `[..., classCount]` with 1 in the label's channel and 0 elsewhere; a label that names no channel
/// (the ignore label, say) gives zeros.
public struct OneHot: Operation {
  public var classCount: Int

  public init(classCount: Int) {
    check(classCount > 0, "OneHot: \(classCount) classes")
    self.classCount = classCount
  }

  public func shapes(of inputs: [Shape]) -> [Shape] { [Shape(inputs[0].extents + [classCount])] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [ShapeRange(inputs[0].dimensions + [DimensionRange(classCount)])]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let result = outputs[0].floats
    inputs[0].withLabels(Self.name) { label in
      context.pool.run(count: inputs[0].count, grain: pointwiseGrain / 4) { range in
        (result + range.lowerBound * classCount).update(repeating: 0, count: range.count * classCount)
        for i in range {
          let channel = label(i)
          if channel >= 0, channel < classCount { result[i * classCount + channel] = 1 }
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] { [nil] }
}
