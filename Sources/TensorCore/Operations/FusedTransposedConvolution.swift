import CKernels

/// `TransposedConvolution` that normalises and activates its input while reading.
///
/// Inputs: those of the source, the weight `[C, O / groups, axes...]`, and optionally the bias `[O]`.
/// Output: `[N, axes..., O]`.
public struct FusedTransposedConvolution: Operation {
  public var composed: TransposedConvolution
  public var source: ConvolutionSource

  public init(_ composed: TransposedConvolution, source: ConvolutionSource) {
    self.composed = composed
    self.source = source
  }

  /// The inputs that the composed form takes: without the terms of the source.
  private func plain<Element>(_ inputs: [Element]) -> [Element] { [inputs[0]] + inputs[source.inputCount...] }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    source.check(inputs, of: Self.name)
    return composed.shapes(of: plain(inputs))
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { composed.ranges(of: plain(inputs)) }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let rest = Array(inputs[source.inputCount...])
    let shape = composed.geometry.kernelShape(
      input: outputs[0].shape, output: inputs[0].shape, weight: rest[0].shape)
    context.runConvolution(
      composed.geometry.plan(shape, CK_CONVOLUTION_INPUT_GRADIENT, isPlain: source == .plain, in: context),
      input: [source].kernelInput(inputs), weight: rest[0], bias: rest.count > 1 ? rest[1] : nil,
      destinations: [outputs[0]])
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: Set(0...source.inputCount)) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let count = source.inputCount
    let inputs = (0..<count).map(context.input)
    let weight = context.input(count), gradient = context.outputGradient
    var result = [Tensor?](repeating: nil, count: count)
    if context.isNeeded[..<count].contains(true) {
      result = source.gradients(
        Convolution(composed.geometry)(gradient, weight), of: inputs, isNeeded: Array(context.isNeeded[..<count]))
    }
    result.append(
      context.isNeeded[count]
        ? FusedConvolutionWeightGradient(
          composed.geometry, kernel: Array(weight.shape.extents[2...]), sources: [.plain], gradientSource: source
        ).apply([gradient] + inputs)[0] : nil)
    if context.inputShapes.count > count + 1 {
      result.append(context.isNeeded[count + 1] ? ConvolutionBiasGradient()(gradient) : nil)
    }
    return result
  }
}
