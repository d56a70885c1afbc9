import TensorCore

/// The U-Nets that plans describe: nnU-Net's `PlainConvUNet` and `ResidualEncoderUNet`, 2-D and 3-D.
///
/// A network is an immutable function; its parameters come with every call, named, shaped and ordered as in PyTorch.
public struct UNet: Sendable {
  public let architecture: UNetArchitecture
  public let inputChannels: Int
  /// Channels of the logits: classes with the background, or regions.
  public let headCount: Int
  public let layout: ParameterLayout
  /// How evaluation computes convolutions; `nil` for the way that is fastest.
  package var convolutionAlgorithm: ConvolutionAlgorithm?

  let encoder: UNetEncoder
  let decoder: UNetDecoder

  /// - Parameters:
  ///   - architecture: from the plans.
  ///   - inputChannels: image channels.
  ///   - headCount: segmentation heads: classes with the background, or regions.
  public init(_ architecture: UNetArchitecture, inputChannels: Int, headCount: Int) {
    self.architecture = architecture
    self.inputChannels = inputChannels
    self.headCount = headCount
    var layout = ParameterLayout()
    encoder = UNetEncoder(architecture, inputChannels: inputChannels, layout: &layout)
    layout.alias(everythingUnder: "encoder.", as: "decoder.encoder.")
    decoder = UNetDecoder(architecture, headCount: headCount, layout: &layout)
    self.layout = layout
  }

  /// Parameters as nnU-Net initialises them.
  public func initialParameters(_ generator: inout RandomGenerator) -> ParameterSet {
    ParameterSet(layout: layout, generator: &generator)
  }

  /// The logits of all decoder stages, finest first, with deep supervision; of the finest only without.
  ///
  /// - Parameters:
  ///   - input: `[N, Z, Y, X, C]` or `[N, Y, X, C]`, extents divisible by `architecture.requiredDivisors`.
  ///   - deepSupervision: overrides the architecture's.
  public func callAsFunction(
    _ input: Tensor, _ context: inout ForwardContext, deepSupervision: Bool? = nil
  ) -> [Tensor] {
    checkInput(input)
    return decoder(
      encoder(Features(input), &context), &context, deepSupervision: deepSupervision ?? architecture.deepSupervision)
  }

  /// The logits at the input's resolution, evaluated.
  ///
  /// - Parameter fuses: see ``ForwardContext``.
  public func predict(_ input: Tensor, _ parameters: ParameterSet, fuses: Bool = true) -> Tensor {
    var context = evaluationContext(parameters, fuses: fuses)
    return self(input, &context, deepSupervision: false)[0]
  }

  /// What ``predictHead(_:_:)`` turns into logits, evaluated: many classes need far more memory than their features, so
  /// large inputs may take the head in parts.
  package func predictFeatures(_ input: Tensor, _ parameters: ParameterSet, fuses: Bool = true) -> Tensor {
    checkInput(input)
    var context = evaluationContext(parameters, fuses: fuses)
    let skips = encoder(Features(input), &context)
    return decoder.features(skips, &context) { _, _, _ in }.tensor
  }

  /// The logits of features, for any part of the voxels.
  package func predictHead(_ features: Tensor, _ parameters: ParameterSet) -> Tensor {
    var context = evaluationContext(parameters, fuses: true)
    return decoder.heads[decoder.heads.count - 1](Features(features), &context).tensor
  }

  /// A context that draws nothing, records nothing and computes convolutions as this network says.
  func evaluationContext(_ parameters: ParameterSet, fuses: Bool) -> ForwardContext {
    var context = ForwardContext.evaluation(parameters, fuses: fuses)
    context.convolutionAlgorithm = convolutionAlgorithm
    return context
  }

  /// The output of every encoder stage, finest first.
  package func encode(_ input: Tensor, _ context: inout ForwardContext) -> [Tensor] {
    checkInput(input)
    return encoder(Features(input), &context).map(\.tensor)
  }

  private func checkInput(_ input: Tensor) {
    check(
      input.rank == architecture.dimensions + 2 && input.shape.channels == inputChannels,
      "UNet: the input is [N, spatial (\(architecture.dimensions)), \(inputChannels)], got \(input.shape)")
    check(
      zip(input.shape.spatial, architecture.requiredDivisors).allSatisfy { $0 % $1 == 0 },
      "UNet: spatial extents \(input.shape.spatial) must be divisible by \(architecture.requiredDivisors)")
  }
}

/// Stages of falling resolution; each one's output is a skip for the decoder.
struct UNetEncoder: Sendable {
  let stem: StackedConvolutionBlocks?
  let stages: [[any Module]]

  init(_ architecture: UNetArchitecture, inputChannels: Int, layout: inout ParameterLayout) {
    var features = inputChannels
    switch architecture.kind {
    case .plainConvUNet:
      stem = nil
      var stages: [[any Module]] = []
      for (index, stage) in architecture.stages.enumerated() {
        stages.append([
          StackedConvolutionBlocks(
            "encoder.stages.\(index).0", count: stage.blockCount, inputFeatures: features,
            outputFeatures: stage.features, kernelSize: stage.kernelSize, stride: stage.stride, of: architecture,
            layout: &layout)
        ])
        features = stage.features
      }
      self.stages = stages
    case .residualEncoderUNet:
      let stemFeatures = architecture.stemFeatures ?? architecture.stages[0].features
      stem = StackedConvolutionBlocks(
        "encoder.stem", count: 1, inputFeatures: features, outputFeatures: stemFeatures,
        kernelSize: architecture.stages[0].kernelSize, stride: architecture.stages[0].stride.map { _ in 1 },
        of: architecture, layout: &layout)
      features = stemFeatures
      var stages: [[any Module]] = []
      for (index, stage) in architecture.stages.enumerated() {
        var blocks: [any Module] = []
        for block in 0..<stage.blockCount {
          blocks.append(
            ResidualBlock(
              "encoder.stages.\(index).blocks.\(block)", inputFeatures: features, stage: stage,
              stride: block == 0 ? stage.stride : stage.stride.map { _ in 1 }, of: architecture, layout: &layout))
          features = stage.features
        }
        stages.append(blocks)
      }
      self.stages = stages
    }
  }

  func callAsFunction(_ input: Features, _ context: inout ForwardContext) -> [Features] {
    var current = input
    if let stem { current = stem(consume current, &context) }
    var skips: [Features] = []
    for stage in stages {
      for block in stage { current = block(consume current, &context) }
      skips.append(current)
    }
    return skips
  }
}

/// Stages of rising resolution: upsample, join with the skip, convolve; a 1x1 convolution to logits for each.
struct UNetDecoder: Sendable {
  let upsamplings: [UpsamplingLayer]
  let stages: [StackedConvolutionBlocks]
  let heads: [ConvolutionLayer]

  init(_ architecture: UNetArchitecture, headCount: Int, layout: inout ParameterLayout) {
    // Coarsest first, as PyTorch numbers them.
    let pairs = Array(zip(architecture.stages.dropFirst(), architecture.stages).reversed())
    stages = pairs.enumerated().map { index, pair in
      StackedConvolutionBlocks(
        "decoder.stages.\(index)", count: architecture.decoderBlockCounts[index],
        inputFeatures: 2 * pair.1.features, outputFeatures: pair.1.features, kernelSize: pair.1.kernelSize,
        stride: pair.1.stride.map { _ in 1 }, of: architecture, layout: &layout)
    }
    upsamplings = pairs.enumerated().map { index, pair in
      UpsamplingLayer(
        "decoder.transpconvs.\(index)", inputFeatures: pair.0.features, outputFeatures: pair.1.features,
        stride: pair.0.stride, hasBias: architecture.hasConvolutionBias, layout: &layout)
    }
    // All heads exist with and without deep supervision, so that the same parameters serve both.
    heads = pairs.enumerated().map { index, pair in
      let one = pair.1.stride.map { _ in 1 }
      return ConvolutionLayer(
        "decoder.seg_layers.\(index)", inputFeatures: pair.1.features, outputFeatures: headCount,
        kernelSize: one, stride: one, hasBias: true, layout: &layout)
    }
  }

  func callAsFunction(
    _ skips: consuming [Features], _ context: inout ForwardContext, deepSupervision: Bool
  ) -> [Tensor] {
    var logits: [Tensor] = []
    let finest = features(skips, &context) { index, features, context in
      if deepSupervision && index < heads.count - 1 { logits.append(heads[index](features, &context).tensor) }
    }
    logits.append(heads[heads.count - 1](finest, &context).tensor)
    return logits.reversed()
  }

  /// What the finest head gets; `body` sees the features of every stage, coarsest first.
  func features(
    _ skips: consuming [Features], _ context: inout ForwardContext,
    _ body: (_ index: Int, _ features: Features, _ context: inout ForwardContext) -> Void
  ) -> Features {
    var skips = skips
    var current = skips.removeLast()
    for index in stages.indices {
      current = upsamplings[index](consume current, &context)
      // The skip goes as soon as it is joined, so that evaluation holds no more than it needs.
      current = (consume current).joined(with: skips.removeLast(), isWrittenOut: !context.fuses)
      current = stages[index](consume current, &context)
      body(index, current, &context)
    }
    return current
  }
}
