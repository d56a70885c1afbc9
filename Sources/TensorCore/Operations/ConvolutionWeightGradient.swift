import CKernels

/// The gradient of a convolution with respect to its weight.
///
/// Inputs: the convolution's input `[N, axes..., C]` and the output's gradient `[N, axes..., O]`.
/// Output: `[O, C / groups, kernel...]`.
public struct ConvolutionWeightGradient: Operation {
  public var geometry: ConvolutionGeometry
  /// The kernel's extents; several can give the same output extents.
  public var kernel: [Int]

  public init(_ geometry: ConvolutionGeometry, kernel: [Int]) {
    self.geometry = geometry
    self.kernel = kernel
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let (input, gradient) = (inputs[0], inputs[1])
    let weight = Shape([gradient.channels, input.channels / geometry.groups] + kernel)
    let expected = geometry.outputShape(input, weight: weight, of: Self.name)
    check(
      expected == gradient,
      "ConvolutionWeightGradient: the gradient has shape \(gradient), the convolution of \(input) gives \(expected)")
    return [weight]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let (input, gradient) = (inputs[0], inputs[1])
    let inputs = input[input.rank - 1].mapMonotonic { $0 / geometry.groups }
    return [ShapeRange([gradient[gradient.rank - 1], inputs] + kernel.map { DimensionRange($0) })]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = geometry.kernelShape(input: inputs[0].shape, output: inputs[1].shape, weight: outputs[0].shape)
    context.runWeightGradient(
      geometry.plan(shape, CK_CONVOLUTION_WEIGHT_GRADIENT, in: context), input: [.plain].kernelInput(inputs),
      outputGradient: ConvolutionSource.plain.kernelSource([inputs[1]]), result: outputs[0])
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    return [
      context.isNeeded[0]
        ? ConvolutionInputGradient(geometry, extents: context.inputShapes[0].spatial)(context.input(1), gradient)
        : nil,
      context.isNeeded[1] ? Convolution(geometry)(context.input(0), gradient) : nil,
    ]
  }
}
