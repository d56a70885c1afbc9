import CKernels

/// The gradient of a convolution with respect to its input.
///
/// Inputs: the output's gradient `[N, axes..., O]` and the weight `[O, C / groups, axes...]`.
/// Output: `[N, extents..., C]`.
public struct ConvolutionInputGradient: ShapeBoundOperation {
  public var geometry: ConvolutionGeometry
  /// The extents of the convolution's input; several can give the same output extents.
  public var extents: [Int]

  public init(_ geometry: ConvolutionGeometry, extents: [Int]) {
    self.geometry = geometry
    self.extents = extents
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let (gradient, weight) = (inputs[0], inputs[1])
    check(weight.rank > 1, "ConvolutionInputGradient: weight \(weight) has no channels")
    let result = Shape([gradient[0]] + extents + [weight[1] * geometry.groups])
    let expected = geometry.outputShape(result, weight: weight, of: Self.name)
    check(
      expected == gradient,
      "ConvolutionInputGradient: the gradient has shape \(gradient), the convolution of \(result) gives \(expected)")
    return [result]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let channels = inputs[1][1] * DimensionRange(geometry.groups)
    return [ShapeRange([inputs[0][0]] + extents.map { DimensionRange($0) } + [channels])]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = geometry.kernelShape(input: outputs[0].shape, output: inputs[0].shape, weight: inputs[1].shape)
    context.runConvolution(
      geometry.plan(shape, CK_CONVOLUTION_INPUT_GRADIENT, in: context), input: [.plain].kernelInput(inputs),
      weight: inputs[1], bias: nil, destinations: outputs)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    let kernel = Array(context.inputShapes[1].extents[2...])
    return [
      context.isNeeded[0] ? Convolution(geometry)(gradient, context.input(1)) : nil,
      context.isNeeded[1]
        ? ConvolutionWeightGradient(geometry, kernel: kernel)(gradient, context.input(0)) : nil,
    ]
  }
}
