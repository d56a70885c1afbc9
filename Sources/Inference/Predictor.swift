import Datasets
import Foundation
import Preprocessing
import TensorCore
import Volumes

/// Segments images with a trained model: the library face of prediction, which the commands use too.
///
/// ```swift
/// let predictor = try Predictor(modelFolder: folder, folds: ["0"])
/// let (image, properties) = try predictor.readerWriter.readImages([file])
/// let prediction = try predictor.predict(image, properties: properties)
/// ```
///
/// A predictor is an immutable value: it may serve several threads, and predictions never change it.
public struct Predictor: Sendable {
  public let model: ModelFolder
  public let options: PredictionOptions
  /// Reads images and writes segmentations as the model's plans want it.
  public let readerWriter: any ImageReaderWriter

  let preprocessor: Preprocessor
  let stage: NetworkStage

  /// - Throws: where the plans ask for something this program does not have.
  public init(model: ModelFolder, options: PredictionOptions = PredictionOptions()) throws {
    self.model = model
    self.options = options
    preprocessor = try Preprocessor(
      plans: model.plans, configuration: model.configuration, datasetDescription: model.datasetDescription)
    readerWriter = try preprocessor.readerWriter
    stage = NetworkStage(
      slidingWindow: SlidingWindowPredictor(
        network: model.network, parameterSets: model.parameterSets, patchSize: model.configuration.patchSize,
        allowedMirroringAxes: options.usesMirroring ? model.allowedMirroringAxes : [], stepSize: options.stepSize,
        usesGaussian: options.usesGaussian, precision: options.precision),
      exporter: try SegmentationExport(
        plans: model.plans, configuration: model.configuration, datasetDescription: model.datasetDescription,
        followsReferenceOrder: options.precision == .reference))
  }

  /// Loads a trained model's folder.
  /// - Parameters:
  ///   - folds: names such as `0` or `all`; `nil` takes every numbered fold that has the checkpoint.
  ///   - checkpointName: such as `checkpoint_best`; `nil` stands for `checkpoint_final`.
  public init(
    modelFolder: URL, folds: [String]? = nil, checkpointName: String? = nil,
    options: PredictionOptions = PredictionOptions()
  ) throws {
    try self.init(
      model: ModelFolder(contentsOf: modelFolder, folds: folds, checkpointName: checkpointName), options: options)
  }

  /// Segments an image.
  /// - Parameters:
  ///   - image: `[C, Z, Y, X]` as ``readerWriter`` gives it.
  ///   - properties: the image's; at least its spacing in the order of the image's axes, in millimetres.
  ///   - previousStage: for the second part of a cascade the first one's segmentation `[1, Z, Y, X]` on the same grid.
  ///   - keepsProbabilities: whether the result holds probabilities; they need memory for all classes.
  ///   - cancellation: lets another thread end the prediction.
  ///   - progress: called in this thread after every network pass.
  /// - Throws: ``InferenceError``, `PreprocessingError`, `CancellationError`.
  public func predict(
    _ image: VoxelGrid<Float>, properties: ImageProperties, previousStage: VoxelGrid<Int16>? = nil,
    keepsProbabilities: Bool = false, cancellation: Cancellation? = nil,
    progress: (TileProgress) -> Void = { _ in }
  ) throws -> Prediction {
    let prepared = try preprocess(
      LoadedCase(image: image, properties: properties, previousStage: previousStage))
    let predicted = try stage.run(
      on: prepared, keepsProbabilities ? .probabilitiesInMemory : .labels,
      temporaryFolder: FileManager.default.temporaryDirectory, cancellation: cancellation, progress: progress)
    if keepsProbabilities, case .logits(let logits) = predicted.content {
      let (segmentation, probabilities) = try stage.exporter.segmentationAndProbabilities(
        of: logits, properties: predicted.properties)
      return Prediction(segmentation: segmentation, probabilities: probabilities)
    }
    return Prediction(segmentation: try stage.export(predicted), probabilities: nil)
  }
}

/// A segmented image.
public struct Prediction: Sendable {
  /// Labels `[1, Z, Y, X]` on the image's grid.
  public let segmentation: VoxelGrid<Int16>
  /// Probabilities of classes or regions `[C, Z, Y, X]` on the image's grid, if they were asked for.
  public let probabilities: VoxelGrid<Float>?
}

/// An image in memory.
struct LoadedCase: Sendable {
  let image: VoxelGrid<Float>
  let properties: ImageProperties
  let previousStage: VoxelGrid<Int16>?
}

// MARK: Stages

extension Predictor {
  func read(_ files: CaseFiles) throws -> LoadedCase {
    let (image, properties) = try readerWriter.readImages(files.images)
    var previousStage: VoxelGrid<Int16>?
    if model.configuration.previousStage != nil, let file = files.previousStage {
      guard FileManager.default.fileExists(atPath: file.path) else {
        throw InferenceError.previousStageMissing(file: file.path)
      }
      previousStage = try readerWriter.readSegmentation(file).0
    }
    return LoadedCase(image: image, properties: properties, previousStage: previousStage)
  }

  func preprocess(_ loaded: LoadedCase) throws -> PreprocessedCase {
    var prepared = try preprocessor.run(
      image: loaded.image, segmentation: loaded.previousStage, properties: loaded.properties)
    if let previousStage = model.configuration.previousStage {
      guard loaded.previousStage != nil else {
        throw InferenceError.previousStageNeeded(
          configuration: model.configuration.name, previousStage: previousStage)
      }
      prepared = prepared.appendingOneHot(of: model.labels.foregroundLabels)
    }
    guard prepared.data.channelCount == model.network.inputChannels else {
      throw InferenceError.wrongChannelCount(
        expected: model.network.inputChannels, found: prepared.data.channelCount)
    }
    guard let bad = Self.firstNonFinite(prepared.data) else { return prepared }
    // Normalisation may have spread it: the file tells where it is.
    let inFile = Self.firstNonFinite(loaded.image)
    let place = inFile ?? bad
    throw InferenceError.nonFiniteImage(channel: place.channel, index: place.index, isInFile: inFile != nil)
  }

  /// One voxel that is not a number would spread over whole tiles.
  private static func firstNonFinite(_ image: VoxelGrid<Float>) -> (channel: Int, index: [Int])? {
    let count = image.voxelCount
    for channel in 0..<image.channelCount {
      let sum = image.elements.withUnsafeBufferPointer { elements in
        var probe: Float = 0
        for index in channel * count..<(channel + 1) * count { probe += elements[index] * 0 }
        return probe
      }
      guard sum.isNaN else { continue }
      let bad = (0..<count).first { !image.elements[channel * count + $0].isFinite } ?? 0
      let (height, width) = (image.shape[2], image.shape[3])
      return (channel, [bad / (height * width), bad / width % height, bad % width])
    }
    return nil
  }
}
