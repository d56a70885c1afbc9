/// The spatial axes of `[N, ..., C]` brought to other extents, as PyTorch's `interpolate` with `align_corners=False`.
public struct Upsample: ShapeBoundOperation {
  /// The spatial extents of the result.
  public var extents: [Int]
  public var interpolation: Interpolation

  public init(to extents: [Int], _ interpolation: Interpolation) {
    check(extents.allSatisfy { $0 > 0 }, "Upsample: extents \(extents)")
    self.extents = extents
    self.interpolation = interpolation
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(
      inputs[0].rank == extents.count + 2 && !inputs[0].spatial.contains(0),
      "Upsample: extents \(extents) for shape \(inputs[0]) ([N, ..., C])")
    return [Shape([inputs[0][0]] + extents + [inputs[0].channels])]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let dimensions = inputs[0].dimensions
    return [ShapeRange([dimensions[0]] + extents.map { DimensionRange($0) } + [dimensions[dimensions.count - 1]])]
  }

  func maps(of input: Shape) -> [AxisMap] {
    zip(input.spatial, extents).map { interpolation.map(from: $0, to: $1) }
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    applySpatialMaps(maps(of: inputs[0].shape), to: inputs[0], into: outputs[0], in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [UpsampleGradient(self, inputShape: context.inputShapes[0])(context.outputGradient)]
  }
}
