/// The transposed map of `AveragePool`: from the gradient for its output to the one for its input.
public struct AveragePoolGradient: ShapeBoundOperation {
  public var window: PoolingWindow
  public var inputShape: Shape

  public init(_ window: PoolingWindow, inputShape: Shape) {
    self.window = window
    self.inputShape = inputShape
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let pooled = window.shape(of: inputShape, name: Self.name)
    check(inputs[0] == pooled, "\(Self.name): the gradient's shape is \(inputs[0]), not \(pooled)")
    return [inputShape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(inputShape)] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let maps = zip(window.averageMaps(of: inputShape), inputShape.spatial).map { $0.transposed(inputCount: $1) }
    applySpatialMaps(maps, to: inputs[0], into: outputs[0], in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] { [AveragePool(window)(context.outputGradient)] }
}
