import Datasets
import TensorCore

/// Counts of voxels over validation patches, summed over the epoch: nnU-Net's online evaluation.
///
/// nnU-Net: `nnUNetTrainer.validation_step` and `on_validation_epoch_end`. The counts are those of patches, not of
/// whole cases, hence 'pseudo'.
package struct PseudoDice: Sendable, Hashable {
  /// One per foreground class or region.
  package private(set) var truePositives: [Int]
  package private(set) var falsePositives: [Int]
  package private(set) var falseNegatives: [Int]
  private let hasRegions: Bool
  private let ignoreLabel: Int16?

  package init(labels: LabelManager) {
    hasRegions = labels.hasRegions
    ignoreLabel = labels.ignoreLabel.map { Int16($0) }
    let count = hasRegions ? labels.segmentationHeadCount : labels.segmentationHeadCount - 1
    truePositives = Array(repeating: 0, count: count)
    falsePositives = truePositives
    falseNegatives = truePositives
  }

  /// - Parameters:
  ///   - logits: `[N, spatial, K]`.
  ///   - target: int16 `[N, spatial]`, or for regions uint8 `[N, spatial, K (+ 1 with an ignore label)]`.
  package mutating func add(logits: Tensor, target: Tensor) {
    let channels = logits.shape.channels
    logits.withElements(as: Float.self) { logits in
      if hasRegions {
        target.withElements(as: UInt8.self) { addRegions(logits, $0, channels: channels) }
      } else {
        target.withElements(as: Int16.self) { addLabels(logits, $0, channels: channels) }
      }
    }
  }

  private mutating func addLabels(
    _ logits: UnsafeBufferPointer<Float>, _ labels: UnsafeBufferPointer<Int16>, channels: Int
  ) {
    for (voxel, label) in labels.enumerated() where label != ignoreLabel {
      var best = 0
      for channel in 1..<max(channels, 1) where logits[voxel * channels + channel] > logits[voxel * channels + best] {
        best = channel
      }
      let truth = Int(label)
      if best == truth {
        if truth > 0 { truePositives[truth - 1] += 1 }
      } else {
        if best > 0 { falsePositives[best - 1] += 1 }
        if truth > 0 { falseNegatives[truth - 1] += 1 }
      }
    }
  }

  private mutating func addRegions(
    _ logits: UnsafeBufferPointer<Float>, _ regions: UnsafeBufferPointer<UInt8>, channels: Int
  ) {
    let width = channels + (ignoreLabel == nil ? 0 : 1)
    for voxel in 0..<logits.count / max(channels, 1) {
      if ignoreLabel != nil, regions[voxel * width + channels] != 0 { continue }
      for channel in 0..<channels {
        // sigmoid(x) > 0.5
        let predicted = logits[voxel * channels + channel] > 0
        let truth = regions[voxel * width + channel] != 0
        if predicted && truth { truePositives[channel] += 1 }
        if predicted && !truth { falsePositives[channel] += 1 }
        if !predicted && truth { falseNegatives[channel] += 1 }
      }
    }
  }

  /// One per class; NaN where a class neither occurs nor is predicted.
  package var perClass: [Double] {
    truePositives.indices.map { index in
      let doubled = 2 * truePositives[index]
      let all = doubled + falsePositives[index] + falseNegatives[index]
      return all == 0 ? .nan : Double(doubled) / Double(all)
    }
  }
}
