import CKernels

/// A tensor with its axes in another order: axis `i` of the result is axis `permutation[i]` of the input.
public struct Transpose: Operation {
  public var permutation: [Int]

  public init(_ permutation: [Int]) {
    check(permutation.sorted() == Array(0..<permutation.count), "Transpose: \(permutation) is no permutation")
    self.permutation = permutation
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0].rank == permutation.count, "Transpose: \(permutation) does not permute shape \(inputs[0])")
    return [Shape(permutation.map { inputs[0][$0] })]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(permutation.map { inputs[0][$0] })] }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { inputs }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (source, destination) = (inputs[0].bytes, outputs[0].bytes)
    let axes = walkedAxes(of: inputs[0].shape)
    switch inputs[0].elementType {
    case .float32:
      move(source.assumingMemoryBound(to: Float.self), destination.assumingMemoryBound(to: Float.self), axes, context)
    case .int16:
      move(source.assumingMemoryBound(to: Int16.self), destination.assumingMemoryBound(to: Int16.self), axes, context)
    case .uint8:
      move(source.assumingMemoryBound(to: UInt8.self), destination.assumingMemoryBound(to: UInt8.self), axes, context)
    case .uint64:
      move(source.assumingMemoryBound(to: UInt64.self), destination.assumingMemoryBound(to: UInt64.self), axes, context)
    }
  }

  private typealias Axis = (extent: Int, source: Int)

  /// The result's axes with the input's strides; axes that are neighbours in both are one.
  private func walkedAxes(of input: Shape) -> [Axis] {
    let strides = input.strides
    var axes: [Axis] = []
    for axis in permutation where input[axis] != 1 {
      if let last = axes.last, last.source == strides[axis] * input[axis] {
        axes[axes.count - 1] = (last.extent * input[axis], strides[axis])
      } else {
        axes.append((input[axis], strides[axis]))
      }
    }
    return axes
  }

  private func move<Element>(
    _ source: UnsafePointer<Element>, _ destination: UnsafeMutablePointer<Element>, _ axes: [Axis],
    _ context: EvaluationContext
  ) {
    guard let last = axes.last else {
      destination.update(from: source, count: 1)
      return
    }
    let count = axes.reduce(1) { $0 * $1.extent }
    guard count > 0 else { return }
    let kernels = ck_movement_kernels_for(context.instructionSet).pointee
    // The axis that is contiguous in the input; with the result's last axis it spans the plane that is turned.
    let contiguous = axes.firstIndex { $0.source == 1 } ?? axes.count - 1
    if contiguous == axes.count - 1 {
      // Whole rows move.
      let size = MemoryLayout<Element>.stride
      let outer = Array(axes.dropLast())
      context.pool.run(count: count / last.extent, grain: max(1, pointwiseGrain / last.extent)) { rows in
        for row in rows {
          let from = source + Self.offset(of: row, outer)
          kernels.copy_rows(destination + row * last.extent, 0, from, 0, last.extent * size, 1)
        }
      }
      return
    }
    let plane = axes[contiguous]
    let outer = Array(axes[..<contiguous])
    let between = Array(axes[(contiguous + 1)..<(axes.count - 1)])
    let betweenCount = between.reduce(1) { $0 * $1.extent }
    let outerCount = outer.reduce(1) { $0 * $1.extent }
    let destinationStride = betweenCount * last.extent
    // Parts of a plane: all columns of some rows, the rows being what the input walks slowly.
    let part = max(8, pointwiseGrain / plane.extent / 8 * 8)
    let parts = (last.extent + part - 1) / part
    context.pool.run(tasks: outerCount * betweenCount * parts) { task in
      let (matrix, index) = task.quotientAndRemainder(dividingBy: parts)
      let (outerIndex, betweenIndex) = matrix.quotientAndRemainder(dividingBy: betweenCount)
      let rows = index * part..<min(last.extent, (index + 1) * part)
      let from = source + Self.offset(of: outerIndex, outer) + Self.offset(of: betweenIndex, between)
      let to = destination + outerIndex * plane.extent * destinationStride + betweenIndex * last.extent
      Self.turn(
        from + rows.lowerBound * last.source, last.source, to + rows.lowerBound, destinationStride,
        rows: rows.count, columns: plane.extent, kernels)
    }
  }

  private static func offset(of index: Int, _ axes: [Axis]) -> Int {
    var (rest, offset) = (index, 0)
    for axis in axes.reversed() {
      let (quotient, position) = rest.quotientAndRemainder(dividingBy: axis.extent)
      offset += position * axis.source
      rest = quotient
    }
    return offset
  }

  private static func turn<Element>(
    _ source: UnsafePointer<Element>, _ sourceStride: Int, _ destination: UnsafeMutablePointer<Element>,
    _ destinationStride: Int, rows: Int, columns: Int, _ kernels: ck_movement_kernels
  ) {
    if Element.self == Float.self {
      kernels.transpose(
        UnsafeMutableRawPointer(destination).assumingMemoryBound(to: Float.self), destinationStride,
        UnsafeRawPointer(source).assumingMemoryBound(to: Float.self), sourceStride, rows, columns)
    } else {
      for row in 0..<rows {
        for column in 0..<columns {
          destination[column * destinationStride + row] = source[row * sourceStride + column]
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    var inverse = permutation
    for (position, axis) in permutation.enumerated() { inverse[axis] = position }
    return [Transpose(inverse)(context.outputGradient)]
  }
}
