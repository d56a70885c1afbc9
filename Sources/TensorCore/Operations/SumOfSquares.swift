import CKernels

/// The sum of the squares of all elements, a scalar, added as `Sum` does.
public struct SumOfSquares: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] { [[]] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [[]] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_reduction_kernels_for(context.instructionSet).pointee
    let (x, result) = (inputs[0].floats, outputs[0].floats)
    sumParts(outer: 1, reduced: inputs[0].count, inner: 1, in: context) { _, rows, sums in
      sums[0] += kernels.sum_of_squares(x + rows.lowerBound, rows.count)
    } store: { _, sums in
      result[0] = Float(sums[0])
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.input(0) * (context.outputGradient * 2)]
  }
}
