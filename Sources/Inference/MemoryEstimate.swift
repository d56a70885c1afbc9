import Datasets
import Foundation
import NeuralNetworks
import Preprocessing
import TensorCore
import Volumes

/// What the prediction of one image holds in memory at its peak, beside the model: a function of the image, the patch
/// and the number of classes.
public struct MemoryEstimate: Sendable, Hashable, CustomStringConvertible {
  public struct Part: Sendable, Hashable {
    public let name: String
    public let bytes: Int
  }

  public let parts: [Part]

  public var bytes: Int { parts.reduce(0) { $0 + $1.bytes } }

  public var description: String {
    parts.filter { $0.bytes > 0 }.map { "\($0.name) \(AvailableMemory.text($0.bytes))" }.joined(separator: ", ")
  }
}

extension SlidingWindowPredictor {
  /// The sums of the slices under way, the logits of the tiles in the network, what convolutions keep of their weights,
  /// and the network's activations: what the compiler planned, which no run exceeds, or a formula where the network runs
  /// without it.
  package func memoryEstimate(imageShape: [Int], network: UNet) -> [MemoryEstimate.Part] {
    let window = SlidingWindow(imageShape: imageShape, patchSize: patchSize, stepSize: stepSize)
    let plane = window.paddedShape[1] * window.paddedShape[2]
    let sums = precision == .reference ? foldCount : 1
    let batch = batchSize * patchSize.reduce(1, *)
    let planned = compiled?.prepare()?.peakByteCount
    // In float32 the logits of a tile are made in parts. Those of a compiled head are among what was planned.
    let separateLogits =
      precision == .reference
      ? 4 * batch * headCount
      : min(
        4 * batch * headCount, max(Self.headByteLimit, 4 * patchSize.suffix(2).reduce(1, *) * headCount))
    let means = precision == .reference ? foldCount * Self.logitsByteCount(of: patchSize, headCount: headCount) : 0
    let tileLogits = means + (planned == nil || hasSeparateHead ? separateLogits : 0)
    return [
      .init(name: "sums of overlapping tiles", bytes: 4 * sums * window.tileShape[0] * plane * (headCount + 1)),
      .init(name: "logits of tiles", bytes: tileLogits),
      .init(
        name: "weights as kernels read them",
        bytes: foldCount * network.layout.packedByteLimit(setCount: foldCount)),
      .init(
        name: "activations",
        bytes: 4 * batch * network.inputChannels + (planned ?? Self.activationByteCount(of: network, voxels: batch))),
    ]
  }

  /// The finest stage dominates: both halves of the concatenation, the joined tensor and the result; coarser stages add
  /// up to less than one of them.
  private static func activationByteCount(of network: UNet, voxels: Int) -> Int {
    4 * voxels * 6 * network.architecture.stages[0].features
  }
}

/// What a case needs in its stages.
struct CaseMemory: Sendable {
  let preprocessing: MemoryEstimate
  let network: MemoryEstimate
  let export: MemoryEstimate
  /// The preprocessed image, which waits for the network.
  let imageByteCount: Int

  /// What it needs once it is preprocessed.
  var afterPreprocessing: MemoryEstimate { network.bytes >= export.bytes ? network : export }
  /// What it may hold while another case is in the network, from the beginning on or once it is preprocessed.
  func besideTheNetwork(isPreprocessed: Bool) -> Int {
    max(isPreprocessed ? 0 : preprocessing.bytes, imageByteCount, export.bytes)
  }
  /// How much more than `bytes` it needs in the network.
  func inTheNetwork(beside bytes: Int) -> Int { max(0, network.bytes - bytes) }
}

/// How logits become results, which decides on the memory for it.
enum LogitsRoute: Sendable {
  /// Labels only, slab by slab where the resampling allows.
  case labels
  /// Probabilities are written to a file class by class.
  case probabilityFile
  /// Probabilities are given in memory.
  case probabilitiesInMemory
}

extension Predictor {
  /// What a case takes, from the header of its first file: at most, because cropping is not known yet.
  /// - Throws: ``InferenceError/wrongChannels(identifier:expected:found:)`` if there is not one file per channel.
  func memory(of files: CaseFiles, _ route: LogitsRoute) throws -> CaseMemory {
    let names = model.datasetDescription.channelNames
    guard files.channels == Array(names.indices), let first = files.images.first else {
      throw InferenceError.wrongChannels(identifier: files.identifier, expected: names, found: files.channels)
    }
    let preprocessing = try preprocessor.estimatedMemory(
      of: DatasetCase(identifier: files.identifier, images: files.images, label: nil))
    let (shape, properties) = try readerWriter.readProperties(first)
    guard shape.count == 4, properties.spacing.count == 3 else {
      // Reading will say what is wrong with it.
      let nothing = MemoryEstimate(parts: [])
      return CaseMemory(preprocessing: nothing, network: nothing, export: nothing, imageByteCount: 0)
    }
    let order = model.plans.transposeForward
    let (whole, spacing) = (order.map { shape[$0 + 1] }, order.map { properties.spacing[$0] })
    let planned = model.configuration.spacing
    let target = planned.count < 3 ? [spacing[0]] + planned : planned
    return try memory(
      preprocessing: preprocessing, channels: model.network.inputChannels,
      shape: Resampling.newShape(of: whole, spacing: spacing, newSpacing: target),
      properties: CaseProperties(
        image: properties, shapeBeforeCropping: whole,
        boxUsedForCropping: BoundingBox(lower: [0, 0, 0], upper: whole),
        shapeAfterCroppingAndBeforeResampling: whole), route)
  }

  /// What a preprocessed case still takes.
  func memory(of prepared: PreprocessedCase, _ route: LogitsRoute) throws -> CaseMemory {
    try memory(
      preprocessing: 0, channels: prepared.data.channelCount, shape: prepared.data.spatialShape,
      properties: prepared.properties, route)
  }

  private func memory(
    preprocessing: Int, channels: Int, shape: [Int], properties: CaseProperties, _ route: LogitsRoute
  ) throws -> CaseMemory {
    let heads = model.network.headCount
    let (voxels, plane) = (shape.reduce(1, *), shape[1] * shape[2])
    let imageVoxels = properties.shapeBeforeCropping.reduce(1, *)
    let croppedVoxels = properties.shapeAfterCroppingAndBeforeResampling.reduce(1, *)
    let image = MemoryEstimate.Part(name: "preprocessed image", bytes: 4 * channels * voxels + 2 * voxels)
    var network = [image]
    network += stage.slidingWindow.memoryEstimate(imageShape: shape, network: model.network)
    let labels = MemoryEstimate.Part(name: "labels", bytes: 2 * (croppedVoxels + 2 * imageVoxels))
    var export = [labels]
    var route = route
    if case .labels = route, try stage.exporter.labelStream(forLogitsOf: shape, properties: properties) == nil {
      // Class by class as for probabilities, without writing them.
      route = .probabilityFile
    }
    switch route {
    case .labels:
      network.append(
        .init(
          name: "logits on their way to labels",
          bytes: LabelStream.windowByteCount(channelCount: heads, plane: plane)))
      network.append(labels)
    case .probabilityFile:
      network.append(
        .init(
          name: "logits on their way to a file",
          bytes: LogitsSpool.bufferByteCount(channelCount: heads, plane: plane)))
      export.append(.init(name: "logits of a class", bytes: 4 * (voxels + 2 * croppedVoxels)))
      export.append(.init(name: "probabilities of a class", bytes: 4 * (3 * croppedVoxels + 2 * imageVoxels)))
    case .probabilitiesInMemory:
      network.append(.init(name: "all logits", bytes: 4 * heads * voxels))
      export.append(.init(name: "all logits", bytes: 4 * heads * voxels))
      export.append(.init(name: "probabilities", bytes: 4 * (heads * imageVoxels + 6 * croppedVoxels)))
    }
    return CaseMemory(
      preprocessing: MemoryEstimate(parts: [.init(name: "reading and preprocessing", bytes: preprocessing)]),
      network: MemoryEstimate(parts: network), export: MemoryEstimate(parts: export), imageByteCount: image.bytes)
  }
}
