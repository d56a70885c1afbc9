import TensorCore
import Volumes

extension SegmentationExport {
  /// Where logits can come slab by slab, what takes them; `nil` where all are needed at once.
  /// - Parameter shape: of the logits, `[Z, Y, X]` in preprocessed space.
  package func labelStream(
    forLogitsOf shape: [Int], properties: CaseProperties, context: EvaluationContext = .standard
  ) throws -> LabelStream? {
    let (newShape, current, new) = try target(forLogitsOf: [channelCount] + shape, properties)
    if followsReferenceOrder, resampling.hasReferenceOrder(from: shape, to: newShape) { return nil }
    return LabelStream(
      resampling, channelCount: channelCount, from: shape, to: newShape, currentSpacing: current, newSpacing: new,
      rule: rule, context: context)
  }

  /// The segmentation on the image's grid from the labels that a stream made.
  package func segmentation(
    ofLabels labels: VoxelGrid<Int16>, properties: CaseProperties
  ) throws -> VoxelGrid<Int16> {
    try uncropped(labels, background: 0, properties)
  }
}
