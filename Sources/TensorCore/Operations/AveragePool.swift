/// The average under a sliding window over the spatial axes of `[N, ..., C]`; padding counts as zeros.
public struct AveragePool: Operation {
  public var window: PoolingWindow

  public init(_ window: PoolingWindow) { self.window = window }

  public func shapes(of inputs: [Shape]) -> [Shape] { [window.shape(of: inputs[0], name: Self.name)] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [window.range(of: inputs[0])] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    applySpatialMaps(window.averageMaps(of: inputs[0].shape), to: inputs[0], into: outputs[0], in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [AveragePoolGradient(window, inputShape: context.inputShapes[0])(context.outputGradient)]
  }
}
