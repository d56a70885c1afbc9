/// The numbers a network's convolutions produce for one patch: nnU-Net's measure of the memory that training takes.
///
/// dynamic_network_architectures: `compute_conv_feature_map_size` of PlainConvUNet and ResidualEncoderUNet, without
/// deep supervision. Here it is a formula; no network is built.
package struct FeatureMapSize {
  package enum Encoder: Sendable, Hashable {
    /// Stacked convolutions: PlainConvUNet.
    case plain
    /// A stem and stacked residual blocks: ResidualEncoderUNet with basic blocks.
    case residual
  }

  package let encoder: Encoder
  package let featuresPerStage: [Int]
  package let strides: [[Int]]
  /// Convolutions per stage, or residual blocks per stage.
  package let blocksPerStage: [Int]
  /// From the lowest resolution up; one less than stages.
  package let convolutionsPerDecoderStage: [Int]
  package let outputChannels: Int

  package init(
    encoder: Encoder, featuresPerStage: [Int], strides: [[Int]], blocksPerStage: [Int],
    convolutionsPerDecoderStage: [Int], outputChannels: Int
  ) {
    self.encoder = encoder
    self.featuresPerStage = featuresPerStage
    self.strides = strides
    self.blocksPerStage = blocksPerStage
    self.convolutionsPerDecoderStage = convolutionsPerDecoderStage
    self.outputChannels = outputChannels
  }

  /// The number for a patch of this size.
  package func callAsFunction(patchSize: [Int]) -> Int {
    var total = 0
    var size = patchSize
    var sizes: [[Int]] = []
    var features = featuresPerStage[0]
    if encoder == .residual { total += features * Self.voxels(size) }
    for stage in strides.indices {
      let strided = zip(size, strides[stage]).map { $0 / $1 }
      let map = featuresPerStage[stage] * Self.voxels(strided)
      switch encoder {
      case .plain:
        total += blocksPerStage[stage] * map
      case .residual:
        total += 2 * blocksPerStage[stage] * map
        // The first block's skip connection needs a convolution where channels or size change.
        if features != featuresPerStage[stage] || strided != size { total += map }
      }
      features = featuresPerStage[stage]
      size = strided
      sizes.append(size)
    }
    for (stage, convolutions) in convolutionsPerDecoderStage.enumerated() {
      let level = strides.count - 2 - stage
      let voxels = Self.voxels(sizes[level])
      // The convolutions and the transposed convolution before them.
      total += (convolutions + 1) * featuresPerStage[level] * voxels
      if level == 0 { total += outputChannels * voxels }
    }
    return total
  }

  private static func voxels(_ size: [Int]) -> Int { size.reduce(1, *) }
}
