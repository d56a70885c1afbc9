import CKernels

/// A linear map along one axis: for each output index, the input indices it reads and their weights.
///
/// Pooling with averages and upsampling are products of such maps, one per spatial axis, and their gradients are the
/// transposed maps.
struct AxisMap: Sendable {
  var taps: [[(index: Int, weight: Float)]]

  init(taps: [[(index: Int, weight: Float)]]) { self.taps = taps }

  func transposed(inputCount: Int) -> AxisMap {
    var result = [[(index: Int, weight: Float)]](repeating: [], count: inputCount)
    for (output, taps) in taps.enumerated() {
      for tap in taps { result[tap.index].append((output, tap.weight)) }
    }
    return AxisMap(taps: result)
  }
}

/// Applies one map per spatial axis of a channels-last tensor `[N, ..., C]`.
func applySpatialMaps(
  _ maps: [AxisMap], to input: TensorView, into output: MutableTensorView, in context: EvaluationContext
) {
  guard let last = maps.last, output.count > 0 else {
    output.floats.update(from: input.floats, count: output.count)
    return
  }
  let kernels = ck_movement_kernels_for(context.instructionSet).pointee
  let channels = input.shape.channels
  let strides = input.shape.strides
  let outer = maps.dropLast()
  let outerRows = outer.reduce(1) { $0 * $1.taps.count }
  let columns = last.taps.count
  // The last axis' taps in one array: those of column `i` are `firstTap[i] ..< firstTap[i + 1]`.
  let lastTaps = last.taps.flatMap { $0.map { ck_weighted_tap(offset: $0.index * channels, weight: $0.weight) } }
  let firstTap = last.taps.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.count) }
  let (x, result) = (input.floats, output.floats)
  context.pool.run(
    count: input.shape[0] * outerRows, grain: max(1, pointwiseGrain / 4 / max(1, columns * channels))
  ) { rows in
    for row in rows {
      // The taps of the outer axes are the same along the row.
      let (instance, position) = row.quotientAndRemainder(dividingBy: outerRows)
      var outerTaps = [ck_weighted_tap(offset: instance * strides[0], weight: 1)]
      var rest = position
      for (axis, map) in outer.enumerated().reversed() {
        let (quotient, index) = rest.quotientAndRemainder(dividingBy: map.taps.count)
        rest = quotient
        outerTaps = map.taps[index].flatMap { tap in
          outerTaps.map {
            ck_weighted_tap(offset: $0.offset + tap.index * strides[axis + 1], weight: $0.weight * tap.weight)
          }
        }
      }
      outerTaps.withUnsafeBufferPointer { outerTaps in
        kernels.weighted_columns(
          result + row * columns * channels, x,
          ck_weighted_taps(taps: outerTaps.baseAddress, count: outerTaps.count), lastTaps, firstTap, columns, channels)
      }
    }
  }
}

/// A sliding window along the spatial axes: one extent per axis.
public struct PoolingWindow: Hashable, Sendable {
  public var kernel: [Int]
  public var stride: [Int]
  /// Elements of padding at both ends.
  public var padding: [Int]

  public init(kernel: [Int], stride: [Int], padding: [Int]) {
    check(
      kernel.count == stride.count && kernel.count == padding.count && (kernel + stride).allSatisfy { $0 > 0 }
        && zip(padding, kernel).allSatisfy { $0 >= 0 && 2 * $0 <= $1 },
      "PoolingWindow: kernel \(kernel), stride \(stride) and padding \(padding) do not go together; "
        + "a padding is at most half the kernel")
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
  }

  func outputExtent(_ axis: Int, _ extent: Int) -> Int {
    let room = extent + 2 * padding[axis] - kernel[axis]
    return room < 0 ? 0 : room / stride[axis] + 1
  }

  func shape(of input: Shape, name: String) -> Shape {
    check(
      input.rank == kernel.count + 2, "\(name): the window \(kernel) does not fit shape \(input) ([N, ..., C])")
    let spatial = input.spatial.enumerated().map { axis, extent in outputExtent(axis, extent) }
    check(!spatial.contains(0), "\(name): the window \(kernel) is larger than the padded input \(input)")
    return Shape([input[0]] + spatial + [input.channels])
  }

  func range(of input: ShapeRange) -> ShapeRange {
    var result = input
    for axis in kernel.indices { result[axis + 1] = input[axis + 1].mapMonotonic { outputExtent(axis, $0) } }
    return result
  }

  /// The input indices under the window at an output index, clipped to the input.
  func indices(_ axis: Int, output: Int, extent: Int) -> Range<Int> {
    let first = output * stride[axis] - padding[axis]
    return max(0, first)..<max(max(0, first), min(extent, first + kernel[axis]))
  }

  /// The maps of the average: padding counts as zeros, as in PyTorch.
  func averageMaps(of input: Shape) -> [AxisMap] {
    input.spatial.enumerated().map { axis, extent in
      AxisMap(
        taps: (0..<outputExtent(axis, extent)).map { output -> [(index: Int, weight: Float)] in
          indices(axis, output: output, extent: extent).map { ($0, 1 / Float(kernel[axis])) }
        })
    }
  }
}

/// How an upsampled value comes from its neighbours.
public enum Interpolation: Hashable, Sendable {
  /// The voxel at `floor(index * old / new)`.
  case nearest
  /// Linear along every axis between voxel centres, clamped at the borders (PyTorch's `align_corners=False`).
  case linear

  func map(from old: Int, to new: Int) -> AxisMap {
    let ratio = Float(old) / Float(new)
    return AxisMap(
      taps: (0..<new).map { index -> [(index: Int, weight: Float)] in
        switch self {
        case .nearest:
          return [(min(Int(Float(index) * ratio), old - 1), Float(1))]
        case .linear:
          let position = max(0, (Float(index) + 0.5) * ratio - 0.5)
          let lower = min(Int(position), old - 1)
          let upper = min(lower + 1, old - 1)
          let fraction = upper == lower ? 0 : position - Float(lower)
          return fraction == 0 ? [(lower, Float(1))] : [(lower, 1 - fraction), (upper, fraction)]
        }
      })
  }
}
