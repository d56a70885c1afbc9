import Datasets
import TensorCore
import Volumes

/// Brings a network's logits back to the image: resampled, turned into labels, uncropped, axes in the file's order.
///
/// nnU-Net: `inference/export_prediction.py`.
public struct SegmentationExport: Sendable {
  let plans: Plans
  private let spacing: [Double]
  private let labelManager: LabelManager
  let resampling: Resampling
  let channelCount: Int
  let rule: LabelRule

  public init(
    plans: Plans, configuration: PlannedConfiguration, datasetDescription: DatasetDescription
  ) throws {
    self.plans = plans
    spacing = configuration.spacing
    labelManager = try LabelManager(datasetDescription)
    resampling = try Resampling(configuration.resamplingFnProbabilities)
    channelCount = labelManager.segmentationHeadCount
    rule =
      labelManager.hasRegions
      ? .regions(labelManager.regionsClassOrder.map { Int16(clamping: $0) }) : .largest
    guard plans.transposeForward.count == 3 else {
      throw PreprocessingError.wrongAxisCount(what: "transpose_forward", found: plans.transposeForward)
    }
  }

  /// The segmentation `[1, Z, Y, X]` on the image's grid.
  /// - Parameter logits: `[C, Z, Y, X]` in preprocessed space; rounded to float16 after resampling, as in nnU-Net.
  public func segmentation(
    of logits: VoxelGrid<Float>, properties: CaseProperties, context: EvaluationContext = .standard
  ) throws -> VoxelGrid<Int16> {
    let (shape, current, new) = try target(forLogitsOf: logits.shape, properties)
    let labels = resampling.resampleToLabels(
      logits, to: shape, currentSpacing: current, newSpacing: new, rule: rule, context: context)
    return try uncropped(labels, properties)
  }

  /// The segmentation and the probabilities `[C, Z, Y, X]`, both on the image's grid. What had been cropped away has
  /// probability 1 for background (labels) or 0 (regions).
  public func segmentationAndProbabilities(
    of logits: VoxelGrid<Float>, properties: CaseProperties, context: EvaluationContext = .standard
  ) throws -> (segmentation: VoxelGrid<Int16>, probabilities: VoxelGrid<Float>) {
    let (shape, current, new) = try target(forLogitsOf: logits.shape, properties)
    var values = resampling.resample(
      logits, to: shape, currentSpacing: current, newSpacing: new, context: context)
    values.roundToHalf(context: context)
    let segmentation: VoxelGrid<Int16>
    if labelManager.hasRegions {
      segmentation = regions(values)
      values.applySigmoid(context: context)
    } else {
      values.applySoftmax(context: context)
      segmentation = Resampling(.none).resampleToLabels(
        values, to: values.spatialShape, currentSpacing: [1, 1, 1], newSpacing: [1, 1, 1], rule: .largest,
        roundsToHalf: false, context: context)
    }
    let result = try uncropped(segmentation, properties)
    try checkCrop(values, properties)
    var probabilities = VoxelGrid<Float>(
      shape: [channelCount] + properties.shapeBeforeCropping, repeating: 0)
    if !labelManager.hasRegions {
      for i in 0..<probabilities.voxelCount { probabilities.elements[i] = 1 }
    }
    probabilities.insert(values, at: properties.boxUsedForCropping.lower)
    return (result, probabilities.transposed(plans.transposeBackward))
  }

  private func regions(_ logits: VoxelGrid<Float>) -> VoxelGrid<Int16> {
    Resampling(.none).resampleToLabels(
      logits, to: logits.spatialShape, currentSpacing: [1, 1, 1], newSpacing: [1, 1, 1], rule: rule)
  }

  func target(
    forLogitsOf logitsShape: [Int], _ properties: CaseProperties
  ) throws -> (shape: [Int], current: [Double], new: [Double]) {
    guard logitsShape.first == channelCount else {
      throw PreprocessingError.wrongLogits(found: logitsShape, expected: "\(channelCount) channels")
    }
    let shape = properties.shapeAfterCroppingAndBeforeResampling
    guard shape.count == 3, properties.image.spacing.count == 3, shape.allSatisfy({ $0 > 0 }) else {
      throw PreprocessingError.wrongAxisCount(what: "shape_after_cropping_and_before_resampling", found: shape)
    }
    let new = plans.transposeForward.map { properties.image.spacing[$0] }
    return (shape, spacing.count < 3 ? [new[0]] + spacing : spacing, new)
  }

  private func checkCrop(_ cropped: VoxelGrid<some Sendable>, _ properties: CaseProperties) throws {
    // `no_resampling_hack` may leave another shape.
    guard cropped.spatialShape == properties.boxUsedForCropping.shape else {
      throw PreprocessingError.wrongLogits(
        found: cropped.shape, expected: "the shape of the box \(properties.boxUsedForCropping.shape)")
    }
  }

  func uncropped(_ labels: VoxelGrid<Int16>, _ properties: CaseProperties) throws -> VoxelGrid<Int16> {
    try checkCrop(labels, properties)
    var whole = VoxelGrid<Int16>(shape: [1] + properties.shapeBeforeCropping, repeating: 0)
    whole.insert(labels, at: properties.boxUsedForCropping.lower)
    return whole.transposed(plans.transposeBackward)
  }
}
