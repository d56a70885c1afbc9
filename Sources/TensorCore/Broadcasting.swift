import CKernels

/// An elementwise function of two tensors under NumPy's broadcasting rule: shapes are aligned at their last axes, and
/// an extent of 1, or a missing axis, repeats.
protocol BroadcastingOperation: Operation {
  var kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel> & Sendable { get }
}

extension BroadcastingOperation {
  public func shapes(of inputs: [Shape]) -> [Shape] {
    guard let shape = inputs[0].broadcast(with: inputs[1]) else {
      check(false, "\(Self.name): shapes \(inputs[0]) and \(inputs[1]) do not broadcast")
      return []
    }
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0].broadcast(with: inputs[1])] }

  /// An input of the output's shape is not repeated, so every element of it meets one place of the output.
  public func mayOverwrite(input: Int, with output: Int) -> Bool { true }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int { 0 }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    evaluateBroadcast(kernel, inputs, into: outputs[0], in: context)
  }
}

/// Runs a two-input kernel over the inputs, repeated to the output's shape.
func evaluateBroadcast(
  _ kernel: KeyPath<ck_pointwise_kernels, ck_binary_kernel>, _ inputs: [TensorView], into output: MutableTensorView,
  in context: EvaluationContext
) {
  let kernel = ck_pointwise_kernels_for(context.instructionSet).pointee[keyPath: kernel]
  let layout = BroadcastLayout(inputs[0].shape, inputs[1].shape, output.shape)
  let (a, b, result) = (inputs[0].floats, inputs[1].floats, output.floats)
  layout.forEachBlock(in: context.pool) { block in
    kernel(
      result + block.result, block.rows, block.columns, a + block.a, layout.aRow, layout.aColumn, b + block.b,
      layout.bRow, layout.bColumn)
  }
}

extension Shape {
  /// The shape that both broadcast to, or `nil` if they do not fit.
  public func broadcast(with other: Shape) -> Shape? {
    if self == other { return self }
    let rank = max(rank, other.rank)
    let (a, b) = (extended(to: rank), other.extended(to: rank))
    var extents: [Int] = []
    for (x, y) in zip(a, b) {
      guard x == y || x == 1 || y == 1 else { return nil }
      extents.append(x == 1 ? y : x)
    }
    return Shape(extents)
  }

  /// The extents with axes of 1 in front up to `rank`.
  func extended(to rank: Int) -> [Int] { [Int](repeating: 1, count: rank - self.rank) + extents }
}

extension ShapeRange {
  /// A range that contains the broadcast of any two shapes inside the operands that do broadcast.
  func broadcast(with other: ShapeRange) -> ShapeRange {
    let rank = max(rank, other.rank)
    func extended(_ range: ShapeRange) -> [DimensionRange] {
      [DimensionRange](repeating: DimensionRange(1), count: rank - range.rank) + range.dimensions
    }
    return ShapeRange(
      zip(extended(self), extended(other)).map { a, b in
        switch (a.contains(1), b.contains(1)) {
        case (false, false): a.intersection(b) ?? a
        case (false, true): a
        case (true, false): b
        case (true, true): a.union(b)
        }
      })
  }
}

extension DimensionRange {
  /// The least range that contains both.
  func union(_ other: DimensionRange) -> DimensionRange {
    DimensionRange(min(lower, other.lower), upper.flatMap { x in other.upper.map { max(x, $0) } })
  }
}

/// How two operands are walked to fill a row-major result: neighbouring axes that both operands walk alike are one.
private struct BroadcastLayout: Sendable {
  struct Block {
    var result, a, b, rows, columns: Int
  }

  /// Extents without the last two, outermost first, with the operands' strides.
  private var outer: [(extent: Int, a: Int, b: Int)] = []
  private var rows = 1
  private var columns = 1
  private(set) var aRow = 0
  private(set) var bRow = 0
  private(set) var aColumn = 1
  private(set) var bColumn = 1

  init(_ a: Shape, _ b: Shape, _ result: Shape) {
    func strides(_ shape: Shape) -> [Int] {
      let extents = shape.extended(to: result.rank)
      return zip(extents, Shape(extents).strides).map { $0 == 1 ? 0 : $1 }
    }
    var axes: [(extent: Int, a: Int, b: Int)] = []
    for (extent, (x, y)) in zip(result.extents, zip(strides(a), strides(b))) where extent != 1 {
      if let last = axes.last, last.a == x * extent, last.b == y * extent {
        axes[axes.count - 1] = (last.extent * extent, x, y)
      } else {
        axes.append((extent, x, y))
      }
    }
    if let last = axes.popLast() { (columns, aColumn, bColumn) = last }
    if let last = axes.popLast() { (rows, aRow, bRow) = last }
    outer = axes
  }

  func forEachBlock(in pool: WorkerPool, _ body: (Block) -> Void) {
    let outerCount = outer.reduce(1) { $0 * $1.extent }
    guard outerCount * rows * columns > 0 else { return }
    if outerCount * rows == 1 {
      pool.run(count: columns, grain: pointwiseGrain) { range in
        body(
          Block(
            result: range.lowerBound, a: range.lowerBound * aColumn, b: range.lowerBound * bColumn, rows: 1,
            columns: range.count))
      }
      return
    }
    pool.run(count: outerCount * rows, grain: max(1, pointwiseGrain / columns)) { range in
      var row = range.lowerBound
      while row < range.upperBound {
        let (block, first) = row.quotientAndRemainder(dividingBy: rows)
        let count = min(rows - first, range.upperBound - row)
        var (a, b, rest) = (first * aRow, first * bRow, block)
        for axis in outer.reversed() {
          let (quotient, index) = rest.quotientAndRemainder(dividingBy: axis.extent)
          a += index * axis.a
          b += index * axis.b
          rest = quotient
        }
        body(Block(result: row * columns, a: a, b: b, rows: count, columns: columns))
        row += count
      }
    }
  }
}

extension Tensor {
  /// The sum over the axes along which `shape` was repeated to give this tensor's shape: what a gradient needs on its
  /// way back through broadcasting.
  func summed(to shape: Shape) -> Tensor {
    if self.shape == shape { return self }
    let extents = shape.extended(to: rank)
    let axes = (0..<rank).filter { extents[$0] == 1 && self.shape[$0] != 1 }
    let sum = axes.isEmpty ? self : Sum(over: axes, keepingAxes: true)(self)
    return sum.shape == shape ? sum : sum.reshaped(to: shape)
  }
}
