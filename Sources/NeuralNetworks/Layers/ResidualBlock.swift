import TensorCore

/// A residual block after ResNet-D: convolution blocks beside a skip of average pooling and a 1x1 projection.
///
/// `BasicBlockD` (two convolutions of the kernel size) and `BottleneckD` (1x1, kernel size, 1x1) of
/// dynamic_network_architectures. He et al.: "Bag of tricks for image classification", CVPR 2019.
public struct ResidualBlock: Module {
  public let main: [ConvolutionBlock]
  /// Average pooling where the block strides.
  public let poolingSize: [Int]?
  /// A 1x1 convolution and a normalization where the features change.
  public let projection: ConvolutionBlock?
  public let activation: UNetArchitecture.Activation?

  init(
    _ name: String, inputFeatures: Int, stage: UNetArchitecture.Stage, stride: [Int],
    of architecture: UNetArchitecture, layout: inout ParameterLayout
  ) {
    let one = stride.map { _ in 1 }
    func block(
      _ index: Int, from input: Int, to output: Int, kernelSize: [Int], stride: [Int], hasDropout: Bool,
      isLast: Bool
    ) -> ConvolutionBlock {
      ConvolutionBlock(
        name + ".conv\(index)", inputFeatures: input, outputFeatures: output, kernelSize: kernelSize,
        stride: stride, hasBias: architecture.hasConvolutionBias, dropout: hasDropout ? architecture.dropout : nil,
        activation: isLast ? nil : architecture.activation, of: architecture, layout: &layout)
    }
    switch architecture.residualBlock {
    case .basic:
      main = [
        block(
          1, from: inputFeatures, to: stage.features, kernelSize: stage.kernelSize, stride: stride,
          hasDropout: true, isLast: false),
        block(
          2, from: stage.features, to: stage.features, kernelSize: stage.kernelSize, stride: one,
          hasDropout: false, isLast: true),
      ]
    case .bottleneck:
      let inner = stage.bottleneckFeatures ?? stage.features
      main = [
        block(1, from: inputFeatures, to: inner, kernelSize: one, stride: one, hasDropout: false, isLast: false),
        block(
          2, from: inner, to: inner, kernelSize: stage.kernelSize, stride: stride, hasDropout: true,
          isLast: false),
        block(3, from: inner, to: stage.features, kernelSize: one, stride: one, hasDropout: false, isLast: true),
      ]
    }
    // The block starts as the identity: `init_last_bn_before_add_to_0`.
    layout.setInitialization(of: main.last?.normalization?.weight, to: .constant(0))
    activation = architecture.activation
    poolingSize = stride == one ? nil : stride
    projection =
      inputFeatures == stage.features
      ? nil
      : ConvolutionBlock(
        name + ".skip.\(stride == one ? 0 : 1)", inputFeatures: inputFeatures, outputFeatures: stage.features,
        kernelSize: one, stride: one, hasBias: false, dropout: nil, activation: nil, of: architecture,
        layout: &layout)
  }

  public func callAsFunction(_ input: consuming Features, _ context: inout ForwardContext) -> Features {
    var skip = copy input
    if let poolingSize {
      skip = Features(
        skip.tensor.averagePooled(
          PoolingWindow(kernel: poolingSize, stride: poolingSize, padding: poolingSize.map { _ in 0 })))
    }
    if let projection { skip = projection(consume skip, &context) }
    var features = consume input
    for block in main { features = block(consume features, &context) }
    if context.fuses, features.parts.count == 1, skip.parts.count == 1 {
      let sum = ResidualSum(
        features.sources[0], skip.sources[0], negativeSlope: activation?.negativeSlope ?? 1)
      return Features(sum.apply((consume features).inputs + (consume skip).inputs)[0])
    }
    var result = (consume features).tensor
    result.accumulate((consume skip).tensor)
    return Features(activation?(result) ?? result)
  }
}
