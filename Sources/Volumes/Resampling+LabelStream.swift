import CKernels
import TensorCore

/// Resamples logits that arrive in slabs along Z and turns them into labels, like `Resampling.resampleToLabels`, but
/// without ever holding all logits: of the input it keeps the slices that the next output slice needs.
///
/// The labels equal those of `resampleToLabels` bit for bit.
package struct LabelStream {
  /// `[1, Z, Y, X]` on the new grid; complete when all input slices have come.
  package private(set) var labels: VoxelGrid<Int16>
  /// How many slices ``append(count:_:)`` takes at most.
  package static let slicesAtOnce = 4

  private let channelCount: Int
  private let inputDepth: Int
  private let inputPlane: Int
  /// `nil` where every slice stays as it is.
  private let resampler: VolumeResampler?
  private let rule: LabelRule
  private let roundsToHalf: Bool
  private let context: EvaluationContext
  private let kernels: ck_resampling_kernels
  /// `[C, capacity, Y, X]`.
  private var window: Tensor
  private let capacity: Int
  private var firstSlice = 0
  private var sliceCount = 0
  private var nextOutput = 0

  /// `nil` where the resampling needs more than neighbouring slices: splines of order 3, or another axis than Z that is
  /// resampled by itself.
  package init?(
    _ resampling: Resampling, channelCount: Int, from shape: [Int], to newShape: [Int], currentSpacing: [Double],
    newSpacing: [Double], rule: LabelRule, context: EvaluationContext = .standard
  ) {
    if case .regions(let labels) = rule {
      check(
        labels.count == channelCount, "LabelStream: \(labels.count) regions for \(channelCount) channels")
    }
    let plan = ResamplingPlan(
      resampling, from: shape, to: newShape, currentSpacing: currentSpacing, newSpacing: newSpacing)
    var outputShape = shape
    var taps = 1
    if let plan {
      guard plan.axisOrder == [0, 1, 2], plan.limits == .none, !plan.slicesComeFirst,
        !plan.axes.contains(where: \.usesPrefilter)
      else { return nil }
      outputShape = plan.axes.map(\.outputSize)
      taps = plan.axes[0].isIdentity ? 1 : plan.axes[0].taps
    }
    self.channelCount = channelCount
    self.rule = rule
    roundsToHalf = resampling.roundsLogits
    self.context = context
    resampler = plan.map { VolumeResampler($0, context) }
    kernels = ck_resampling_kernels_for(context.instructionSet).pointee
    inputDepth = shape[0]
    inputPlane = shape[1] * shape[2]
    capacity = taps - 1 + Self.slicesAtOnce
    window = Tensor(uninitialized: [channelCount, capacity, shape[1], shape[2]])
    labels = VoxelGrid(shape: [1] + outputShape, repeating: 0)
  }

  /// The bytes a stream holds beside its labels.
  package static func windowByteCount(channelCount: Int, plane: Int) -> Int {
    4 * channelCount * (slicesAtOnce + 1) * plane
  }

  /// Takes the next slices.
  /// - Parameters:
  ///   - count: at most ``slicesAtOnce``.
  ///   - fill: writes them: voxel `v` of channel `c` in the `k`-th of them belongs at `pointer[c * stride + k * plane + v]`.
  package mutating func append(
    count: Int, _ fill: (_ pointer: UnsafeMutablePointer<Float>, _ stride: Int, _ plane: Int) -> Void
  ) {
    check(
      count <= Self.slicesAtOnce && firstSlice + sliceCount + count <= inputDepth,
      "LabelStream.append: \(count) slices after \(firstSlice + sliceCount) of \(inputDepth)")
    let stride = capacity * inputPlane
    let base = MutableTensorView(window).floats
    // Slices that no later output needs go.
    let dropped = min(sliceCount, max(0, sliceCount + count - capacity))
    if dropped > 0 {
      let kept = (sliceCount - dropped) * inputPlane
      for channel in 0..<channelCount {
        (base + channel * stride).update(from: base + channel * stride + dropped * inputPlane, count: kept)
      }
      firstSlice += dropped
      sliceCount -= dropped
    }
    fill(base + sliceCount * inputPlane, stride, inputPlane)
    sliceCount += count
    let first = nextOutput
    while nextOutput < labels.shape[1], lastInput(of: nextOutput) < firstSlice + sliceCount { nextOutput += 1 }
    makeLabels(first..<nextOutput, UnsafePointer(base), stride)
    withExtendedLifetime(window) {}
  }

  /// The last input slice that an output slice is made of.
  private func lastInput(of slice: Int) -> Int {
    guard let axis = resampler?.first, !axis.isIdentity else { return slice }
    return Int(axis.starts[slice]) + axis.taps - 1
  }

  private mutating func makeLabels(_ slices: Range<Int>, _ base: UnsafePointer<Float>, _ stride: Int) {
    let plane = labels.shape[2] * labels.shape[3]
    guard !slices.isEmpty, plane > 0 else { return }
    let (resampler, rule, context, kernels) = (resampler, rule, context, kernels)
    let roundsToHalf = roundsToHalf
    let (channelCount, inputPlane, shift) = (channelCount, inputPlane, firstSlice * inputPlane)
    labels.elements.withUnsafeMutableBufferPointer { labels in
      guard let labels = labels.baseAddress else { return }
      context.pool.run(count: slices.count, grain: 1) { part in
        let slice = slices.lowerBound + part.lowerBound
        context.withScratch(byteCount: 8 * plane) { scratch in
          let values = scratch.bindMemory(to: Float.self, capacity: 2 * plane)
          let best = values + plane
          let winner = labels + slice * plane
          best.update(repeating: -.infinity, count: plane)
          for channel in 0..<channelCount {
            // As if the window began at slice 0.
            let source = base + (channel * stride - shift)
            if let resampler {
              resampler.outputSlice(slice, of: source, to: values)
            } else {
              values.update(from: source + slice * inputPlane, count: plane)
            }
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
