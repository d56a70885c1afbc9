import COpenBLAS

/// The product of matrices, each transposed first if asked: `[..., M, K]` with `[..., K, N]` or with one `[K, N]`.
public struct MatrixProduct: Operation {
  public var transposesFirst: Bool
  public var transposesSecond: Bool

  public init(transposingFirst: Bool, transposingSecond: Bool) {
    transposesFirst = transposingFirst
    transposesSecond = transposingSecond
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let (a, b) = (inputs[0], inputs[1])
    let fits =
      a.rank >= 2 && b.rank >= 2 && inner(first: a) == inner(second: b)
      && (b.rank == 2 || a.extents.dropLast(2) == b.extents.dropLast(2))
    check(fits, "MatrixProduct: shapes \(a)\(transposesFirst ? "ᵀ" : "") and \(b)\(transposesSecond ? "ᵀ" : "")")
    return [Shape(Array(a.extents.dropLast(2)) + [rows(a), columns(b)])]
  }

  private func rows(_ a: Shape) -> Int { a[transposesFirst ? a.rank - 1 : a.rank - 2] }
  private func inner(first a: Shape) -> Int { a[transposesFirst ? a.rank - 2 : a.rank - 1] }
  private func inner(second b: Shape) -> Int { b[transposesSecond ? b.rank - 1 : b.rank - 2] }
  private func columns(_ b: Shape) -> Int { b[transposesSecond ? b.rank - 2 : b.rank - 1] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let (a, b) = (inputs[0].dimensions, inputs[1].dimensions)
    var batch = Array(a.dropLast(2))
    if b.count > 2 { batch = zip(batch, b).map { $0.intersection($1) ?? $0 } }
    return [
      ShapeRange(
        batch + [a[transposesFirst ? a.count - 1 : a.count - 2], b[transposesSecond ? b.count - 2 : b.count - 1]])
    ]
  }

  /// Rows, columns and inner extent of one call of the library: cut by size alone, so that threads change nothing.
  private static let block = (rows: 256, columns: 512, inner: 4096)

  private static let libraryIsSerial: Void = openblas_set_num_threads(1)

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    _ = Self.libraryIsSerial
    let (shapeA, shapeB) = (inputs[0].shape, inputs[1].shape)
    var (m, n, k) = (rows(shapeA), columns(shapeB), inner(first: shapeA))
    var batch = shapeA.extents.dropLast(2).reduce(1, *)
    if shapeB.rank == 2, !transposesFirst {
      // One matrix for all: the batch is only more rows.
      m *= batch
      batch = 1
    }
    let (a, b, result) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    let bStep = shapeB.rank == 2 ? 0 : k * n
    guard batch * m * n > 0 else { return }
    if k == 0 { return result.update(repeating: 0, count: batch * m * n) }
    let (aStride, bStride) = (transposesFirst ? m : k, transposesSecond ? k : n)
    func product(
      _ item: Int, _ rows: Range<Int>, _ columns: Range<Int>, _ inner: Range<Int>, into c: UnsafeMutablePointer<Float>,
      _ cStride: Int
    ) {
      let firstA = transposesFirst ? inner.lowerBound * m + rows.lowerBound : rows.lowerBound * k + inner.lowerBound
      let firstB =
        transposesSecond ? columns.lowerBound * k + inner.lowerBound : inner.lowerBound * n + columns.lowerBound
      cblas_sgemm(
        CblasRowMajor, transposesFirst ? CblasTrans : CblasNoTrans, transposesSecond ? CblasTrans : CblasNoTrans,
        Int32(rows.count), Int32(columns.count), Int32(inner.count), 1, a + item * m * k + firstA, Int32(aStride),
        b + item * bStep + firstB, Int32(bStride), 0, c, Int32(cStride))
    }
    let (rowBlocks, columnBlocks) = (Self.cut(m, Self.block.rows), Self.cut(n, Self.block.columns))
    let innerBlocks = Self.cut(k, Self.block.inner)
    if innerBlocks.count == 1 || rowBlocks.count * columnBlocks.count * batch > 16 {
      context.pool.run(tasks: batch * rowBlocks.count * columnBlocks.count) { task in
        let (rest, columnBlock) = task.quotientAndRemainder(dividingBy: columnBlocks.count)
        let (item, rowBlock) = rest.quotientAndRemainder(dividingBy: rowBlocks.count)
        let (rows, columns) = (rowBlocks[rowBlock], columnBlocks[columnBlock])
        product(
          item, rows, columns, 0..<k, into: result + (item * m + rows.lowerBound) * n + columns.lowerBound, n)
      }
      return
    }
    // A small result of long sums, as a weight gradient is: parts of the sums side by side, then added in order.
    let parts = innerBlocks.count
    context.withScratch(byteCount: parts * m * n * MemoryLayout<Float>.stride) { scratch in
      let partials = scratch.assumingMemoryBound(to: Float.self)
      for item in 0..<batch {
        context.pool.run(tasks: parts) { part in
          product(item, 0..<m, 0..<n, innerBlocks[part], into: partials + part * m * n, n)
        }
        context.pool.run(count: m * n, grain: pointwiseGrain / parts) { range in
          for i in range {
            var sum = 0.0
            for part in 0..<parts { sum += Double(partials[part * m * n + i]) }
            result[item * m * n + i] = Float(sum)
          }
        }
      }
    }
  }

  /// `0 ..< count` in pieces of `size`; the last may be shorter.
  private static func cut(_ count: Int, _ size: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: size).map { $0..<min(count, $0 + size) }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let (a, b, gradient) = (context.input(0), context.input(1), context.outputGradient)
    func product(_ x: Tensor, _ transposesX: Bool, _ y: Tensor, _ transposesY: Bool) -> Tensor {
      MatrixProduct(transposingFirst: transposesX, transposingSecond: transposesY)(x, y)
    }
    var first: Tensor?
    if context.isNeeded[0] {
      if !transposesFirst {
        first = product(gradient, false, b, !transposesSecond)
      } else if b.rank == a.rank {
        first = product(b, transposesSecond, gradient, true)
      } else {
        // A shared matrix can only come second: make the product transposed, then turn it.
        let axes = Array(0..<a.rank - 2) + [a.rank - 1, a.rank - 2]
        first = product(gradient, false, b, !transposesSecond).transposed(by: axes)
      }
    }
    var second: Tensor?
    if context.isNeeded[1] {
      var (x, y) = (a, gradient)
      if b.rank == 2, a.rank > 2, !transposesFirst {
        x = a.reshaped(to: [a.count / max(a.shape.channels, 1), a.shape.channels])
        y = gradient.reshaped(to: [gradient.count / max(gradient.shape.channels, 1), gradient.shape.channels])
      }
      let all = transposesSecond ? product(y, true, x, transposesFirst) : product(x, !transposesFirst, y, false)
      second = all.summed(to: b.shape)
    }
    return [first, second]
  }
}
