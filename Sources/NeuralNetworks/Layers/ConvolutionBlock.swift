import TensorCore

/// Convolution, dropout, normalization, activation: `ConvDropoutNormReLU` of dynamic_network_architectures.
public struct ConvolutionBlock: Module {
  public let convolution: ConvolutionLayer
  public let dropout: DropoutLayer?
  public let normalization: NormalizationLayer?
  public let activation: UNetArchitecture.Activation?
  let isActivationFirst: Bool

  init(
    _ name: String, inputFeatures: Int, outputFeatures: Int, kernelSize: [Int], stride: [Int], hasBias: Bool,
    dropout: UNetArchitecture.Dropout?, activation: UNetArchitecture.Activation?, of architecture: UNetArchitecture,
    layout: inout ParameterLayout
  ) {
    convolution = ConvolutionLayer(
      name + ".conv", inputFeatures: inputFeatures, outputFeatures: outputFeatures, kernelSize: kernelSize,
      stride: stride, hasBias: hasBias, layout: &layout)
    self.dropout = dropout.map { DropoutLayer(name: name + ".dropout", dropout: $0) }
    normalization = architecture.normalization.map {
      NormalizationLayer(name + ".norm", $0, features: outputFeatures, layout: &layout)
    }
    self.activation = activation
    isActivationFirst = architecture.isActivationFirst && normalization != nil && activation != nil
    // `all_modules` holds the same modules once more, numbered in the order they run.
    let normPosition = (dropout == nil ? 1 : 2) + (isActivationFirst ? 1 : 0)
    layout.alias(everythingUnder: name + ".conv.", as: name + ".all_modules.0.")
    layout.alias(everythingUnder: name + ".norm.", as: name + ".all_modules.\(normPosition).")
  }

  public func callAsFunction(_ input: consuming Features, _ context: inout ForwardContext) -> Features {
    let slope = activation?.negativeSlope ?? 1
    if context.fuses, context.mode == .evaluation, !isActivationFirst, (0...1).contains(slope),
      let normalization, let epsilon = normalization.instanceEpsilon
    {
      let outputs = convolution.fused(consume input, givesStatistics: true, context)
      let (scale, offset) = normalization.scaleAndOffset(context)
      let terms = NormalizationTerms(epsilon: epsilon)(outputs[1], scale, offset)
      return Features(outputs[0], terms: terms, negativeSlope: slope)
    }
    var result = convolution(consume input, &context).tensor
    if let dropout { result = dropout(consume result, &context) }
    guard let normalization else { return Features(activation?(result) ?? result) }
    if isActivationFirst { return Features(normalization(activation?(result) ?? result, &context)) }
    return Features(normalization.normalize(consume result, negativeSlope: activation?.negativeSlope, &context))
  }
}

extension UNetArchitecture.Activation {
  /// ReLU is leaky ReLU with slope 0.
  var negativeSlope: Float {
    switch self {
    case .leakyReLU(let slope): slope
    case .relu: 0
    }
  }

  func callAsFunction(_ input: Tensor) -> Tensor { input.leakyRectified(negativeSlope: negativeSlope) }
}

/// Convolution blocks one after the other; the first one may stride. `StackedConvBlocks`.
public struct StackedConvolutionBlocks: Module {
  public let blocks: [ConvolutionBlock]

  init(
    _ name: String, count: Int, inputFeatures: Int, outputFeatures: Int, kernelSize: [Int], stride: [Int],
    of architecture: UNetArchitecture, layout: inout ParameterLayout
  ) {
    blocks = (0..<count).map { index in
      ConvolutionBlock(
        name + ".convs.\(index)", inputFeatures: index == 0 ? inputFeatures : outputFeatures,
        outputFeatures: outputFeatures, kernelSize: kernelSize,
        stride: index == 0 ? stride : stride.map { _ in 1 }, hasBias: architecture.hasConvolutionBias,
        dropout: architecture.dropout, activation: architecture.activation, of: architecture, layout: &layout)
    }
  }

  public func callAsFunction(_ input: consuming Features, _ context: inout ForwardContext) -> Features {
    var current = consume input
    for block in blocks { current = block(consume current, &context) }
    return current
  }
}
