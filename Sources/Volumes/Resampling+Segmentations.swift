import CKernels
import TensorCore

extension Resampling {
  /// Resamples a label map: every label's indicator is interpolated and the largest wins.
  ///
  /// Exact ties go to the nearest voxel's label if it is among them, otherwise to the smallest (batchgenerators'
  /// `resize_segmentation`), or for PyTorch's functions, which compare in float16, to the smallest.
  public func resampleSegmentation(
    _ grid: VoxelGrid<Int16>, to newShape: [Int], currentSpacing: [Double], newSpacing: [Double],
    context: EvaluationContext = .standard
  ) -> VoxelGrid<Int16> {
    check(newShape.count == 3, "Resampling.resampleSegmentation: the new shape \(newShape) has not three axes")
    guard
      let plan = ResamplingPlan(
        self, from: grid.spatialShape, to: newShape, currentSpacing: currentSpacing, newSpacing: newSpacing)
    else { return grid }
    let isSeparate = separateAxis(currentSpacing: currentSpacing, newSpacing: newSpacing) != nil
    let source = grid.transposed(plan.axisOrder)
    let resampler = LabelResampler(
      self, from: source.spatialShape, to: plan.axes.map(\.outputSize), isSeparate, context)
    let channels = (0..<grid.channelCount).map { channel in
      resampler.resample(source.channel(channel))
    }
    return VoxelGrid<Int16>.stacking(channels).transposed(plan.backwardOrder)
  }
}

extension VoxelGrid {
  /// One channel as a grid of its own.
  package func channel(_ channel: Int) -> VoxelGrid {
    if channelCount == 1 { return self }
    return VoxelGrid(
      shape: [1] + spatialShape, elements: Array(elements[channel * voxelCount..<(channel + 1) * voxelCount]))
  }
}

/// Resamples single label maps whose separately resampled axis, if any, is the first.
struct LabelResampler {
  private enum Rule {
    /// Sums in double precision; ties to the nearest voxel, then to the smallest label.
    case nearestOfTied
    /// Sums in single precision of indicators of 1000, compared in float16; ties to the smallest label.
    case half
    /// The label above one half, the largest if there are several, otherwise 0.
    case aboveHalf
  }

  /// Linear interpolation along one axis: two neighbours, the nearer one, and the weights.
  private struct Neighbours {
    var first: [Int]
    var second: [Int]
    var nearest: [Int]
    var weights: [(Double, Double)]
  }

  let resampling: Resampling
  let shape: [Int]
  let newShape: [Int]
  let isSeparate: Bool
  let context: EvaluationContext

  init(
    _ resampling: Resampling, from shape: [Int], to newShape: [Int], _ isSeparate: Bool, _ context: EvaluationContext
  ) {
    self.resampling = resampling
    self.shape = shape
    self.newShape = newShape
    self.isSeparate = isSeparate
    self.context = context
  }

  func resample(_ labels: VoxelGrid<Int16>) -> VoxelGrid<Int16> {
    switch resampling.method {
    case .none: return labels
    case .spline(let order, let orderZ):
      if !isSeparate { return spline(labels, newShape, order: order) }
      let inPlane = [shape[0], newShape[1], newShape[2]]
      if orderZ == 0 {
        // Choosing slices first is the same and less work.
        let chosen = nearest(labels, [newShape[0], shape[1], shape[2]])
        return spline(chosen, newShape, order: order)
      }
      let slices = spline(labels, inPlane, order: order)
      if shape[0] == newShape[0] { return slices }
      return orderZ == 1
        ? linear(slices, newShape, [.skimage, .skimage, .skimage], .aboveHalf) : thresholdAlongFirstAxis(slices)
    case .torch(let mode, let anisotropicAxisMode, let isMemoryEfficient):
      let rule = isMemoryEfficient ? Rule.aboveHalf : .half
      if !isSeparate { return torch(labels, newShape, .linear, rule) }
      let slices = torch(labels, [shape[0], newShape[1], newShape[2]], mode, rule)
      return torch(slices, newShape, anisotropicAxisMode, rule)
    }
  }

  private func spline(_ labels: VoxelGrid<Int16>, _ newShape: [Int], order: Int) -> VoxelGrid<Int16> {
    if labels.spatialShape == newShape { return labels }
    switch order {
    case 0: return nearest(labels, newShape)
    case 1: return linear(labels, newShape, [.skimage, .skimage, .skimage], .nearestOfTied)
    default: return argmaxOfIndicators(labels, newShape, order: order)
    }
  }

  private func torch(
    _ labels: VoxelGrid<Int16>, _ newShape: [Int], _ mode: TorchInterpolation, _ rule: Rule
  ) -> VoxelGrid<Int16> {
    if labels.spatialShape == newShape { return labels }
    switch mode {
    case .linear: return linear(labels, newShape, [.torch, .torch, .torch], rule)
    case .nearest, .nearestExact:
      return gather(labels, newShape) { Int(ResamplingAxis.torch(mode, from: $0, to: $1).starts[$2]) }
    case .area: return argmaxOfAreas(labels, newShape, rule)
    }
  }

  // MARK: Nearest

  private func nearest(_ labels: VoxelGrid<Int16>, _ newShape: [Int]) -> VoxelGrid<Int16> {
    gather(labels, newShape) { ResamplingAxis.nearest($2, $0, $1) }
  }

  private func gather(
    _ labels: VoxelGrid<Int16>, _ newShape: [Int], _ index: (Int, Int, Int) -> Int
  ) -> VoxelGrid<Int16> {
    let old = labels.spatialShape
    if old == newShape { return labels }
    let indices = (0..<3).map { axis in (0..<newShape[axis]).map { index(old[axis], newShape[axis], $0) } }
    return VoxelGrid(shape: [1] + newShape) { destination in
      labels.elements.withUnsafeBufferPointer { source in
        nonisolated(unsafe) let (source, destination) = (source, destination)
        context.pool.run(count: newShape[0], grain: 1) { part in
          let z = part.lowerBound
          for y in 0..<newShape[1] {
            let from = (indices[0][z] * old[1] + indices[1][y]) * old[2]
            let to = (z * newShape[1] + y) * newShape[2]
            for x in 0..<newShape[2] { destination[to + x] = source[from + indices[2][x]] }
          }
        }
      }
    }
  }

  // MARK: Linear

  private enum LinearRule {
    case skimage
    case torch
  }

  private func neighbours(_ rule: LinearRule, _ size: Int, _ newSize: Int) -> Neighbours {
    var result = Neighbours(first: [], second: [], nearest: [], weights: [])
    let axis = rule == .torch ? ResamplingAxis.torch(.linear, from: size, to: newSize) : nil
    for index in 0..<newSize {
      var (start, weights): (Int, (Double, Double))
      if let axis {
        start = Int(axis.starts[index])
        weights = (axis.weights[index * axis.taps], axis.taps > 1 ? axis.weights[index * axis.taps + 1] : 0)
      } else {
        let position = min(max(ResamplingAxis.coordinate(index, size, newSize), 0), Double(size - 1))
        start = Int(position)
        let first = 1 - (position - Double(start))
        weights = (first, 1 - first)
      }
      // A neighbour without weight must not make a voxel look like a boundary.
      if weights.0 == 0 {
        start += 1
        weights = (weights.1, 0)
      }
      result.first.append(start)
      result.second.append(weights.1 == 0 ? start : start + 1)
      result.weights.append(weights)
      result.nearest.append(ResamplingAxis.nearest(index, size, newSize))
    }
    return result
  }

  private func linear(
    _ labels: VoxelGrid<Int16>, _ newShape: [Int], _ rules: [LinearRule], _ rule: Rule
  ) -> VoxelGrid<Int16> {
    let old = labels.spatialShape
    let axes = (0..<3).map { neighbours(rules[$0], old[$0], newShape[$0]) }
    let (z, y, x) = (axes[0], axes[1], axes[2])
    return VoxelGrid(shape: [1] + newShape) { destination in
      labels.elements.withUnsafeBufferPointer { source in
        nonisolated(unsafe) let (source, destination) = (source, destination)
        context.pool.run(count: newShape[0], grain: 1) { part in
          let i = part.lowerBound
          // Where all four rows agree their label, elsewhere a number that no label is.
          var merged = Array(repeating: Int32.min, count: old[2])
          var lastRows = (-1, -1)
          for j in 0..<newShape[1] {
            let rows = (
              (z.first[i] * old[1] + y.first[j]) * old[2], (z.first[i] * old[1] + y.second[j]) * old[2],
              (z.second[i] * old[1] + y.first[j]) * old[2], (z.second[i] * old[1] + y.second[j]) * old[2]
            )
            if lastRows != (rows.0, rows.1) {
              for k in 0..<old[2] {
                let label = source[rows.0 + k]
                let agree = label == source[rows.1 + k] && label == source[rows.2 + k] && label == source[rows.3 + k]
                merged[k] = agree ? Int32(label) : .min
              }
              lastRows = (rows.0, rows.1)
            }
            let to = (i * newShape[1] + j) * newShape[2]
            for k in 0..<newShape[2] {
              let label = merged[x.first[k]]
              if label != .min && label == merged[x.second[k]] {
                destination[to + k] = Int16(truncatingIfNeeded: label)
                continue
              }
              let corners = Corners(source, rows, x.first[k], x.second[k])
              switch rule {
              case .nearestOfTied:
                let nearest = source[(z.nearest[i] * old[1] + y.nearest[j]) * old[2] + x.nearest[k]]
                destination[to + k] = corners.winner(z.weights[i], y.weights[j], x.weights[k], nearest: nearest)
              case .half:
                destination[to + k] = corners.winnerInHalf(z.weights[i], y.weights[j], x.weights[k])
              case .aboveHalf:
                destination[to + k] = corners.labelAboveHalf(z.weights[i], y.weights[j], x.weights[k])
              }
            }
          }
        }
      }
    }
  }

  /// The labels at the eight corners around a sample, Z slowest.
  private struct Corners {
    var labels: SIMD8<Int16>

    @inline(__always)
    init(_ source: UnsafeBufferPointer<Int16>, _ rows: (Int, Int, Int, Int), _ first: Int, _ second: Int) {
      labels = SIMD8(
        source[rows.0 + first], source[rows.0 + second], source[rows.1 + first], source[rows.1 + second],
        source[rows.2 + first], source[rows.2 + second], source[rows.3 + first], source[rows.3 + second]
      )
    }

    /// Calls `body` once for every label that occurs.
    @inline(__always)
    private func forEachLabel(_ body: (Int16) -> Void) {
      for corner in 0..<8 {
        var isNew = true
        for earlier in 0..<corner where labels[earlier] == labels[corner] { isNew = false }
        if isNew { body(labels[corner]) }
      }
    }

    /// scipy multiplies and adds in this order, and ties depend on it.
    @inline(__always)
    private func score(_ label: Int16, _ z: (Double, Double), _ y: (Double, Double), _ x: (Double, Double)) -> Double {
      var sum = 0.0
      if labels[0] == label { sum += z.0 * y.0 * x.0 }
      if labels[1] == label { sum += z.0 * y.0 * x.1 }
      if labels[2] == label { sum += z.0 * y.1 * x.0 }
      if labels[3] == label { sum += z.0 * y.1 * x.1 }
      if labels[4] == label { sum += z.1 * y.0 * x.0 }
      if labels[5] == label { sum += z.1 * y.0 * x.1 }
      if labels[6] == label { sum += z.1 * y.1 * x.0 }
      if labels[7] == label { sum += z.1 * y.1 * x.1 }
      return min(sum, 1)
    }

    func winner(_ z: (Double, Double), _ y: (Double, Double), _ x: (Double, Double), nearest: Int16) -> Int16 {
      var (best, winner) = (-1.0, Int16.max)
      var nearestIsBest = false
      forEachLabel { label in
        let own = score(label, z, y, x)
        if own > best {
          (best, winner, nearestIsBest) = (own, label, label == nearest)
        } else if own == best {
          winner = min(winner, label)
          nearestIsBest = nearestIsBest || label == nearest
        }
      }
      return nearestIsBest ? nearest : winner
    }

    func winnerInHalf(_ z: (Double, Double), _ y: (Double, Double), _ x: (Double, Double)) -> Int16 {
      var (best, winner) = (Float(-1), Int16.max)
      forEachLabel { label in
        // PyTorch interpolates along X, then Y, then Z, in single precision.
        func value(_ corner: Int) -> Float { labels[corner] == label ? 1000 : 0 }
        func row(_ corner: Int) -> Float { Float(x.0) * value(corner) + Float(x.1) * value(corner + 1) }
        func slice(_ corner: Int) -> Float { Float(y.0) * row(corner) + Float(y.1) * row(corner + 2) }
        let own = roundedToHalf(Float(z.0) * slice(0) + Float(z.1) * slice(4))
        if own > best || own == best && label < winner { (best, winner) = (own, label) }
      }
      return winner
    }

    func labelAboveHalf(_ z: (Double, Double), _ y: (Double, Double), _ x: (Double, Double)) -> Int16 {
      var winner: Int16?
      forEachLabel { label in
        if score(label, z, y, x) > 0.5 { winner = max(winner ?? label, label) }
      }
      return winner ?? 0
    }
  }

  // MARK: Rare methods, label by label

  private func argmaxOfIndicators(_ labels: VoxelGrid<Int16>, _ newShape: [Int], order: Int) -> VoxelGrid<Int16> {
    let old = labels.spatialShape
    let nearestLabels = nearest(labels, newShape)
    var best = VoxelGrid<Float>(shape: [1] + newShape, repeating: -1)
    var winner = VoxelGrid<Int16>(shape: [1] + newShape, repeating: 0)
    var nearestIsBest = VoxelGrid<Bool>(shape: [1] + newShape, repeating: false)
    let isFlat = isSeparate
    let plane = old[1] * old[2]
    for label in Set(labels.elements).sorted() {
      let indicator = labels.elements.map { $0 == label ? Float(1) : 0 }
      let score: [Float]
      if isFlat {
        // Slices are images of their own, each limited to its own range.
        let resampling = Resampling(.spline(order: order, orderZ: 0), separatesZ: false)
        score = (0..<old[0]).flatMap { z in
          resampling.resample(
            VoxelGrid(shape: [1, 1, old[1], old[2]], elements: Array(indicator[z * plane..<(z + 1) * plane])),
            to: [1, newShape[1], newShape[2]], currentSpacing: [1, 1, 1], newSpacing: [1, 1, 1], context: context
          ).elements
        }
      } else {
        score =
          Resampling(.spline(order: order, orderZ: 0), separatesZ: false).resample(
            VoxelGrid(shape: labels.shape, elements: indicator), to: newShape, currentSpacing: [1, 1, 1],
            newSpacing: [1, 1, 1], context: context
          ).elements
      }
      for i in score.indices {
        let isNearest = nearestLabels.elements[i] == label
        if score[i] > best.elements[i] {
          best.elements[i] = score[i]
          winner.elements[i] = label
          nearestIsBest.elements[i] = isNearest
        } else if score[i] == best.elements[i] && isNearest {
          nearestIsBest.elements[i] = true
        }
      }
    }
    for i in winner.elements.indices where nearestIsBest.elements[i] {
      winner.elements[i] = nearestLabels.elements[i]
    }
    return winner
  }

  private func argmaxOfAreas(_ labels: VoxelGrid<Int16>, _ newShape: [Int], _ rule: Rule) -> VoxelGrid<Int16> {
    let old = labels.spatialShape
    var best = Array(repeating: rule == .aboveHalf ? Float(0.5) : -1, count: newShape.reduce(1, *))
    var winner = VoxelGrid<Int16>(shape: [1] + newShape, repeating: 0)
    let scale: Float = rule == .aboveHalf ? 1 : 1000
    guard
      var plan = ResamplingPlan(
        Resampling(.spline(order: 1, orderZ: 1), separatesZ: false), from: old, to: newShape,
        currentSpacing: [1, 1, 1], newSpacing: [1, 1, 1])
    else { return labels }
    plan.axes = (0..<3).map { .torch(.area, from: old[$0], to: newShape[$0]) }
    let resampler = VolumeResampler(plan, context)
    for label in Set(labels.elements).sorted() {
      let indicator = labels.elements.map { $0 == label ? scale : 0 }
      let score = VoxelGrid<Float>(shape: [1] + newShape) { destination in
        guard let target = destination.baseAddress else { return }
        indicator.withUnsafeBufferPointer { if let base = $0.baseAddress { resampler.resample(base, to: target) } }
      }
      for i in best.indices {
        let own = rule == .aboveHalf ? score.elements[i] : roundedToHalf(score.elements[i])
        if own > best[i] {
          if rule != .aboveHalf { best[i] = own }
          winner.elements[i] = label
        }
      }
    }
    return winner
  }

  private func thresholdAlongFirstAxis(_ labels: VoxelGrid<Int16>) -> VoxelGrid<Int16> {
    var result = VoxelGrid<Int16>(shape: [1] + newShape, repeating: 0)
    guard
      var plan = ResamplingPlan(
        Resampling(.spline(order: 1, orderZ: 1), separatesZ: false), from: labels.spatialShape, to: newShape,
        currentSpacing: [1, 1, 1], newSpacing: [1, 1, 1])
    else { return labels }
    plan.axes[0] = .spline(order: 3, from: labels.shape[1], to: newShape[0])
    let resampler = VolumeResampler(plan, context)
    for label in Set(labels.elements).sorted() {
      let indicator = labels.elements.map { $0 == label ? Float(1) : 0 }
      let score = VoxelGrid<Float>(shape: [1] + newShape) { destination in
        guard let target = destination.baseAddress else { return }
        indicator.withUnsafeBufferPointer { if let base = $0.baseAddress { resampler.resample(base, to: target) } }
      }
      for i in score.elements.indices where score.elements[i] > 0.5 { result.elements[i] = label }
    }
    return result
  }
}

/// The nearest float16, ties to even.
func roundedToHalf(_ value: Float) -> Float {
  var value = value
  ck_resampling_kernels_for(CK_PORTABLE).pointee.round_to_half(&value, 1)
  return value
}
