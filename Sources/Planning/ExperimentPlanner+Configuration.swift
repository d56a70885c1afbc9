import Datasets
import Foundation

/// A planned configuration before it is written.
struct ConfigurationDraft {
  var json: JSONValue.Object
  let patchSize: [Int]
}

/// The median image size, an integer in `3d_lowres` and a float elsewhere, as nnU-Net writes it.
enum MedianShape {
  case exact([Double])
  case rounded([Int])

  var values: [Double] {
    switch self {
    case .exact(let values): values
    case .rounded(let values): values.map(Double.init)
    }
  }

  var json: JSONValue {
    switch self {
    case .exact(let values): JSONValue(values)
    case .rounded(let values): JSONValue(values)
    }
  }
}

extension ExperimentPlanner {
  /// Chooses network, patch size and batch size for images of a spacing and size.
  ///
  /// nnU-Net: `get_plans_for_configuration`.
  /// - Parameters:
  ///   - spacing: millimetres, two or three axes in the transposed order.
  ///   - datasetVoxelCount: approximate voxels of the whole data set.
  func draft(
    name: String, spacing: [Double], medianShape: MedianShape, datasetVoxelCount: Double,
    normalization: (schemes: [String], useMask: [Bool]), description: DatasetDescription
  ) throws -> ConfigurationDraft {
    let dimensions = spacing.count
    let isTwoDimensional = dimensions == 2
    let median = Array(medianShape.values.prefix(dimensions))
    guard spacing.allSatisfy({ $0 > 0 && $0.isFinite }), median.allSatisfy({ $0 > 0 }) else {
      throw planningError("\(name): spacing \(spacing) and median image size \(median) must be positive")
    }

    // Start with a patch of 256 cubed (2048 squared) voxels that has the image's aspect ratio in millimetres, no larger
    // than the median image.
    let inverse = spacing.map { 1 / $0 }
    let volume: Double = isTwoDimensional ? 2048 * 2048 : 256 * 256 * 256
    let scale = pow(volume / Statistics.product(inverse), isTwoDimensional ? 1.0 / 2 : 1.0 / 3)
    let initial = zip(inverse, median).map { min(Statistics.rounded($0 * scale), $1) }
    var topology = NetworkTopology(spacing: spacing, patchSize: initial, minimumEdge: minimumFeatureMapEdge)
    var estimate = try featureMapSize(topology, description)

    let reference =
      Double(isTwoDimensional ? referenceValue2D : referenceValue3D) * (memoryTarget / referenceMemory)
    let referenceBatchSize = Double(isTwoDimensional ? referenceBatchSize2D : referenceBatchSize3D)
    func isTooLarge(_ estimate: Int) -> Bool {
      switch encoder {
      case .plain: Double(estimate) / referenceBatchSize * 2 > reference
      case .residual: Double(estimate) > reference
      }
    }
    while isTooLarge(estimate) {
      // Reduce the axis that is largest relative to the image. The first reduction only finds by how much: after it the
      // network may have less stages, so that a smaller step is enough.
      let axis = Statistics.lastIndexOfMaximum(zip(topology.patchSize, median).map { Double($0) / $1 })
      var size = topology.patchSize
      var trial = size.map(Double.init)
      trial[axis] -= Double(topology.divisors[axis])
      let trialTopology = NetworkTopology(spacing: spacing, patchSize: trial, minimumEdge: minimumFeatureMapEdge)
      size[axis] -= trialTopology.divisors[axis]
      guard size[axis] > 0 else {
        throw planningError(
          "\(name): no patch is small enough for \(memoryTarget) GB; give a larger -gpu_memory_target"
        )
      }
      topology = NetworkTopology(
        spacing: spacing, patchSize: size.map(Double.init), minimumEdge: minimumFeatureMapEdge)
      estimate = try featureMapSize(topology, description)
    }

    let patchVoxels = Statistics.product(topology.patchSize.map(Double.init))
    let affordable = Statistics.rounded(reference / Double(estimate) * referenceBatchSize)
    let covering = Statistics.rounded(datasetVoxelCount * maximumDatasetCovered / patchVoxels)
    guard affordable.isFinite, covering.isFinite else {
      throw planningError("\(name): a memory target of \(memoryTarget) GB gives no batch size")
    }
    let batchSize = Int(max(min(affordable, covering, 0x1p52), Double(minimumBatchSize)))

    func keywordArguments(isSegmentation: Bool, order: Int) -> JSONValue {
      resampling.keywordArguments(
        isSegmentation: isSegmentation, splineOrder: order, anisotropyThreshold: anisotropyThreshold)
    }
    return ConfigurationDraft(
      json: [
        "data_identifier": .string(dataIdentifier(name)),
        "preprocessor_name": .string(preprocessorName),
        "batch_size": .integer(batchSize),
        "patch_size": JSONValue(topology.patchSize),
        "median_image_size_in_voxels": medianShape.json,
        "spacing": JSONValue(spacing),
        "normalization_schemes": JSONValue(normalization.schemes),
        "use_mask_for_norm": JSONValue(normalization.useMask),
        "resampling_fn_data": .string(resampling.functionName),
        "resampling_fn_seg": .string(resampling.functionName),
        "resampling_fn_data_kwargs": keywordArguments(isSegmentation: false, order: 3),
        "resampling_fn_seg_kwargs": keywordArguments(isSegmentation: true, order: 1),
        "resampling_fn_probabilities": .string(resampling.functionName),
        "resampling_fn_probabilities_kwargs": keywordArguments(isSegmentation: false, order: 1),
        "architecture": architecture(topology, dimensions: dimensions),
      ], patchSize: topology.patchSize)
  }

  // MARK: Network

  private func featuresPerStage(_ topology: NetworkTopology) -> [Int] {
    let maximum = topology.divisors.count == 2 ? maximumFeatures2D : maximumFeatures3D
    return (0..<topology.stageCount).map { min(maximum, baseFeatureCount << min($0, 30)) }
  }

  private func featureMapSize(_ topology: NetworkTopology, _ description: DatasetDescription) throws -> Int {
    guard topology.stageCount <= maximumStageCount else {
      throw planningError(
        "a network of \(topology.stageCount) stages is deeper than \(name) knows (\(maximumStageCount))")
    }
    let size = FeatureMapSize(
      encoder: encoder, featuresPerStage: featuresPerStage(topology), strides: topology.strides,
      blocksPerStage: blocksPerEncoderStage(topology.stageCount),
      convolutionsPerDecoderStage: convolutionsPerDecoderStage(topology.stageCount),
      // All labels count, the background, every region and the ignore label among them.
      outputChannels: description.labels.count)
    return size(patchSize: topology.patchSize)
  }

  private func architecture(_ topology: NetworkTopology, dimensions: Int) -> JSONValue {
    let (className, blocksKey) =
      switch encoder {
      case .plain: ("PlainConvUNet", "n_conv_per_stage")
      case .residual: ("ResidualEncoderUNet", "n_blocks_per_stage")
      }
    let arguments: JSONValue.Object = [
      "n_stages": .integer(topology.stageCount),
      "features_per_stage": JSONValue(featuresPerStage(topology)),
      "conv_op": .string("torch.nn.modules.conv.Conv\(dimensions)d"),
      "kernel_sizes": JSONValue(topology.kernelSizes),
      "strides": JSONValue(topology.strides),
      blocksKey: JSONValue(blocksPerEncoderStage(topology.stageCount)),
      "n_conv_per_stage_decoder": JSONValue(convolutionsPerDecoderStage(topology.stageCount)),
      "conv_bias": true,
      "norm_op": .string("torch.nn.modules.instancenorm.InstanceNorm\(dimensions)d"),
      "norm_op_kwargs": ["eps": 1e-5, "affine": true],
      "dropout_op": nil,
      "dropout_op_kwargs": nil,
      "nonlin": "torch.nn.LeakyReLU",
      "nonlin_kwargs": ["inplace": true],
    ]
    return [
      "network_class_name": .string("dynamic_network_architectures.architectures.unet.\(className)"),
      "arch_kwargs": .object(arguments),
      "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    ]
  }

  func planningError(_ problem: String) -> DatasetError {
    DatasetError(
      .invalidValue, file: nil, problem: "\(name) can't plan this data set: \(problem)",
      advice: "Check dataset_fingerprint.json and the options")
  }
}
