import CKernels

/// The elementwise sum of two tensors of one shape.
public struct Add: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0] == inputs[1], "Add: shapes \(inputs[0]) and \(inputs[1]) differ")
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [ShapeRange(zip(inputs[0].dimensions, inputs[1].dimensions).map { $0.intersection($1) ?? $0 })]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_pointwise_kernels_for(context.instructionSet).pointee
    let (a, b, result) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    context.pool.run(count: outputs[0].count, grain: pointwiseGrain) { range in
      kernels.add(result + range.lowerBound, a + range.lowerBound, b + range.lowerBound, range.count)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.outputGradient, context.outputGradient]
  }
}

/// Elements per task of an elementwise operation: enough to outweigh handing it to a thread, few enough to share out.
let pointwiseGrain = 1 << 15

extension Tensor {
  /// The elementwise sum.
  public func adding(_ other: Tensor) -> Tensor { Add()(self, other) }

  /// Adds elementwise in place where nobody else holds this tensor's memory and nobody follows it.
  package mutating func accumulate(_ other: Tensor) {
    guard recording == nil, other.recording == nil else {
      self = adding(other)
      return
    }
    check(shape == other.shape, "Tensor.accumulate: shapes \(shape) and \(other.shape) differ")
    makeStorageUnique()
    let own = MutableTensorView(self)
    Add().evaluate([TensorView(self), TensorView(other)], into: [own], in: .standard)
  }
}
