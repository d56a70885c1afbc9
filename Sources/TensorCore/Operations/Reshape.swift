/// The same elements under another shape, row-major order kept.
public struct Reshape: ShapeBoundOperation {
  public var shape: Shape

  public init(to shape: Shape) { self.shape = shape }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0].count == shape.count, "Reshape: \(inputs[0]) has not as many elements as \(shape)")
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(shape)] }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { inputs }

  public var isRelabelling: Bool { true }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    outputs[0].bytes.copyMemory(
      from: inputs[0].bytes, byteCount: inputs[0].count * inputs[0].elementType.byteCount)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient.reshaped(to: context.inputShapes[0])]
  }
}
