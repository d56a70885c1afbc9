import Datasets
import Foundation
import TensorCore
import Volumes

/// Turns images into what networks see: axes in the plans' order, cropped to what is not zero, normalised, resampled.
///
/// nnU-Net: `DefaultPreprocessor`.
public struct Preprocessor: Sendable {
  public let plans: Plans
  public let configuration: PlannedConfiguration
  public let datasetDescription: DatasetDescription

  let labelManager: LabelManager
  private let normalizations: [Normalization]
  private let dataResampling: Resampling
  private let segmentationResampling: Resampling

  /// - Throws: where the plans name a scheme or function that this program does not have.
  public init(
    plans: Plans, configuration: PlannedConfiguration, datasetDescription: DatasetDescription
  ) throws {
    self.plans = plans
    self.configuration = configuration
    self.datasetDescription = datasetDescription
    labelManager = try LabelManager(datasetDescription)
    normalizations = try configuration.normalizationSchemes.map { try Normalization(named: $0) }
    dataResampling = try Resampling(configuration.resamplingFnData)
    segmentationResampling = try Resampling(configuration.resamplingFnSeg)
    guard plans.transposeForward.count == 3 else {
      throw PreprocessingError.wrongAxisCount(what: "transpose_forward", found: plans.transposeForward)
    }
  }

  var normalizationCount: Int { normalizations.count }

  /// The reader that the plans name.
  public var readerWriter: any ImageReaderWriter {
    get throws { try ReaderWriters.named(plans.imageReaderWriter) }
  }

  /// Reads and preprocesses a case.
  /// - Parameters:
  ///   - images: one file per channel.
  ///   - segmentation: the label file; for a cascade the previous stage's prediction.
  public func run(
    images: [URL], segmentation: URL?, context: EvaluationContext = .standard
  ) throws -> PreprocessedCase {
    let reader = try readerWriter
    var (image, properties) = try reader.readImages(images)
    var labels = try segmentation.map { try reader.readSegmentation($0).0 }
    return try run(
      taking: &image, &labels, properties, context, imageName: images.first?.path ?? "image",
      segmentationName: segmentation?.path ?? "segmentation")
  }

  /// Preprocesses an image `[C, Z, Y, X]` and its label map `[1, Z, Y, X]` as a reader gives them.
  public func run(
    image: VoxelGrid<Float>, segmentation: VoxelGrid<Int16>?, properties: ImageProperties,
    context: EvaluationContext = .standard
  ) throws -> PreprocessedCase {
    var (image, segmentation) = (image, segmentation)
    return try run(
      taking: &image, &segmentation, properties, context, imageName: "the image", segmentationName: "the segmentation")
  }

  /// Empties its arguments, so that no second copy of the image stays in memory.
  private func run(
    taking source: inout VoxelGrid<Float>, _ segmentation: inout VoxelGrid<Int16>?, _ properties: ImageProperties,
    _ context: EvaluationContext, imageName: String, segmentationName: String
  ) throws -> PreprocessedCase {
    var image = VoxelGrid<Float>(shape: [0, 0, 0, 0], elements: [])
    swap(&image, &source)
    guard image.channelCount == normalizations.count else {
      throw PreprocessingError.wrongChannelCount(
        files: imageName, found: image.channelCount, expected: normalizations.count)
    }
    guard properties.spacing.count == 3 else {
      throw PreprocessingError.wrongAxisCount(what: "the image's spacing", found: properties.spacing.map { Int($0) })
    }
    if let labels = segmentation, labels.spatialShape != image.spatialShape {
      throw PreprocessingError.shapeMismatch(
        image: imageName, imageShape: image.spatialShape, segmentation: segmentationName,
        segmentationShape: labels.spatialShape)
    }
    let order = plans.transposeForward
    let spacing = order.map { properties.spacing[$0] }
    image = image.transposed(order)
    let hasSegmentation = segmentation != nil
    let shapeBeforeCropping = image.spatialShape
    let crop = NonzeroCrop(image)
    image = image.cropped(to: crop.box, padding: 0)
    var labels =
      segmentation.take()?.transposed(order).cropped(to: crop.box, padding: 0)
      ?? VoxelGrid<Int16>(shape: [1] + crop.box.shape, repeating: 0)
    if crop.mask.elements.contains(false) {
      for i in labels.elements.indices where !crop.mask.elements[i] && labels.elements[i] == 0 {
        labels.elements[i] = -1
      }
    }
    let shapeAfterCropping = image.spatialShape
    // Two-dimensional configurations leave the distance of slices as it is.
    let target = configuration.spacing.count < 3 ? [spacing[0]] + configuration.spacing : configuration.spacing
    let newShape = Resampling.newShape(of: shapeAfterCropping, spacing: spacing, newSpacing: target)
    // Before resampling: afterwards the nonzero mask would not fit exactly any more.
    try normalize(&image, labels, context)
    let data = dataResampling.resample(
      image, to: newShape, currentSpacing: spacing, newSpacing: target, context: context)
    let resampled = segmentationResampling.resampleSegmentation(
      labels, to: newShape, currentSpacing: spacing, newSpacing: target, context: context)
    return PreprocessedCase(
      data: data, segmentation: resampled,
      properties: CaseProperties(
        image: properties, shapeBeforeCropping: shapeBeforeCropping, boxUsedForCropping: crop.box,
        shapeAfterCroppingAndBeforeResampling: shapeAfterCropping),
      classLocations: hasSegmentation
        ? ClassLocations(sampling: resampled, classes: sampledClasses) : ClassLocations(entries: []))
  }

  private func normalize(
    _ image: inout VoxelGrid<Float>, _ labels: VoxelGrid<Int16>, _ context: EvaluationContext
  ) throws {
    let count = image.voxelCount
    try image.elements.withUnsafeMutableBufferPointer { elements in
      try labels.elements.withUnsafeBufferPointer { labels in
        for (channel, normalization) in normalizations.enumerated() {
          try normalization.apply(
            to: UnsafeMutableBufferPointer(rebasing: elements[channel * count..<(channel + 1) * count]),
            channel: channel, segmentation: labels, usesMask: configuration.useMaskForNorm[channel],
            properties: plans.foregroundIntensityProperties[channel], context: context)
        }
      }
    }
  }

  /// What voxels are drawn of: foreground labels or regions, and with an ignore label all annotated voxels.
  var sampledClasses: [(labels: [Int], isTuple: Bool)] {
    var classes: [(labels: [Int], isTuple: Bool)]
    if labelManager.hasRegions {
      classes = datasetDescription.labels.compactMap { name, value in
        if name == "ignore" || Set(value.numbers) == [0] { return nil }
        if case .region = value { return (value.numbers, true) }
        return (value.numbers, false)
      }
    } else {
      classes = labelManager.foregroundLabels.map { ([$0], false) }
    }
    if labelManager.hasIgnoreLabel { classes.append(([-1] + labelManager.allLabels, true)) }
    return classes
  }
}

extension PreprocessedCase {
  /// The case with one more channel for every label: 1 where `segmentation` has it, else 0. A cascade's second stage
  /// takes the first one's prediction so.
  ///
  /// nnU-Net: `convert_labelmap_to_one_hot`.
  public func appendingOneHot(of labels: [Int]) -> PreprocessedCase {
    var result = self
    result.data = VoxelGrid.stacking(
      [data]
        + labels.map { label in
          VoxelGrid(shape: segmentation.shape, elements: segmentation.elements.map { Int($0) == label ? 1 : 0 })
        })
    return result
  }
}
