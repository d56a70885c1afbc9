/// The transposed map of `Upsample`: from the gradient for its output to the one for its input.
public struct UpsampleGradient: ShapeBoundOperation {
  public var upsample: Upsample
  public var inputShape: Shape

  public init(_ upsample: Upsample, inputShape: Shape) {
    self.upsample = upsample
    self.inputShape = inputShape
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let large = upsample.shapes(of: [inputShape])[0]
    check(inputs[0] == large, "\(Self.name): the gradient's shape is \(inputs[0]), not \(large)")
    return [inputShape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(inputShape)] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let maps = zip(upsample.maps(of: inputShape), inputShape.spatial).map { $0.transposed(inputCount: $1) }
    applySpatialMaps(maps, to: inputs[0], into: outputs[0], in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] { [upsample(context.outputGradient)] }
}
