import CKernels

/// Which axes a reduction collapses and whether they stay as 1.
struct ReducedAxes: Hashable, Sendable {
  /// Ascending and distinct.
  var axes: [Int]
  var keepsAxes: Bool

  init(_ axes: [Int], keepingAxes: Bool) {
    self.axes = Set(axes).sorted()
    keepsAxes = keepingAxes
  }

  func shape(of input: Shape, name: String) -> Shape {
    check(
      axes.allSatisfy { $0 >= 0 && $0 < input.rank }, "\(name): axes \(axes) are not all axes of shape \(input)")
    return Shape(collapse(input.extents, one: 1))
  }

  func range(of input: ShapeRange) -> ShapeRange { ShapeRange(collapse(input.dimensions, one: DimensionRange(1))) }

  private func collapse<Extent>(_ extents: [Extent], one: Extent) -> [Extent] {
    var result: [Extent] = []
    for (axis, extent) in extents.enumerated() {
      if !axes.contains(axis) { result.append(extent) } else if keepsAxes { result.append(one) }
    }
    return result
  }

  /// The input's shape with the collapsed axes as 1.
  func keptShape(of input: Shape) -> Shape {
    Shape(input.extents.enumerated().map { axes.contains($0) ? 1 : $1 })
  }

  /// The collapsed runs of neighbouring axes, innermost first: each as a view of the memory as
  /// `[outer, reduced, inner]`, in the shape that the runs before it have left.
  func steps(of input: Shape) -> [(outer: Int, reduced: Int, inner: Int)] {
    var steps: [(outer: Int, reduced: Int, inner: Int)] = []
    var inner = 1
    var axis = input.rank - 1
    while axis >= 0 {
      if axes.contains(axis) {
        var reduced = 1
        while axis >= 0, axes.contains(axis) {
          reduced *= input[axis]
          axis -= 1
        }
        steps.append((input.extents.prefix(axis + 1).reduce(1, *), reduced, inner))
      } else {
        inner *= input[axis]
        axis -= 1
      }
    }
    return steps
  }

  /// Runs the steps one after another through scratch memory; `reduce` fills `[outer, inner]` from
  /// `[outer, reduced, inner]`.
  func evaluate(
    _ input: TensorView, into output: MutableTensorView, in context: EvaluationContext,
    _ reduce: (UnsafePointer<Float>, UnsafeMutablePointer<Float>, (outer: Int, reduced: Int, inner: Int)) -> Void
  ) {
    let steps = steps(of: input.shape)
    guard let last = steps.last else {
      output.floats.update(from: input.floats, count: input.count)
      return
    }
    var source = input.floats
    var scratch: [Storage] = []
    for step in steps.dropLast() {
      let storage = Storage(byteCount: step.outer * step.inner * MemoryLayout<Float>.stride)
      let destination = storage.pointer.assumingMemoryBound(to: Float.self)
      reduce(source, destination, step)
      source = UnsafePointer(destination)
      scratch.append(storage)
    }
    reduce(source, output.floats, last)
    withExtendedLifetime(scratch) {}
  }
}

/// Elements that one task of a reduction reads.
private let reductionGrain = 1 << 15

/// Sums `[outer, reduced, inner]` over its middle: parts of a size that depends on the shape alone, added in order.
func sum(
  _ x: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
  _ step: (outer: Int, reduced: Int, inner: Int), scale: Double, in context: EvaluationContext
) {
  let kernels = ck_reduction_kernels_for(context.instructionSet).pointee
  let (outer, reduced, inner) = step
  if inner == 1, reduced <= reductionGrain {
    context.pool.run(count: outer, grain: max(1, reductionGrain / max(reduced, 1))) { range in
      kernels.sum_rows(
        result + range.lowerBound, x + range.lowerBound * reduced, range.count, reduced, scale)
    }
    return
  }
  sumParts(outer: outer, reduced: reduced, inner: inner, in: context) { item, rows, sums in
    let start = x + (item * reduced + rows.lowerBound) * inner
    if inner == 1 {
      sums[0] += kernels.sum(start, rows.count)
    } else {
      kernels.add_columns(sums, start, rows.count, inner)
    }
  } store: { item, sums in
    for column in 0..<inner { result[item * inner + column] = Float(sums[column] * scale) }
  }
}

/// The shared walk of sums: `part` adds rows of item `item` to `inner` doubles, `store` gets each item's sums.
func sumParts(
  outer: Int, reduced: Int, inner: Int, in context: EvaluationContext,
  _ part: (Int, Range<Int>, UnsafeMutablePointer<Double>) -> Void,
  store: (Int, UnsafePointer<Double>) -> Void
) {
  let grain = max(1, reductionGrain / max(inner, 1))
  let parts = max(1, (reduced + grain - 1) / grain)
  context.withScratch(byteCount: outer * parts * inner * MemoryLayout<Double>.stride) { scratch in
    let sums = scratch.assumingMemoryBound(to: Double.self)
    let itemsPerTask = parts > 1 ? 1 : max(1, grain / max(reduced, 1))
    context.pool.run(count: outer * parts, grain: itemsPerTask) { range in
      for task in range {
        let (item, index) = task.quotientAndRemainder(dividingBy: parts)
        let own = sums + task * inner
        own.update(repeating: 0, count: inner)
        part(item, index * grain..<min(reduced, (index + 1) * grain), own)
      }
    }
    context.pool.run(count: outer, grain: max(1, reductionGrain / max(inner * parts, 1))) { range in
      for item in range {
        let first = sums + item * parts * inner
        for index in 1..<max(parts, 1) {
          for column in 0..<inner { first[column] += first[index * inner + column] }
        }
        store(item, first)
      }
    }
  }
}

/// The largest of `[outer, reduced, inner]` along its middle.
func maximum(
  _ x: UnsafePointer<Float>, into result: UnsafeMutablePointer<Float>,
  _ step: (outer: Int, reduced: Int, inner: Int), in context: EvaluationContext
) {
  let kernels = ck_reduction_kernels_for(context.instructionSet).pointee
  let (outer, reduced, inner) = step
  let grain = max(1, reductionGrain / max(inner, 1))
  let parts = max(1, (reduced + grain - 1) / grain)
  context.withScratch(byteCount: outer * parts * inner * MemoryLayout<Float>.stride) { scratch in
    let maxima = scratch.assumingMemoryBound(to: Float.self)
    let itemsPerTask = parts > 1 ? 1 : max(1, grain / max(reduced, 1))
    context.pool.run(count: outer * parts, grain: itemsPerTask) { range in
      for task in range {
        let (item, index) = task.quotientAndRemainder(dividingBy: parts)
        let rows = index * grain..<min(reduced, (index + 1) * grain)
        let start = x + (item * reduced + rows.lowerBound) * inner
        if inner == 1 {
          maxima[task] = kernels.maximum(start, rows.count)
        } else {
          (maxima + task * inner).update(repeating: -.infinity, count: inner)
          kernels.maximize_columns(maxima + task * inner, start, rows.count, inner)
        }
      }
    }
    for item in 0..<outer {
      let own = result + item * inner
      own.update(repeating: -.infinity, count: inner)
      kernels.maximize_columns(own, maxima + item * parts * inner, parts, inner)
    }
  }
}
