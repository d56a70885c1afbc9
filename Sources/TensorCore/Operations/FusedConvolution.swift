import CKernels

/// `Convolution` that normalises and activates its input while reading, reads two inputs as if they were concatenated,
/// and takes the statistics of its output while writing: three passes over memory and two tensors fewer.
///
/// Inputs: those of each source, the weight `[O, sum of C / groups, axes...]`, and the bias `[O]` if there is one.
/// Outputs: `[N, axes..., O]`; with statistics also `[3, N, O]` as `InstanceNormalization` gives them.
/// `NormalizedActivation`, `Concatenate`, `Convolution` and the statistics of a normalisation composed are its oracle.
public struct FusedConvolution: Operation {
  public var geometry: ConvolutionGeometry
  public var sources: [ConvolutionSource]
  public var hasBias: Bool
  public var givesStatistics: Bool

  public init(_ geometry: ConvolutionGeometry, sources: [ConvolutionSource], hasBias: Bool, givesStatistics: Bool) {
    check(
      geometry.groups == 1 || sources.count == 1,
      "\(Self.name): two sources with \(geometry.groups) groups; it takes them with one group")
    self.geometry = geometry
    self.sources = sources
    self.hasBias = hasBias
    self.givesStatistics = givesStatistics
  }

  private var weightIndex: Int { sources.inputCount }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(
      inputs.count == weightIndex + (hasBias ? 2 : 1),
      "\(Self.name): \(inputs.count) inputs, its sources, weight and bias are \(weightIndex + (hasBias ? 2 : 1))")
    let source = sources.shape(of: inputs, of: Self.name)
    let output = geometry.outputShape(source, weight: inputs[weightIndex], of: Self.name)
    if hasBias {
      check(
        inputs[weightIndex + 1] == [output.channels],
        "\(Self.name): bias \(inputs[weightIndex + 1]) does not fit \(output.channels) output channels")
    }
    return givesStatistics ? [output, NormalizationStatistics.shape(of: output)] : [output]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let output = geometry.outputRange(sources.range(of: inputs), weight: inputs[weightIndex])
    return givesStatistics ? [output, NormalizationStatistics.range(of: output)] : [output]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] {
    givesStatistics ? [.float32, .float32] : [.float32]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let source = sources.shape(of: inputs.map(\.shape), of: Self.name)
    let shape = geometry.kernelShape(input: source, output: outputs[0].shape, weight: inputs[weightIndex].shape)
    context.runConvolution(
      geometry.plan(shape, CK_CONVOLUTION_FORWARD, isPlain: sources.isPlain, in: context),
      input: sources.kernelInput(inputs), weight: inputs[weightIndex], bias: hasBias ? inputs[weightIndex + 1] : nil,
      destinations: [outputs[0]], statistics: givesStatistics ? outputs[1] : nil)
  }

  public var gradientNeeds: GradientNeeds {
    GradientNeeds(inputs: Set(0...weightIndex), outputs: givesStatistics ? [0, 1] : [])
  }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let inputs = (0..<weightIndex).map(context.input)
    let weight = context.input(weightIndex)
    var gradient = context.outputGradients[0] ?? Tensor(zeros: context.outputShapes[0])
    if givesStatistics, let forStatistics = context.outputGradients[1] {
      gradient = gradient + statisticsGradient(forStatistics, of: context.output(0), context.output(1))
    }
    var result = [Tensor?](repeating: nil, count: weightIndex)
    if context.isNeeded[0..<weightIndex].contains(true) {
      let source = sources.shape(of: inputs.map(\.shape), of: Self.name)
      result = sources.gradients(
        ConvolutionInputGradient(geometry, extents: source.spatial)(gradient, weight), of: inputs,
        isNeeded: Array(context.isNeeded[0..<weightIndex]))
    }
    result.append(
      context.isNeeded[weightIndex]
        ? FusedConvolutionWeightGradient(
          geometry, kernel: Array(weight.shape.extents[2...]), sources: sources, gradientSource: .plain
        ).apply(inputs + [gradient])[0] : nil)
    if hasBias { result.append(context.isNeeded[weightIndex + 1] ? ConvolutionBiasGradient()(gradient) : nil) }
    return result
  }

  /// The gradient for y that comes through its mean and biased variance; what rounding lost of the mean counts as
  /// constant.
  private func statisticsGradient(_ gradient: Tensor, of y: Tensor, _ statistics: Tensor) -> Tensor {
    let count = Float(y.shape.spatial.reduce(1, *))
    let termShape = NormalizationTerms.broadcastShape(of: y.shape)
    func term(_ tensor: Tensor, _ index: Int) -> Tensor {
      tensor.sliced(axis: 0, index..<index + 1).reshaped(to: termShape)
    }
    let centred = (y - term(statistics, 0)) - term(statistics, 1)
    return (centred * term(gradient, 2) * 2 + term(gradient, 0)) * (1 / count)
  }
}
