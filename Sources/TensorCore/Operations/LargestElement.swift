/// The largest element over axes; NaN where there is one. Equal largest elements share the gradient.
public struct LargestElement: Operation {
  private let reduction: ReducedAxes

  public init(over axes: [Int], keepingAxes: Bool) { reduction = ReducedAxes(axes, keepingAxes: keepingAxes) }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let shape = reduction.shape(of: inputs[0], name: Self.name)
    check(inputs[0].count > 0 || shape.count == 0, "LargestElement: shape \(inputs[0]) has no elements")
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [reduction.range(of: inputs[0])] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    reduction.evaluate(inputs[0], into: outputs[0], in: context) { source, destination, step in
      maximum(source, into: destination, step, in: context)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0], outputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let shape = context.inputShapes[0]
    let gradient = context.outputGradient.reshaped(to: reduction.keptShape(of: shape))
    let x = context.input(0)
    let isLargest = x.isEqual(to: context.output(0).reshaped(to: gradient.shape))
    let shares = gradient / isLargest.summed(to: gradient.shape)
    return [shares * isLargest]
  }
}
