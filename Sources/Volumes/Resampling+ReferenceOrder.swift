import TensorCore

extension Resampling {
  /// Whether ``resampledInReferenceOrder(_:to:currentSpacing:newSpacing:context:)`` has this resampling: what planners
  /// choose for logits, where anything is resampled.
  package func hasReferenceOrder(from shape: [Int], to newShape: [Int]) -> Bool {
    method == .spline(order: 1, orderZ: 0) && shape != newShape
  }

  /// Resamples one class's logits and rounds them to float16, operation by operation as the reference does.
  ///
  /// Weights of simple ratios of sizes and logits of few digits make sums that lie exactly between two float16 values.
  /// How such a tie is rounded depends on the last bit of the sum, so here the taps of a voxel are multiplied and added
  /// in double precision in the order of scipy's `zoom` and `map_coordinates`, whose ends repeat the edge and do not move
  /// the coordinate, and the sum is rounded once.
  ///
  /// nnU-Net: `resample_data_or_seg` of `preprocessing/resampling/default_resampling.py`.
  /// - Parameter logits: `[1, Z, Y, X]`; ``hasReferenceOrder(from:to:)``.
  package func resampledInReferenceOrder(
    _ logits: VoxelGrid<Float>, to newShape: [Int], currentSpacing: [Double], newSpacing: [Double],
    context: EvaluationContext = .standard
  ) -> VoxelGrid<Float> {
    check(
      logits.channelCount == 1 && hasReferenceOrder(from: logits.spatialShape, to: newShape),
      "Resampling.resampledInReferenceOrder: \(logits.shape) to \(newShape) by \(method)")
    let separate = separateAxis(currentSpacing: currentSpacing, newSpacing: newSpacing)
    let axisOrder = separate.map { axis in [axis] + (0..<3).filter { $0 != axis } } ?? [0, 1, 2]
    let source = logits.transposed(axisOrder)
    let (old, new) = (source.spatialShape, axisOrder.map { newShape[$0] })
    let axes = (0..<3).map {
      LinearTaps(from: old[$0], to: new[$0], choosesNearest: $0 == 0 && separate != nil)
    }
    let (first, second, third) = (axes[0], axes[1], axes[2])
    let result = VoxelGrid<Float>(shape: [1] + new) { destination in
      guard let target = destination.baseAddress else { return }
      source.elements.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress else { return }
        context.pool.run(count: new[0] * new[1], grain: max(1, 4096 / new[2])) { rows in
          var sum = [Double](repeating: 0, count: new[2])
          var scaled = [Double](repeating: 0, count: old[2])
          for row in rows {
            for x in sum.indices { sum[x] = 0 }
            for (plane, planeWeight) in first.taps(of: row / new[1]) {
              for (line, lineWeight) in second.taps(of: row % new[1]) {
                third.add(
                  source + (plane * old[1] + line) * old[2], planeWeight, lineWeight, to: &sum, scratch: &scaled)
              }
            }
            let line = target + row * new[2]
            for x in sum.indices { line[x] = roundedToHalf(sum[x]) }
          }
        }
      }
    }
    return result.transposed(axisOrder.indices.map { axis in axisOrder.firstIndex(of: axis) ?? axis })
  }
}

/// The two samples that every output sample along an axis is made of, with scipy's weights.
private struct LinearTaps {
  private let lower: [Int]
  private let upper: [Int]
  private let lowerWeights: [Double]
  private let upperWeights: [Double]

  /// - Parameter choosesNearest: whether only the nearest sample counts (order 0).
  init(from inputSize: Int, to outputSize: Int, choosesNearest: Bool) {
    if choosesNearest {
      lower = (0..<outputSize).map { ResamplingAxis.nearest($0, inputSize, outputSize) }
      upper = lower
      lowerWeights = lower.map { _ in 1 }
      upperWeights = lower.map { _ in 0 }
      return
    }
    let positions = (0..<outputSize).map { ResamplingAxis.coordinate($0, inputSize, outputSize) }
    let starts = positions.map { $0.rounded(.down) }
    lower = starts.map { min(max(Int($0), 0), inputSize - 1) }
    upper = starts.map { min(max(Int($0) + 1, 0), inputSize - 1) }
    lowerWeights = zip(positions, starts).map { 1 - ($0 - $1) }
    upperWeights = lowerWeights.map { 1 - $0 }
  }

  /// The samples of an output sample with their weights; without the one of weight 0, which changes no sum.
  func taps(of index: Int) -> [(sample: Int, weight: Double)] {
    let first = (lower[index], lowerWeights[index])
    return upperWeights[index] == 0 ? [first] : [first, (upper[index], upperWeights[index])]
  }

  /// Adds both samples of every output sample of a row: `((value * planeWeight) * lineWeight) * weight`.
  func add(
    _ row: UnsafePointer<Float>, _ planeWeight: Double, _ lineWeight: Double, to sum: inout [Double],
    scratch: inout [Double]
  ) {
    for x in scratch.indices { scratch[x] = Double(row[x]) * planeWeight * lineWeight }
    for x in sum.indices {
      sum[x] += scratch[lower[x]] * lowerWeights[x]
      sum[x] += scratch[upper[x]] * upperWeights[x]
    }
  }
}

/// The float16 value nearest to a Double, ties to even; beyond 65504 infinity. Going through Float would round twice.
package func roundedToHalf(_ value: Double) -> Float {
  let bits = value.bitPattern
  let magnitude = bits & 0x7FFF_FFFF_FFFF_FFFF
  // Ten of the 52 bits of the significand stay.
  let normal = (magnitude &+ 0x1FF_FFFF_FFFF &+ ((magnitude >> 42) & 1)) & ~0x3FF_FFFF_FFFF
  // Below 2^-14 the steps are 2^-24, which is what remains of a number beside 2^28.
  let small = (Double(bitPattern: magnitude) + 0x1p28) - 0x1p28
  let rounded = magnitude < 0x3F10_0000_0000_0000 ? small : Double(bitPattern: normal)
  let limited = rounded >= 65536 ? Double.infinity : rounded
  return Float(bits >> 63 == 0 ? limited : -limited)
}
