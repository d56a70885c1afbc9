import CKernels

/// The sum of the squares of all elements, a scalar, added in double precision.
public struct SumOfSquares: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] { [[]] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [[]] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    outputs[0].floats[0] = Float(sumOfSquares(of: inputs, in: context))
  }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    sumOfSquaresScratchByteCount(of: inputs)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.input(0) * (context.outputGradient * 2)]
  }
}

/// Elements whose squares one task adds; fixed, so that sums do not depend on the number of threads.
private let grain = 1 << 15

private func partCount(of shapes: [Shape]) -> Int { shapes.reduce(0) { $0 + ($1.count + grain - 1) / grain } }

/// The sum of the squares of all elements of several tensors. Threads share the parts of all of them, and the parts' sums
/// are added in order.
package func sumOfSquares(of tensors: [TensorView], in context: EvaluationContext) -> Double {
  let kernels = ck_reduction_kernels_for(context.instructionSet).pointee
  let parts = tensors.indices.flatMap { tensor in
    stride(from: 0, to: tensors[tensor].count, by: grain).map { (tensor: tensor, first: $0) }
  }
  return context.withScratch(byteCount: parts.count * MemoryLayout<Double>.stride) { scratch in
    let sums = scratch.assumingMemoryBound(to: Double.self)
    context.pool.run(tasks: parts.count) { task in
      let (tensor, first) = parts[task]
      let view = tensors[tensor]
      sums[task] = kernels.sum_of_squares(view.floats + first, min(grain, view.count - first))
    }
    return (0..<parts.count).reduce(0) { $0 + sums[$1] }
  }
}

/// The scratch memory that `sumOfSquares` takes.
package func sumOfSquaresScratchByteCount(of shapes: [Shape]) -> Int {
  ScratchMemory.size(of: partCount(of: shapes) * MemoryLayout<Double>.stride)
}
