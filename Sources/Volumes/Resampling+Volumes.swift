import CKernels
import TensorCore

extension Resampling {
  /// Resamples every channel to `newShape` `[Z, Y, X]`.
  ///
  /// Computed in double precision inside of a tile and stored as float32 between axes; the memory beside input and
  /// output is one resampled channel at most.
  /// - Parameters:
  ///   - currentSpacing: millimetres along Z, Y and X; with `newSpacing` it decides whether an axis is resampled
  ///     separately, and nothing else.
  public func resample(
    _ grid: VoxelGrid<Float>, to newShape: [Int], currentSpacing: [Double], newSpacing: [Double],
    context: EvaluationContext = .standard
  ) -> VoxelGrid<Float> {
    check(newShape.count == 3, "Resampling.resample: the new shape \(newShape) has not three axes")
    guard
      let plan = ResamplingPlan(
        self, from: grid.spatialShape, to: newShape, currentSpacing: currentSpacing, newSpacing: newSpacing)
    else { return grid }
    let source = grid.transposed(plan.axisOrder)
    let resampler = VolumeResampler(plan, context)
    let result = VoxelGrid<Float>(shape: [grid.channelCount] + plan.axes.map(\.outputSize)) { destination in
      guard let target = destination.baseAddress else { return }
      source.elements.withUnsafeBufferPointer { elements in
        guard let elements = elements.baseAddress else { return }
        let size = destination.count / max(1, grid.channelCount)
        for channel in 0..<grid.channelCount {
          resampler.resample(elements + channel * source.voxelCount, to: target + channel * size)
        }
      }
    }
    return result.transposed(plan.backwardOrder)
  }
}

/// Resamples single channels by one plan.
struct VolumeResampler {
  let first: ResamplingAxis
  let second: ResamplingAxis
  let third: ResamplingAxis
  let limits: ResamplingPlan.Limits
  let slicesComeFirst: Bool
  let context: EvaluationContext
  let kernels: ck_resampling_kernels

  init(_ plan: ResamplingPlan, _ context: EvaluationContext) {
    (first, second, third) = (plan.axes[0], plan.axes[1], plan.axes[2])
    limits = plan.limits
    slicesComeFirst = plan.slicesComeFirst
    self.context = context
    kernels = ck_resampling_kernels_for(context.instructionSet).pointee
  }

  var inputSliceCount: Int { second.inputSize * third.inputSize }
  var outputSliceCount: Int { second.outputSize * third.outputSize }
  private var slicesAreIdentity: Bool { second.isIdentity && third.isIdentity }

  /// Resamples one channel.
  func resample(_ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>) {
    if first.isIdentity && limits != .channel {
      return resampleSlices(source, count: first.inputSize, to: destination, range: nil)
    }
    if first.taps == 1 && !slicesComeFirst { return resampleChosenSlices(source, to: destination) }
    let range = limits == .channel ? extrema(source) : nil
    if first.isIdentity {
      return resampleSlices(source, count: first.inputSize, to: destination, range: range)
    }
    if slicesAreIdentity {
      return resampleColumns(source, width: inputSliceCount, to: destination, range: range)
    }
    // The order of linear maps is free; the one with the smaller volume between them is cheaper.
    if slicesComeFirst || first.inputSize * outputSliceCount < first.outputSize * inputSliceCount {
      withVolume(first.inputSize * outputSliceCount) { volume in
        resampleSlices(source, count: first.inputSize, to: volume, range: nil)
        resampleColumns(volume, width: outputSliceCount, to: destination, range: range)
      }
    } else {
      withVolume(first.outputSize * inputSliceCount) { volume in
        resampleColumns(source, width: inputSliceCount, to: volume, range: nil)
        resampleSlices(volume, count: first.outputSize, to: destination, range: range)
      }
    }
  }

  private func withVolume(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
    context.withScratch(byteCount: count * 4) { body($0.bindMemory(to: Float.self, capacity: count)) }
  }

  private func extrema(_ source: UnsafePointer<Float>) -> (Float, Float) {
    let count = first.inputSize * inputSliceCount
    let grain = 1 << 20
    let tasks = (count + grain - 1) / grain
    var ranges = Array(repeating: (Float.infinity, -Float.infinity), count: tasks)
    ranges.withUnsafeMutableBufferPointer { ranges in
      nonisolated(unsafe) let ranges = ranges
      context.pool.run(count: count, grain: grain) { part in
        var (low, high) = (Float.infinity, -Float.infinity)
        kernels.extrema(source + part.lowerBound, part.count, &low, &high)
        ranges[part.lowerBound / grain] = (low, high)
      }
    }
    return ranges.reduce((.infinity, -.infinity)) { (min($0.0, $1.0), max($0.1, $1.1)) }
  }

  /// The first axis, for `width` columns that lie side by side.
  func resampleColumns(
    _ source: UnsafePointer<Float>, width: Int, to destination: UnsafeMutablePointer<Float>, range: (Float, Float)?
  ) {
    let (low, high) = range ?? (-.infinity, .infinity)
    first.withKernelAxis { axis in
      let axis = axis
      context.pool.run(count: width, grain: first.columnsAtOnce) { part in
        context.withScratch(byteCount: 8 * first.scratchCount(width: part.count)) { scratch in
          withUnsafePointer(to: axis) { axis in
            kernels.columns(
              axis, source + part.lowerBound, width, part.count, destination + part.lowerBound, width,
              scratch.assumingMemoryBound(to: Double.self), low, high)
          }
        }
      }
    }
  }

  /// The second and third axis of `count` slices.
  func resampleSlices(
    _ source: UnsafePointer<Float>, count: Int, to destination: UnsafeMutablePointer<Float>, range: (Float, Float)?
  ) {
    context.pool.run(count: count, grain: 1) { part in
      let slice = part.lowerBound
      resampleSlice(source + slice * inputSliceCount, to: destination + slice * outputSliceCount, range: range)
    }
  }

  /// Every output slice comes from one input slice.
  private func resampleChosenSlices(_ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>) {
    let starts = first.starts
    context.pool.run(count: first.outputSize, grain: 1) { part in
      let slice = part.lowerBound
      // Of several that choose the same one, the first makes it.
      if slice > 0 && starts[slice - 1] == starts[slice] { return }
      let target = destination + slice * outputSliceCount
      resampleSlice(source + Int(starts[slice]) * inputSliceCount, to: target, range: nil)
      var copy = slice + 1
      while copy < first.outputSize && starts[copy] == starts[slice] {
        (destination + copy * outputSliceCount).update(from: target, count: outputSliceCount)
        copy += 1
      }
    }
  }

  /// One slice, on the calling thread.
  func resampleSlice(
    _ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>, range: (Float, Float)?
  ) {
    if slicesAreIdentity && range == nil {
      return destination.update(from: source, count: inputSliceCount)
    }
    var (low, high) = range ?? (-Float.infinity, Float.infinity)
    if limits == .slice {
      (low, high) = (.infinity, -.infinity)
      kernels.extrema(source, inputSliceCount, &low, &high)
      if low > high { (low, high) = (-.infinity, .infinity) }
    }
    if third.isIdentity {
      // Where both are identities this still limits the values.
      return resampleSecondAxis(source, to: destination, low, high)
    }
    if second.isIdentity { return resampleThirdAxis(source, to: destination, low, high) }
    let count = second.outputSize * third.inputSize
    context.withScratch(byteCount: 4 * count) { scratch in
      let between = scratch.bindMemory(to: Float.self, capacity: count)
      resampleSecondAxis(source, to: between, -.infinity, .infinity)
      resampleThirdAxis(between, to: destination, low, high)
    }
  }

  private func resampleSecondAxis(
    _ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>, _ low: Float, _ high: Float
  ) {
    let width = third.inputSize
    if second.isIdentity {
      for i in 0..<inputSliceCount { destination[i] = min(max(source[i], low), high) }
      return
    }
    let atOnce = min(second.columnsAtOnce, width)
    second.withKernelAxis { axis in
      context.withScratch(byteCount: 8 * second.scratchCount(width: atOnce)) { scratch in
        for start in stride(from: 0, to: width, by: atOnce) {
          kernels.columns(
            &axis, source + start, width, min(atOnce, width - start), destination + start, width,
            scratch.assumingMemoryBound(to: Double.self), low, high)
        }
      }
    }
  }

  private func resampleThirdAxis(
    _ source: UnsafePointer<Float>, to destination: UnsafeMutablePointer<Float>, _ low: Float, _ high: Float
  ) {
    let atOnce = Int(CK_RESAMPLING_ROWS)
    third.withKernelAxis { axis in
      context.withScratch(byteCount: 8 * third.scratchCount(width: atOnce)) { scratch in
        for start in stride(from: 0, to: second.outputSize, by: atOnce) {
          kernels.rows(
            &axis, source + start * third.inputSize, third.inputSize, min(atOnce, second.outputSize - start),
            destination + start * third.outputSize, third.outputSize, scratch.assumingMemoryBound(to: Double.self),
            low, high)
        }
      }
    }
  }
}
