import CKernels
import TensorCore

extension VoxelGrid where Element == Float {
  /// Rounds every value to float16.
  package mutating func roundToHalf(context: EvaluationContext = .standard) {
    forEachPart(context) { kernels, values, count in kernels.round_to_half(values, count) }
  }

  /// Turns logits into probabilities of labels that exclude each other: the softmax over the channels.
  package mutating func applySoftmax(context: EvaluationContext = .standard) {
    let (channels, voxels) = (channelCount, voxelCount)
    let kernels = ck_resampling_kernels_for(context.instructionSet).pointee
    elements.withUnsafeMutableBufferPointer { elements in
      guard let base = elements.baseAddress else { return }
      context.pool.run(count: voxels, grain: 1 << 14) { part in
        kernels.softmax(base + part.lowerBound, channels, voxels, part.count)
      }
    }
  }

  /// Turns logits into probabilities of regions that may overlap.
  package mutating func applySigmoid(context: EvaluationContext = .standard) {
    forEachPart(context) { kernels, values, count in kernels.sigmoid(values, count) }
  }

  private mutating func forEachPart(
    _ context: EvaluationContext, _ body: (ck_resampling_kernels, UnsafeMutablePointer<Float>, Int) -> Void
  ) {
    let kernels = ck_resampling_kernels_for(context.instructionSet).pointee
    elements.withUnsafeMutableBufferPointer { elements in
      guard let base = elements.baseAddress else { return }
      context.pool.run(count: elements.count, grain: 1 << 16) { part in
        body(kernels, base + part.lowerBound, part.count)
      }
    }
  }
}
