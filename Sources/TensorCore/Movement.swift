import CKernels

/// A box of a row-major array and where it goes in another of the same rank: what padding, cropping and concatenation
/// do.
struct BoxCopy {
  var extents: [Int]
  var sourceShape: Shape
  var sourceLower: [Int]
  var destinationShape: Shape
  var destinationLower: [Int]

  /// Copies the box. Neighbouring axes that the box spans fully on both sides are one, so inner runs are long.
  func run(
    from source: UnsafeRawPointer, to destination: UnsafeMutableRawPointer, elementSize: Int,
    in context: EvaluationContext
  ) {
    guard !extents.contains(0) else { return }
    let kernels = ck_movement_kernels_for(context.instructionSet).pointee
    let (sourceStrides, destinationStrides) = (sourceShape.strides, destinationShape.strides)
    var axes: [(extent: Int, source: Int, destination: Int)] = []
    for axis in 0..<extents.count {
      let next = (extent: extents[axis], source: sourceStrides[axis], destination: destinationStrides[axis])
      if let last = axes.last, last.source == next.source * next.extent,
        last.destination == next.destination * next.extent
      {
        axes[axes.count - 1] = (last.extent * next.extent, next.source, next.destination)
      } else {
        axes.append(next)
      }
    }
    let sourceOffset = zip(sourceLower, sourceStrides).reduce(0) { $0 + $1.0 * $1.1 }
    let destinationOffset = zip(destinationLower, destinationStrides).reduce(0) { $0 + $1.0 * $1.1 }
    let from = source + sourceOffset * elementSize
    let to = destination + destinationOffset * elementSize
    let columns = axes.popLast()?.extent ?? 1
    let rows = axes.popLast() ?? (1, 0, 0)
    let outer = axes
    let outerCount = outer.reduce(1) { $0 * $1.extent }
    if outerCount * rows.extent == 1 {
      context.pool.run(count: columns, grain: pointwiseGrain) { range in
        let first = range.lowerBound * elementSize
        (to + first).copyMemory(from: from + first, byteCount: range.count * elementSize)
      }
      return
    }
    context.pool.run(count: outerCount * rows.extent, grain: max(1, pointwiseGrain / columns)) { range in
      var row = range.lowerBound
      while row < range.upperBound {
        let (block, first) = row.quotientAndRemainder(dividingBy: rows.extent)
        let count = min(rows.extent - first, range.upperBound - row)
        var (fromOffset, toOffset, rest) = (first * rows.source, first * rows.destination, block)
        for axis in outer.reversed() {
          let (quotient, index) = rest.quotientAndRemainder(dividingBy: axis.extent)
          fromOffset += index * axis.source
          toOffset += index * axis.destination
          rest = quotient
        }
        kernels.copy_rows(
          to + toOffset * elementSize, rows.destination * elementSize, from + fromOffset * elementSize,
          rows.source * elementSize, columns * elementSize, count)
        row += count
      }
    }
  }
}

extension MutableTensorView {
  /// Sets every element; integer types take the value's whole part.
  func fill(with value: Float, in pool: WorkerPool) {
    func run<Element: TensorElement>(_ value: Element) {
      let elements = pointer(to: Element.self)
      pool.run(count: count, grain: pointwiseGrain) { range in
        (elements + range.lowerBound).update(repeating: value, count: range.count)
      }
    }
    switch elementType {
    case .float32: run(value)
    case .int16: run(Int16(value))
    case .uint8: run(UInt8(value))
    case .uint64: run(UInt64(value))
    }
  }
}
