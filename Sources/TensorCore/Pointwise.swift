import CKernels

/// Elements per task of an elementwise operation: enough to outweigh handing it to a thread, few enough to share out.
let pointwiseGrain = 1 << 15

/// An elementwise function of one float32 tensor.
protocol PointwiseOperation: Operation {
  static var kernel: KeyPath<ck_pointwise_kernels, ck_unary_kernel> & Sendable { get }
  /// What the kernel calls p and q.
  var kernelParameters: (Float, Float) { get }
}

extension PointwiseOperation {
  var kernelParameters: (Float, Float) { (0, 0) }

  public func shapes(of inputs: [Shape]) -> [Shape] { [inputs[0]] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { true }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int { 0 }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernel = ck_pointwise_kernels_for(context.instructionSet).pointee[keyPath: Self.kernel]
    let (x, result) = (inputs[0].floats, outputs[0].floats)
    let (p, q) = kernelParameters
    context.pool.run(count: outputs[0].count, grain: pointwiseGrain) { range in
      kernel(result + range.lowerBound, x + range.lowerBound, range.count, p, q)
    }
  }
}

extension Operation {
  /// Stops unless both inputs have one shape.
  func checkSameShape(_ a: Shape, _ b: Shape) {
    check(a == b, "\(Self.name): shapes \(a) and \(b) differ")
  }
}

extension ShapeRange {
  /// The range of a shape that lies in both; `self` where no shape does.
  func common(with other: ShapeRange) -> ShapeRange {
    guard rank == other.rank else { return self }
    return ShapeRange(zip(dimensions, other.dimensions).map { $0.intersection($1) ?? $0 })
  }
}
