/// The mean over axes, summed as `Sum` does.
public struct Mean: Operation {
  private let reduction: ReducedAxes

  public init(over axes: [Int], keepingAxes: Bool) { reduction = ReducedAxes(axes, keepingAxes: keepingAxes) }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    [reduction.shape(of: inputs[0], name: Self.name)]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [reduction.range(of: inputs[0])] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    reduction.evaluate(inputs[0], into: outputs[0], in: context) { source, destination, step in
      sum(source, into: destination, step, scale: 1 / Double(step.reduced), in: context)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let shape = context.inputShapes[0]
    let gradient = context.outputGradient.reshaped(to: reduction.keptShape(of: shape))
    let scale = Float(gradient.count) / Float(max(shape.count, 1))
    return [Broadcast(to: shape)(gradient * scale)]
  }
}
