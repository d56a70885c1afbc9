import CKernels

/// `ConvolutionWeightGradient` that reads its input, or the output's gradient, as fused sources.
///
/// Inputs: those of each source of the convolution's input, then those of the source of the output's gradient (for a
/// transposed convolution that is the activation). Output: `[O, sum of C / groups, kernel...]`.
public struct FusedConvolutionWeightGradient: Operation {
  public var geometry: ConvolutionGeometry
  public var kernel: [Int]
  public var sources: [ConvolutionSource]
  public var gradientSource: ConvolutionSource

  public init(
    _ geometry: ConvolutionGeometry, kernel: [Int], sources: [ConvolutionSource], gradientSource: ConvolutionSource
  ) {
    self.geometry = geometry
    self.kernel = kernel
    self.sources = sources
    self.gradientSource = gradientSource
    // Winograd reads the output's gradient as it is; no network needs more, for it is the activation only where a
    // transposed convolution strides.
    if gradientSource != .plain { self.geometry.algorithm = .direct }
  }

  private var composed: ConvolutionWeightGradient { ConvolutionWeightGradient(geometry, kernel: kernel) }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(
      inputs.count == sources.inputCount + gradientSource.inputCount,
      "\(Self.name): \(inputs.count) inputs, its sources have \(sources.inputCount + gradientSource.inputCount)")
    let gradient = Array(inputs[sources.inputCount...])
    gradientSource.check(gradient, of: Self.name)
    return composed.shapes(of: [sources.shape(of: inputs, of: Self.name), gradient[0]])
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    composed.ranges(of: [sources.range(of: inputs), inputs[sources.inputCount]])
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let gradient = Array(inputs[sources.inputCount...])
    let shape = geometry.kernelShape(
      input: sources.shape(of: inputs.map(\.shape), of: Self.name), output: gradient[0].shape,
      weight: outputs[0].shape)
    context.runWeightGradient(
      geometry.plan(shape, CK_CONVOLUTION_WEIGHT_GRADIENT, isPlain: sources.isPlain, in: context),
      input: sources.kernelInput(inputs), outputGradient: gradientSource.kernelSource(gradient), result: outputs[0])
  }

  public var gradientNeeds: GradientNeeds {
    GradientNeeds(inputs: Set(0..<sources.inputCount + gradientSource.inputCount))
  }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let count = sources.inputCount
    let inputs = (0..<count).map(context.input)
    let gradientInputs = (count..<count + gradientSource.inputCount).map(context.input)
    let input = sources.applied(to: inputs), gradient = gradientSource.applied(to: gradientInputs)
    let forInput = ConvolutionInputGradient(geometry, extents: input.shape.spatial)(gradient, context.outputGradient)
    let forGradient = Convolution(geometry)(input, context.outputGradient)
    return sources.gradients(forInput, of: inputs, isNeeded: Array(context.isNeeded[..<count]))
      + gradientSource.gradients(forGradient, of: gradientInputs, isNeeded: Array(context.isNeeded[count...]))
  }
}
