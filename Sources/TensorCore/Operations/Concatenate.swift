/// Tensors one after another along an axis; all other extents agree.
public struct Concatenate: Operation {
  public var axis: Int

  public init(axis: Int) {
    check(axis >= 0, "Concatenate: axis \(axis) is negative")
    self.axis = axis
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(!inputs.isEmpty && axis < inputs[0].rank, "Concatenate: no axis \(axis) in \(inputs)")
    var result = inputs[0]
    for shape in inputs.dropFirst() {
      var aligned = shape
      if shape.rank == result.rank { aligned[axis] = inputs[0][axis] }
      check(aligned == inputs[0], "Concatenate: shapes \(inputs[0]) and \(shape) differ outside axis \(axis)")
      result[axis] += shape[axis]
    }
    return [result]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    var result = inputs[0]
    for range in inputs.dropFirst() {
      var sum = result.common(with: range)
      sum[axis] = result[axis] + range[axis]
      result = sum
    }
    return [result]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] {
    check(Set(inputs).count == 1, "Concatenate: element types \(inputs) differ")
    return [inputs[0]]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    var lower = outputs[0].shape.extents.map { _ in 0 }
    for input in inputs {
      let copy = BoxCopy(
        extents: input.shape.extents, sourceShape: input.shape, sourceLower: lower.map { _ in 0 },
        destinationShape: outputs[0].shape, destinationLower: lower)
      copy.run(from: input.bytes, to: outputs[0].bytes, elementSize: input.elementType.byteCount, in: context)
      lower[axis] += input.shape[axis]
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    var lower = context.outputShapes[0].extents.map { _ in 0 }
    return zip(context.inputShapes, context.isNeeded).map { shape, isNeeded in
      defer { lower[axis] += shape[axis] }
      let upper = zip(lower, shape.extents).map(+)
      return isNeeded ? Slice(lower: lower, upper: upper)(context.outputGradient) : nil
    }
  }
}
