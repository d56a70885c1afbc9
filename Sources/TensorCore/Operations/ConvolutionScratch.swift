import CKernels

// What convolutions take as scratch memory: packed weights, partial sums and moments for all threads, and a piece for
// each thread.

extension ck_convolution_plan {
  func scratchByteCount(threads: Int) -> Int {
    let statistics = Int(statistics_records) * statistics_floats
    let floats = [packed_floats, partial_floats, statistics] + [Int](repeating: scratch_floats, count: threads)
    return floats.reduce(0) { $0 + ScratchMemory.size(of: $1 * MemoryLayout<Float>.stride) }
  }
}

extension ConvolutionGeometry {
  /// The scratch of a pass over the convolution from `input` to `output`, both `[N, axes..., C]`.
  func scratchByteCount(
    input: Shape, output: Shape, weight: Shape, _ pass: ck_convolution_pass, isPlain: Bool = true,
    in context: EvaluationContext
  ) -> Int {
    let kernels = ck_convolution_kernels_for(context.instructionSet).pointee
    return plan(kernelShape(input: input, output: output, weight: weight), pass, isPlain: isPlain, kernels)
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

extension FusedConvolution {
  /// Also enough for a pass of its own for the statistics, which some plans need.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    let output = shapes(of: inputs)[0]
    return (givesStatistics ? NormalizationLayout(output).scratchByteCount : 0)
      + geometry.scratchByteCount(
        input: sources.shape(of: inputs, of: Self.name), output: output, weight: inputs[sources.inputCount],
        CK_CONVOLUTION_FORWARD, isPlain: sources.isPlain, in: context)
  }
}

extension FusedTransposedConvolution {
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    composed.geometry.scratchByteCount(
      input: shapes(of: inputs)[0], output: inputs[0], weight: inputs[source.inputCount],
      CK_CONVOLUTION_INPUT_GRADIENT, isPlain: source == .plain, in: context)
  }
}

extension FusedConvolutionWeightGradient {
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    geometry.scratchByteCount(
      input: sources.shape(of: inputs, of: Self.name), output: inputs[sources.inputCount],
      weight: shapes(of: inputs)[0],
      CK_CONVOLUTION_WEIGHT_GRADIENT, isPlain: sources.isPlain, in: context)
  }
}

extension SplitConvolutionInputGradient {
  /// Also enough for both parts as one tensor where the cut needs it.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    let parts = shapes(of: inputs)
    let whole = Shape(parts[0].extents.dropLast() + [channels.reduce(0, +)])
    let kernels = ck_convolution_kernels_for(context.instructionSet).pointee
    let kernelShape = geometry.kernelShape(input: whole, output: inputs[0], weight: inputs[1])
    let cut = Int(geometry.plan(kernelShape, CK_CONVOLUTION_INPUT_GRADIENT, kernels).output_cut)
    let joined = channels[0] % cut == 0 ? 0 : ScratchMemory.size(of: whole.count * MemoryLayout<Float>.stride)
    return joined
      + geometry.scratchByteCount(
        input: whole, output: inputs[0], weight: inputs[1], CK_CONVOLUTION_INPUT_GRADIENT, in: context)
  }
}
