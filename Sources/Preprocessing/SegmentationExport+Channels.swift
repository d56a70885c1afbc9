import Foundation
import TensorCore
import Volumes

extension SegmentationExport {
  /// The segmentation and, one class or region after the other, probabilities: memory holds a few volumes of one
  /// channel, whatever the number of channels. What had been cropped away has probability 1 for background (labels) or
  /// 0 (regions).
  ///
  /// Probabilities are `exp(logit - maximum) / sum` (labels) or the sigmoid (regions) of resampled logits, rounded to
  /// float16 where nnU-Net's are: `apply_inference_nonlin`.
  /// - Parameters:
  ///   - shape: of the logits, `[Z, Y, X]` in preprocessed space.
  ///   - wantsProbabilities: whether probabilities are made at all.
  ///   - channel: gives the logits `[1, Z, Y, X]` of a class or region; with probabilities of labels it is asked twice.
  ///   - takeProbabilities: takes each channel's probabilities `[1, Z, Y, X]` on the image's grid, in order.
  /// - Returns: the labels `[1, Z, Y, X]` on the image's grid.
  package func segmentation(
    ofLogitsShaped shape: [Int], properties: CaseProperties, wantsProbabilities: Bool,
    context: EvaluationContext = .standard, channel: (Int) throws -> VoxelGrid<Float>,
    takeProbabilities: (VoxelGrid<Float>) throws -> Void
  ) throws -> VoxelGrid<Int16> {
    let (newShape, current, new) = try target(forLogitsOf: [channelCount] + shape, properties)
    func resampled(_ index: Int) throws -> VoxelGrid<Float> {
      if followsReferenceOrder, resampling.hasReferenceOrder(from: shape, to: newShape) {
        return resampling.resampledInReferenceOrder(
          try channel(index), to: newShape, currentSpacing: current, newSpacing: new, context: context)
      }
      var logits = try resampling.resample(
        channel(index), to: newShape, currentSpacing: current, newSpacing: new, context: context)
      if resampling.roundsLogits { logits.roundToHalf(context: context) }
      return logits
    }
    switch rule {
    case .regions(let labels):
      var segmentation: VoxelGrid<Int16>?
      for index in 0..<channelCount {
        var logits = try resampled(index)
        var marked = segmentation.take() ?? VoxelGrid(shape: logits.shape, repeating: 0)
        marked.mark(labels[index], whereRegionOf: logits, context)
        segmentation = marked
        if wantsProbabilities {
          logits.applySigmoid(context: context)
          try takeProbabilities(uncropped(logits, background: 0, properties))
        }
      }
      return try uncropped(segmentation ?? VoxelGrid(shape: [1] + newShape, repeating: 0), background: 0, properties)
    case .largest:
      var softmax = RunningSoftmax(first: try resampled(0), sums: wantsProbabilities)
      for index in 1..<max(1, channelCount) {
        softmax.add(try resampled(index), label: Int16(clamping: index), context)
      }
      if wantsProbabilities {
        for index in 0..<channelCount {
          let probabilities = softmax.probabilities(of: try resampled(index), context)
          try takeProbabilities(uncropped(probabilities, background: index == 0 ? 1 : 0, properties))
        }
      }
      return try uncropped(softmax.labels, background: 0, properties)
    }
  }

  /// The shape `[C, Z, Y, X]` of a case's probabilities on the image's grid.
  package func probabilityShape(_ properties: CaseProperties) -> [Int] {
    [channelCount] + plans.transposeBackward.map { properties.shapeBeforeCropping[$0] }
  }

  /// The segmentation and all probabilities `[C, Z, Y, X]`, both on the image's grid.
  public func segmentationAndProbabilities(
    of logits: VoxelGrid<Float>, properties: CaseProperties, context: EvaluationContext = .standard
  ) throws -> (segmentation: VoxelGrid<Int16>, probabilities: VoxelGrid<Float>) {
    let shape = probabilityShape(properties)
    var probabilities: [Float] = []
    probabilities.reserveCapacity(shape.reduce(1, *))
    let segmentation = try segmentation(
      ofLogitsShaped: logits.spatialShape, properties: properties, wantsProbabilities: true, context: context,
      channel: { logits.channel($0) }, takeProbabilities: { probabilities.append(contentsOf: $0.elements) })
    return (segmentation, VoxelGrid(shape: shape, elements: probabilities))
  }
}

/// The labels of the largest logits, and what turns logits into probabilities, of channels that come one by one.
private struct RunningSoftmax {
  private(set) var labels: VoxelGrid<Int16>
  private var maximum: VoxelGrid<Float>
  /// The sums of `exp(logit - maximum)`; empty where no probabilities are wanted.
  private var sums: [Float]

  private static let grain = 1 << 14

  init(first: VoxelGrid<Float>, sums: Bool) {
    labels = VoxelGrid(shape: first.shape, repeating: 0)
    self.sums = sums ? Array(repeating: 1, count: first.elements.count) : []
    maximum = first
  }

  /// The first of equal logits keeps its label.
  mutating func add(_ logits: VoxelGrid<Float>, label: Int16, _ context: EvaluationContext) {
    let hasSums = !sums.isEmpty
    labels.elements.withUnsafeMutableBufferPointer { labels in
      maximum.elements.withUnsafeMutableBufferPointer { maximum in
        sums.withUnsafeMutableBufferPointer { sums in
          logits.elements.withUnsafeBufferPointer { logits in
            let (labels, maximum, sums) = (labels, maximum, sums)
            context.pool.run(count: logits.count, grain: Self.grain) { range in
              for i in range {
                let (value, largest) = (logits[i], maximum[i])
                if hasSums {
                  sums[i] =
                    value > largest ? sums[i] * exp(largest - value) + 1 : sums[i] + exp(value - largest)
                }
                if value > largest {
                  maximum[i] = value
                  labels[i] = label
                }
              }
            }
          }
        }
      }
    }
  }

  func probabilities(of logits: VoxelGrid<Float>, _ context: EvaluationContext) -> VoxelGrid<Float> {
    var result = logits
    result.elements.withUnsafeMutableBufferPointer { result in
      maximum.elements.withUnsafeBufferPointer { maximum in
        sums.withUnsafeBufferPointer { sums in
          let result = result
          context.pool.run(count: result.count, grain: Self.grain) { range in
            for i in range { result[i] = exp(result[i] - maximum[i]) / sums[i] }
          }
        }
      }
    }
    return result
  }
}

extension VoxelGrid where Element == Int16 {
  /// Writes `label` where a region's probability exceeds one half.
  fileprivate mutating func mark(_ label: Int16, whereRegionOf logits: VoxelGrid<Float>, _ context: EvaluationContext) {
    elements.withUnsafeMutableBufferPointer { labels in
      logits.elements.withUnsafeBufferPointer { logits in
        let labels = labels
        context.pool.run(count: logits.count, grain: 1 << 16) { range in
          // A sigmoid in single precision exceeds one half only above this.
          for i in range where logits[i] > 0x1p-24 { labels[i] = label }
        }
      }
    }
  }
}
