import CKernels

/// Cross-correlation over one to three axes, as PyTorch's `ConvNd`.
///
/// Inputs: the activation `[N, axes..., C]`, the weight `[O, C / groups, axes...]`, and optionally the bias `[O]`.
/// Output: `[N, axes..., O]`.
public struct Convolution: Operation {
  public var geometry: ConvolutionGeometry

  public init(_ geometry: ConvolutionGeometry) { self.geometry = geometry }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let output = geometry.outputShape(inputs[0], weight: inputs[1], of: Self.name)
    if inputs.count > 2 {
      check(
        inputs[2] == [output.channels],
        "Convolution: bias \(inputs[2]) does not fit \(output.channels) output channels")
    }
    return [output]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [geometry.outputRange(inputs[0], weight: inputs[1])]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = geometry.kernelShape(input: inputs[0].shape, output: outputs[0].shape, weight: inputs[1].shape)
    context.runConvolution(
      geometry.plan(shape, CK_CONVOLUTION_FORWARD, in: context), input: [.plain].kernelInput(inputs),
      weight: inputs[1], bias: inputs.count > 2 ? inputs[2] : nil, destinations: outputs)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    var result: [Tensor?] = [nil, nil]
    if context.isNeeded[0] {
      result[0] = ConvolutionInputGradient(geometry, extents: context.inputShapes[0].spatial)(
        gradient, context.input(1))
    }
    if context.isNeeded[1] {
      result[1] = ConvolutionWeightGradient(geometry, kernel: Array(context.inputShapes[1].extents[2...]))(
        context.input(0), gradient)
    }
    if context.inputShapes.count > 2 {
      result.append(context.isNeeded[2] ? ConvolutionBiasGradient()(gradient) : nil)
    }
    return result
  }
}

extension Tensor {
  /// Convolves this activation `[N, axes..., C]` with `weight` `[O, C / groups, axes...]` and adds `bias` `[O]`.
  public func convolved(with weight: Tensor, bias: Tensor?, _ geometry: ConvolutionGeometry) -> Tensor {
    Convolution(geometry).apply([self, weight] + (bias.map { [$0] } ?? []))[0]
  }
}
