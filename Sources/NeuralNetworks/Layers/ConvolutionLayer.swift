import TensorCore

/// A convolution with PyTorch's parameters: `weight` `[O, I, kz, ky, kx]` and, optionally, `bias` `[O]`.
public struct ConvolutionLayer: Module {
  public let inputFeatures: Int
  public let outputFeatures: Int
  public let kernelSize: [Int]
  public let stride: [Int]
  let geometry: ConvolutionGeometry
  let weight: ParameterReference
  let bias: ParameterReference?

  /// Pads by `(kernel - 1) / 2` on both sides.
  init(
    _ name: String, inputFeatures: Int, outputFeatures: Int, kernelSize: [Int], stride: [Int], hasBias: Bool,
    layout: inout ParameterLayout
  ) {
    self.inputFeatures = inputFeatures
    self.outputFeatures = outputFeatures
    self.kernelSize = kernelSize
    self.stride = stride
    geometry = ConvolutionGeometry(stride: stride, padding: kernelSize.map { ($0 - 1) / 2 })
    let fanIn = inputFeatures * kernelSize.reduce(1, *)
    weight = layout.add(
      name + ".weight", Shape([outputFeatures, inputFeatures] + kernelSize),
      .kaimingNormal(fanIn: fanIn, negativeSlope: initialSlope))
    bias = hasBias ? layout.add(name + ".bias", [outputFeatures], .constant(0)) : nil
  }

  public func callAsFunction(_ input: consuming Features, _ context: inout ForwardContext) -> Features {
    if context.fuses && !input.isPlain { return Features(fused(input, givesStatistics: false, context)[0]) }
    return Features(input.tensor.convolved(with: context[weight], bias: bias.map { context[$0] }, geometry(context)))
  }

  private func geometry(_ context: ForwardContext) -> ConvolutionGeometry {
    var geometry = geometry
    geometry.algorithm = context.convolutionAlgorithm
    return geometry
  }

  /// The convolution of features that are normalised while they are read, and the statistics of the result.
  func fused(_ input: consuming Features, givesStatistics: Bool, _ context: ForwardContext) -> [Tensor] {
    let operation = FusedConvolution(
      geometry(context), sources: input.sources, hasBias: bias != nil, givesStatistics: givesStatistics)
    return operation.apply(input.inputs + [context[weight]] + (bias.map { [context[$0]] } ?? []))
  }
}

/// A transposed convolution whose kernel is its stride, without padding: `weight` `[I, O, kz, ky, kx]`, `bias` `[O]`.
public struct UpsamplingLayer: Module {
  public let inputFeatures: Int
  public let outputFeatures: Int
  public let stride: [Int]
  let weight: ParameterReference
  let bias: ParameterReference?

  init(
    _ name: String, inputFeatures: Int, outputFeatures: Int, stride: [Int], hasBias: Bool,
    layout: inout ParameterLayout
  ) {
    self.inputFeatures = inputFeatures
    self.outputFeatures = outputFeatures
    self.stride = stride
    // PyTorch takes the second axis for the inputs, which for transposed weights are the outputs.
    let fanIn = outputFeatures * stride.reduce(1, *)
    weight = layout.add(
      name + ".weight", Shape([inputFeatures, outputFeatures] + stride),
      .kaimingNormal(fanIn: fanIn, negativeSlope: initialSlope))
    bias = hasBias ? layout.add(name + ".bias", [outputFeatures], .constant(0)) : nil
  }

  public func callAsFunction(_ input: consuming Features, _ context: inout ForwardContext) -> Features {
    let bias = bias.map { context[$0] }
    if context.fuses && !input.isPlain && input.parts.count == 1 {
      let operation = FusedTransposedConvolution(TransposedConvolution(stride: stride), source: input.sources[0])
      return Features(operation.apply(input.inputs + [context[weight]] + (bias.map { [$0] } ?? []))[0])
    }
    return Features(input.tensor.upsampled(with: context[weight], bias: bias, stride: stride))
  }
}

/// The slope nnU-Net initialises for, whatever the activation is.
private let initialSlope: Float = 0.01
