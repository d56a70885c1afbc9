/// The box `lower ..< upper` of a tensor.
public struct Slice: ShapeBoundOperation {
  public var lower: [Int]
  public var upper: [Int]

  public init(lower: [Int], upper: [Int]) {
    check(
      lower.count == upper.count && zip(lower, upper).allSatisfy { $0 >= 0 && $0 <= $1 },
      "Slice: \(lower) ..< \(upper) is no box")
    self.lower = lower
    self.upper = upper
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(
      inputs[0].rank == upper.count && zip(upper, inputs[0].extents).allSatisfy { $0 <= $1 },
      "Slice: the box \(lower) ..< \(upper) does not lie in shape \(inputs[0])")
    return [Shape(zip(lower, upper).map { $1 - $0 })]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [ShapeRange(zip(lower, upper).map { DimensionRange($1 - $0) })]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { inputs }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let copy = BoxCopy(
      extents: outputs[0].shape.extents, sourceShape: inputs[0].shape, sourceLower: lower,
      destinationShape: outputs[0].shape, destinationLower: lower.map { _ in 0 })
    copy.run(from: inputs[0].bytes, to: outputs[0].bytes, elementSize: inputs[0].elementType.byteCount, in: context)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let after = zip(upper, context.inputShapes[0].extents).map { $1 - $0 }
    return [Pad(lower: lower, upper: after, value: 0)(context.outputGradient)]
  }
}
