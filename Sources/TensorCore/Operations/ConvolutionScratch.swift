import CKernels

// What convolutions take from the pool: packed weights or partial sums for all, and a piece for each thread.

extension ck_convolution_plan {
  func scratchByteCount(threads: Int) -> Int {
    let floats = [packed_floats, partial_floats] + [Int](repeating: scratch_floats, count: threads)
    return floats.reduce(0) { $0 + StoragePool.capacity(for: max($1, 16) * MemoryLayout<Float>.stride) }
  }
}

extension ConvolutionGeometry {
  /// The scratch of a pass over the convolution from `input` to `output`, both `[N, axes..., C]`.
  func scratchByteCount(
    input: Shape, output: Shape, weight: Shape, _ pass: ck_convolution_pass, in context: EvaluationContext
  ) -> Int {
    let kernels = ck_convolution_kernels_for(context.instructionSet).pointee
    return plan(kernelShape(input: input, output: output, weight: weight), pass, kernels)
      .scratchByteCount(threads: context.pool.threadCount)
  }
}

extension Convolution {
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    geometry.scratchByteCount(
      input: inputs[0], output: shapes(of: inputs)[0], weight: inputs[1], CK_CONVOLUTION_FORWARD, in: context)
  }
}

extension ConvolutionInputGradient {
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    geometry.scratchByteCount(
      input: shapes(of: inputs)[0], output: inputs[0], weight: inputs[1], CK_CONVOLUTION_INPUT_GRADIENT, in: context)
  }
}

extension TransposedConvolution {
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    geometry.scratchByteCount(
      input: shapes(of: inputs)[0], output: inputs[0], weight: inputs[1], CK_CONVOLUTION_INPUT_GRADIENT, in: context)
  }
}

extension ConvolutionWeightGradient {
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    geometry.scratchByteCount(
      input: inputs[0], output: inputs[1], weight: shapes(of: inputs)[0], CK_CONVOLUTION_WEIGHT_GRADIENT, in: context)
  }
}
