import CKernels
import TensorCore

/// How resampled logits become labels.
public enum LabelRule: Sendable, Hashable {
  /// The number of the channel with the largest logit; the first of equal ones.
  case largest
  /// Where a channel's probability (the logit's sigmoid) is above one half its label; later channels overwrite.
  case regions([Int16])
}

extension Resampling {
  /// Resamples logits `[C, Z, Y, X]` and turns them into labels `[1, Z, Y, X]`, slice by slice: of the resampled logits
  /// only one slice per thread exists at a time (except with splines of order 3).
  ///
  /// Parameters: see `resample`. Resampled logits are rounded to float16 before they are compared where
  /// ``roundsLogits`` says so.
  public func resampleToLabels(
    _ logits: VoxelGrid<Float>, to newShape: [Int], currentSpacing: [Double], newSpacing: [Double], rule: LabelRule,
    context: EvaluationContext = .standard
  ) -> VoxelGrid<Int16> {
    if case .regions(let labels) = rule {
      check(
        labels.count == logits.channelCount,
        "Resampling.resampleToLabels: \(labels.count) regions for \(logits.channelCount) channels")
    }
    let plan = ResamplingPlan(
      self, from: logits.spatialShape, to: newShape, currentSpacing: currentSpacing, newSpacing: newSpacing)
    guard let plan, !plan.axes[0].usesPrefilter, !plan.slicesComeFirst else {
      let resampled = plan.map { _ in
        resample(
          logits, to: newShape, currentSpacing: currentSpacing, newSpacing: newSpacing, context: context)
      }
      return LabelMaker(rule, roundsLogits, context).labels(resampled ?? logits)
    }
    let labels = LabelMaker(rule, roundsLogits, context).labels(
      logits.transposed(plan.axisOrder), VolumeResampler(plan, context))
    return labels.transposed(plan.backwardOrder)
  }
}

/// Turns logits into labels, one slice at a time.
private struct LabelMaker {
  let rule: LabelRule
  let roundsToHalf: Bool
  let context: EvaluationContext
  let kernels: ck_resampling_kernels

  init(_ rule: LabelRule, _ roundsToHalf: Bool, _ context: EvaluationContext) {
    self.rule = rule
    self.roundsToHalf = roundsToHalf
    self.context = context
    kernels = ck_resampling_kernels_for(context.instructionSet).pointee
  }

  /// Of logits that are on the right grid already.
  func labels(_ logits: VoxelGrid<Float>) -> VoxelGrid<Int16> {
    let plane = logits.shape[2] * logits.shape[3]
    return labels(logits, [1] + logits.spatialShape) { source, slice, target in
      target.update(from: source + slice * plane, count: plane)
    }
  }

  func labels(_ logits: VoxelGrid<Float>, _ resampler: VolumeResampler) -> VoxelGrid<Int16> {
    let shape = [1, resampler.first.outputSize, resampler.second.outputSize, resampler.third.outputSize]
    return labels(logits, shape) { source, slice, target in
      resampler.outputSlice(slice, of: source, to: target)
    }
  }

  private func labels(
    _ logits: VoxelGrid<Float>, _ shape: [Int],
    _ fetch: (_ channel: UnsafePointer<Float>, _ slice: Int, _ target: UnsafeMutablePointer<Float>) -> Void
  ) -> VoxelGrid<Int16> {
    let plane = shape[2] * shape[3]
    return VoxelGrid<Int16>(shape: shape) { destination in
      guard let destination = destination.baseAddress, plane > 0 else { return }
      logits.elements.withUnsafeBufferPointer { elements in
        guard let source = elements.baseAddress else { return }
        context.pool.run(count: shape[1], grain: 1) { part in
          let slice = part.lowerBound
          context.withScratch(byteCount: 8 * plane) { scratch in
            let values = scratch.bindMemory(to: Float.self, capacity: 2 * plane)
            let best = values + plane
            let winner = destination + slice * plane
            winner.update(repeating: 0, count: plane)
            best.update(repeating: -.infinity, count: plane)
            for channel in 0..<logits.channelCount {
              fetch(source + channel * logits.voxelCount, slice, values)
              if roundsToHalf { kernels.round_to_half(values, plane) }
              switch rule {
              case .largest:
                kernels.update_maximum(values, best, winner, Int16(truncatingIfNeeded: channel), plane)
              case .regions(let labels):
                // A sigmoid in single precision exceeds one half only above this.
                for i in 0..<plane where values[i] > 0x1p-24 { winner[i] = labels[channel] }
              }
            }
          }
        }
      }
    }
  }
}

extension VolumeResampler {
  /// One slice of the output, on the calling thread. The first axis must need no filter, and no slices come before it.
  func outputSlice(_ slice: Int, of source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>) {
    let plane = inputSliceCount
    if first.isIdentity {
      return resampleSlice(source + slice * plane, to: destination, range: nil)
    }
    let start = source + Int(first.starts[slice]) * plane
    let weights = Array(first.weights[slice * first.taps..<(slice + 1) * first.taps])
    if let only = weights.firstIndex(of: 1), weights.allSatisfy({ $0 == 0 || $0 == 1 }) {
      return resampleSlice(start + only * plane, to: destination, range: nil)
    }
    context.withScratch(byteCount: 4 * plane) { scratch in
      let blended = scratch.bindMemory(to: Float.self, capacity: plane)
      let width = Int(CK_RESAMPLING_MAXIMUM_WIDTH)
      weights.withUnsafeBufferPointer { weights in
        withUnsafePointer(to: Int32(0)) { zero in
          var axis = ck_resampling_axis(
            input_size: first.taps, output_size: 1, padding: 0, taps: first.taps, prefilter: 0, starts: zero,
            weights: weights.baseAddress)
          context.withScratch(byteCount: 8 * first.taps * width) { rows in
            for begin in stride(from: 0, to: plane, by: width) {
              kernels.columns(
                &axis, start + begin, plane, min(width, plane - begin), blended + begin, plane,
                rows.assumingMemoryBound(to: Double.self), -.infinity, .infinity)
            }
          }
        }
      }
      resampleSlice(blended, to: destination, range: nil)
    }
  }
}
