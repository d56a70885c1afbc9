/// A tensor with a border of one value; per axis, how many elements come before and after.
public struct Pad: Operation {
  public var lower: [Int]
  public var upper: [Int]
  public var value: Float

  public init(lower: [Int], upper: [Int], value: Float) {
    check(
      lower.count == upper.count && (lower + upper).allSatisfy { $0 >= 0 },
      "Pad: the borders \(lower) and \(upper) must be of one length and not negative")
    self.lower = lower
    self.upper = upper
    self.value = value
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0].rank == lower.count, "Pad: \(lower.count) borders for shape \(inputs[0])")
    return [Shape(inputs[0].extents.indices.map { lower[$0] + inputs[0][$0] + upper[$0] })]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [ShapeRange(inputs[0].dimensions.indices.map { inputs[0][$0] + DimensionRange(lower[$0] + upper[$0]) })]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { inputs }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    if outputs[0].count != inputs[0].count { outputs[0].fill(with: value, in: context.pool) }
    let copy = BoxCopy(
      extents: inputs[0].shape.extents, sourceShape: inputs[0].shape,
      sourceLower: lower.map { _ in 0 }, destinationShape: outputs[0].shape, destinationLower: lower)
    copy.run(from: inputs[0].bytes, to: outputs[0].bytes, elementSize: inputs[0].elementType.byteCount, in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [Slice(lower: lower, upper: zip(lower, context.inputShapes[0].extents).map(+))(context.outputGradient)]
  }
}
