import TensorCore

/// What a U-Net is made of: the content of `architecture` in nnU-Net's plans, checked and with its defaults filled in.
///
/// Describes dynamic_network_architectures' `PlainConvUNet` and `ResidualEncoderUNet`.
public struct UNetArchitecture: Codable, Hashable, Sendable {
  public enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
    /// Stacked convolutions in encoder and decoder.
    case plainConvUNet = "PlainConvUNet"
    /// Residual blocks (ResNet-D) in the encoder, stacked convolutions in the decoder.
    case residualEncoderUNet = "ResidualEncoderUNet"
  }

  /// One resolution of the encoder, finest first.
  public struct Stage: Codable, Hashable, Sendable {
    /// Output channels.
    public var features: Int
    /// One extent per spatial axis, in the order of the data.
    public var kernelSize: [Int]
    /// The stride of the stage's first convolution, one per spatial axis.
    public var stride: [Int]
    /// How many convolutions (plain) or residual blocks the stage has.
    public var blockCount: Int
    /// Channels inside bottleneck blocks; unused by others.
    public var bottleneckFeatures: Int?

    public init(
      features: Int, kernelSize: [Int], stride: [Int], blockCount: Int, bottleneckFeatures: Int? = nil
    ) {
      self.features = features
      self.kernelSize = kernelSize
      self.stride = stride
      self.blockCount = blockCount
      self.bottleneckFeatures = bottleneckFeatures
    }
  }

  public enum Normalization: Codable, Hashable, Sendable {
    /// Statistics of each sample and channel.
    case instance(epsilon: Float, affine: Bool)
    /// Statistics of each channel over the batch; running statistics in evaluation. `momentum` nil averages all batches.
    case batch(epsilon: Float, momentum: Float?, affine: Bool, tracksRunningStatistics: Bool)
  }

  public struct Dropout: Codable, Hashable, Sendable {
    public var probability: Float
    /// Whether whole channels of a sample are dropped (`Dropout2d`, `Dropout3d`) rather than single elements.
    public var isChannelwise: Bool

    public init(probability: Float, isChannelwise: Bool) {
      self.probability = probability
      self.isChannelwise = isChannelwise
    }
  }

  public enum Activation: Codable, Hashable, Sendable {
    case leakyReLU(negativeSlope: Float)
    case relu
  }

  public enum ResidualBlock: String, Codable, Hashable, Sendable {
    /// Two convolutions of the stage's kernel size.
    case basic = "BasicBlockD"
    /// 1x1, kernel size, 1x1.
    case bottleneck = "BottleneckD"
  }

  public var kind: Kind
  /// 2 or 3.
  public var dimensions: Int
  /// Finest first.
  public var stages: [Stage]
  /// Convolutions of each decoder stage, coarsest first; one less than `stages`.
  public var decoderBlockCounts: [Int]
  public var hasConvolutionBias: Bool
  public var normalization: Normalization?
  public var dropout: Dropout?
  public var activation: Activation?
  /// Whether activation comes before normalization (`nonlin_first`).
  public var isActivationFirst: Bool
  /// Whether a forward pass gives the logits of every decoder stage rather than of the finest only.
  public var deepSupervision: Bool
  public var residualBlock: ResidualBlock
  /// Channels of the stem of a residual encoder; the first stage's features if nil.
  public var stemFeatures: Int?

  public init(
    kind: Kind, dimensions: Int, stages: [Stage], decoderBlockCounts: [Int], hasConvolutionBias: Bool = true,
    normalization: Normalization? = .instance(epsilon: 1e-5, affine: true), dropout: Dropout? = nil,
    activation: Activation? = .leakyReLU(negativeSlope: 0.01), isActivationFirst: Bool = false,
    deepSupervision: Bool = false, residualBlock: ResidualBlock = .basic, stemFeatures: Int? = nil
  ) {
    check(
      decoderBlockCounts.count == stages.count - 1,
      "UNetArchitecture: \(stages.count) stages need \(stages.count - 1) decoder stages, got \(decoderBlockCounts.count)"
    )
    check(
      stages.allSatisfy { $0.kernelSize.count == dimensions && $0.stride.count == dimensions },
      "UNetArchitecture: kernel sizes and strides need \(dimensions) extents each")
    self.kind = kind
    self.dimensions = dimensions
    self.stages = stages
    self.decoderBlockCounts = decoderBlockCounts
    self.hasConvolutionBias = hasConvolutionBias
    self.normalization = normalization
    self.dropout = dropout
    self.activation = activation
    self.isActivationFirst = isActivationFirst
    self.deepSupervision = deepSupervision
    self.residualBlock = residualBlock
    self.stemFeatures = stemFeatures
  }

  /// By how much each head is coarser than the input, per axis, finest first: the deep-supervision scales' inverses.
  public var headStrides: [[Int]] {
    var strides: [[Int]] = []
    var product = [Int](repeating: 1, count: dimensions)
    for stage in stages.dropLast() {
      product = zip(product, stage.stride).map { $0 * $1 }
      strides.append(product)
    }
    return strides
  }

  /// What an input's spatial extents must be divisible by, so that the decoder meets the encoder's sizes.
  public var requiredDivisors: [Int] {
    stages.reduce([Int](repeating: 1, count: dimensions)) { zip($0, $1.stride).map { $0 * $1 } }
  }
}
