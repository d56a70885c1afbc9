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
  /// The sums of the slices under way, the logits of the tiles in the network, and the network's activations.
  package func memoryEstimate(imageShape: [Int], network: UNet) -> [MemoryEstimate.Part] {
    let window = SlidingWindow(imageShape: imageShape, patchSize: patchSize, stepSize: stepSize)
    let plane = window.paddedShape[1] * window.paddedShape[2]
    let sums = precision == .reference ? foldCount : 1
    let batch = batchSize * patchSize.reduce(1, *)
    // In float32 the logits of a tile are made in parts.
    let tileLogits =
      precision == .reference
      ? 4 * (batch + foldCount * patchSize.reduce(1, *)) * headCount
      : min(4 * batch * headCount, max(64 << 20, 4 * patchSize.suffix(2).reduce(1, *) * headCount))
    // The finest stage dominates: both halves of the concatenation, the joined tensor and the result; coarser stages
    // add up to less than one of them.
    let features = network.architecture.stages[0].features
    return [
      .init(name: "sums of overlapping tiles", bytes: 4 * sums * window.tileShape[0] * plane * (headCount + 1)),
      .init(name: "logits of tiles", bytes: tileLogits),
      .init(name: "activations", bytes: 4 * batch * (6 * features + network.inputChannels)),
    ]
  }
}

extension Predictor {
  /// What the network's and the export's work on a preprocessed case takes at most.
  func memoryEstimate(of prepared: PreprocessedCase, keepsLogits: Bool) throws -> MemoryEstimate {
    let shape = prepared.data.spatialShape
    let heads = model.network.headCount
    let voxels = shape.reduce(1, *)
    let imageVoxels = prepared.properties.shapeBeforeCropping.reduce(1, *)
    let croppedVoxels = prepared.properties.shapeAfterCroppingAndBeforeResampling.reduce(1, *)
    var parts = [MemoryEstimate.Part(name: "preprocessed image", bytes: 4 * prepared.data.elements.count + 2 * voxels)]
    parts += slidingWindow.memoryEstimate(imageShape: shape, network: model.network)
    if try keepsLogits || exporter.labelStream(forLogitsOf: shape, properties: prepared.properties) == nil {
      parts.append(.init(name: "all logits", bytes: 4 * heads * voxels))
    } else {
      parts.append(
        .init(
          name: "logits under way to labels",
          bytes: LabelStream.windowByteCount(channelCount: heads, plane: shape[1] * shape[2])))
    }
    if keepsLogits {
      parts.append(.init(name: "probabilities", bytes: 4 * heads * (croppedVoxels + 2 * imageVoxels)))
    }
    parts.append(.init(name: "labels", bytes: 2 * (croppedVoxels + 2 * imageVoxels)))
    return MemoryEstimate(parts: parts)
  }
}
