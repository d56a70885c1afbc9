import Foundation
import Preprocessing
import TensorCore
import Volumes

/// What comes between preprocessing and writing, for predictions and for a training's validation: the network, and the
/// way of its logits back to the image, without ever holding all of them where that can be had.
package struct NetworkStage: Sendable {
  let slidingWindow: SlidingWindowPredictor
  let exporter: SegmentationExport

  package init(slidingWindow: SlidingWindowPredictor, exporter: SegmentationExport) {
    self.slidingWindow = slidingWindow
    self.exporter = exporter
  }

  /// Segments a preprocessed case.
  /// - Parameters:
  ///   - probabilities: where `probabilities` are written class by class (`CASE.npz`), if they are wanted; their logits
  ///     wait in a nameless file in the same folder.
  ///   - progress: called after every network pass.
  /// - Returns: the labels `[1, Z, Y, X]` on the image's grid.
  /// - Throws: ``InferenceError``, `CancellationError`, what writing throws.
  package func segmentation(
    of prepared: PreprocessedCase, writingProbabilitiesTo probabilities: URL?, temporaryFolder: URL,
    cancellation: Cancellation, progress: (TileProgress) -> Void
  ) throws -> VoxelGrid<Int16> {
    let predicted = try run(
      on: prepared, probabilities == nil ? .labels : .probabilityFile, temporaryFolder: temporaryFolder,
      cancellation: cancellation, progress: progress)
    guard let probabilities else { return try export(predicted) }
    return try PredictionFiles.writeProbabilities(
      shape: exporter.probabilityShape(predicted.properties), to: probabilities
    ) { append in
      try export(predicted, wantsProbabilities: true) {
        try cancellation.check()
        try append($0.elements)
      }
    }
  }

  /// - Parameter temporaryFolder: where logits go that labels or a file of probabilities are made of later.
  func run(
    on prepared: PreprocessedCase, _ route: LogitsRoute, temporaryFolder: URL, cancellation: Cancellation?,
    progress: (TileProgress) -> Void
  ) throws -> PredictedCase {
    // Blocks of another image's size would stay beside this one's.
    defer { StoragePool.shared.trim() }
    let (image, properties) = (prepared.data, prepared.properties)
    switch route {
    case .probabilitiesInMemory:
      let logits = try slidingWindow.predictLogits(of: image, cancellation: cancellation, progress: progress)
      return PredictedCase(content: .logits(logits), properties: properties)
    case .labels:
      guard let stream = try exporter.labelStream(forLogitsOf: image.spatialShape, properties: properties) else {
        fallthrough
      }
      var consumer = LabelingConsumer(stream: stream, pool: .shared)
      try slidingWindow.predict(image, into: &consumer, cancellation: cancellation, progress: progress)
      return PredictedCase(content: .labels(consumer.stream.labels), properties: properties)
    case .probabilityFile:
      var spool = try LogitsSpool(
        channelCount: slidingWindow.headCount, shape: image.spatialShape, folder: temporaryFolder, pool: .shared)
      try slidingWindow.predict(image, into: &spool, cancellation: cancellation, progress: progress)
      return PredictedCase(content: .spooledLogits(spool), properties: properties)
    }
  }

  /// - Parameters:
  ///   - wantsProbabilities: whether probabilities are made; not possible for a case whose network gave labels.
  ///   - takeProbabilities: takes the probabilities `[1, Z, Y, X]` of one class after the other, on the image's grid.
  /// - Returns: the labels on the image's grid.
  func export(
    _ predicted: PredictedCase, wantsProbabilities: Bool = false,
    takeProbabilities: (VoxelGrid<Float>) throws -> Void = { _ in }
  ) throws -> VoxelGrid<Int16> {
    switch predicted.content {
    case .labels(let labels): return try exporter.segmentation(ofLabels: labels, properties: predicted.properties)
    case .logits(let logits):
      return try exporter.segmentation(
        ofLogitsShaped: logits.spatialShape, properties: predicted.properties,
        wantsProbabilities: wantsProbabilities, channel: { logits.channel($0) }, takeProbabilities: takeProbabilities)
    case .spooledLogits(let spool):
      return try exporter.segmentation(
        ofLogitsShaped: spool.shape, properties: predicted.properties, wantsProbabilities: wantsProbabilities,
        channel: { try spool.channel($0) }, takeProbabilities: takeProbabilities)
    }
  }
}

/// What the network said about a case.
struct PredictedCase: Sendable {
  enum Content: Sendable {
    /// `[heads, Z, Y, X]` in preprocessed space.
    case logits(VoxelGrid<Float>)
    /// The same in a temporary file.
    case spooledLogits(LogitsSpool)
    /// `[1, Z, Y, X]` in the cropped image: logits were resampled and compared while the network was at work.
    case labels(VoxelGrid<Int16>)
  }

  let content: Content
  let properties: CaseProperties
}
