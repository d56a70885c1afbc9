import Datasets
import TensorCore
import Volumes

/// Brings a network's logits back to the image: resampled, turned into labels, uncropped, axes in the file's order.
///
/// nnU-Net: `inference/export_prediction.py`.
public struct SegmentationExport: Sendable {
  let plans: Plans
  private let spacing: [Double]
  let labelManager: LabelManager
  let resampling: Resampling
  let channelCount: Int
  let rule: LabelRule
  /// Whether logits are resampled operation by operation as in nnU-Net.
  let followsReferenceOrder: Bool

  /// - Parameter followsReferenceOrder: resample logits in the reference's order of operations, so that even ties of its
  ///   rounding to float16 fall alike. Slower, and where anything is resampled, logits can't come slab by slab.
  public init(
    plans: Plans, configuration: PlannedConfiguration, datasetDescription: DatasetDescription,
    followsReferenceOrder: Bool = false
  ) throws {
    self.followsReferenceOrder = followsReferenceOrder
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
    if followsReferenceOrder {
      return try segmentation(
        ofLogitsShaped: logits.spatialShape, properties: properties, wantsProbabilities: false, context: context,
        channel: { logits.channel($0) }, takeProbabilities: { _ in })
    }
    let (shape, current, new) = try target(forLogitsOf: logits.shape, properties)
    let labels = resampling.resampleToLabels(
      logits, to: shape, currentSpacing: current, newSpacing: new, rule: rule, context: context)
    return try uncropped(labels, background: 0, properties)
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

  /// Puts a label map or a map of probabilities back where it was cut out, and turns the axes to the file's order.
  /// - Parameter background: what had been cropped away becomes.
  func uncropped<Element: Sendable>(
    _ cropped: VoxelGrid<Element>, background: Element, _ properties: CaseProperties
  ) throws -> VoxelGrid<Element> {
    try checkCrop(cropped, properties)
    guard cropped.spatialShape != properties.shapeBeforeCropping else {
      return cropped.transposed(plans.transposeBackward)
    }
    var whole = VoxelGrid(shape: [1] + properties.shapeBeforeCropping, repeating: background)
    whole.insert(cropped, at: properties.boxUsedForCropping.lower)
    return whole.transposed(plans.transposeBackward)
  }
}
