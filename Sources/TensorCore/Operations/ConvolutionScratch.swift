import CKernels

/// A convolution whose kernels are planned for the shapes it meets.
package protocol PlannedConvolution: Operation {
  /// How the kernels will run for these inputs.
  func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan
}

extension PlannedConvolution {
  /// The way to compute it that the kernels' cost model chose.
  package func algorithm(of inputs: [Shape], in context: EvaluationContext) -> ConvolutionAlgorithm {
    ConvolutionAlgorithm(plan(of: inputs, in: context).algorithm)
  }

  /// Packed weights, partial sums and moments for all threads, and a piece for each thread.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    plan(of: inputs, in: context).scratchByteCount(threads: context.pool.threadCount)
  }
}

extension ck_convolution_plan {
  func scratchByteCount(threads: Int) -> Int {
    let statistics = Int(statistics_records) * statistics_floats
    // No more threads work than there are tasks.
    let pieces = [Int](repeating: scratch_floats, count: max(1, min(threads, Int(max(tasks, reduce_tasks)))))
    let floats = [packed_floats, partial_floats, statistics] + pieces
    return floats.reduce(0) { $0 + ScratchMemory.size(of: $1 * MemoryLayout<Float>.stride) }
  }
}

extension ConvolutionGeometry {
  /// The plan of a pass over the convolution from `input` to `output`, both `[N, axes..., C]`.
  func plan(
    input: Shape, output: Shape, weight: Shape, _ pass: ck_convolution_pass, isPlain: Bool = true,
    in context: EvaluationContext
  ) -> ck_convolution_plan {
    plan(kernelShape(input: input, output: output, weight: weight), pass, isPlain: isPlain, in: context)
  }
}

extension Convolution: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    geometry.plan(
      input: inputs[0], output: shapes(of: inputs)[0], weight: inputs[1], CK_CONVOLUTION_FORWARD, in: context)
  }
}

extension ConvolutionInputGradient: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    geometry.plan(
      input: shapes(of: inputs)[0], output: inputs[0], weight: inputs[1], CK_CONVOLUTION_INPUT_GRADIENT, in: context)
  }
}

extension TransposedConvolution: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    geometry.plan(
      input: shapes(of: inputs)[0], output: inputs[0], weight: inputs[1], CK_CONVOLUTION_INPUT_GRADIENT, in: context)
  }
}

extension ConvolutionWeightGradient: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    geometry.plan(
      input: inputs[0], output: inputs[1], weight: shapes(of: inputs)[0], CK_CONVOLUTION_WEIGHT_GRADIENT, in: context)
  }
}

extension FusedConvolution: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    geometry.plan(
      input: sources.shape(of: inputs, of: Self.name), output: shapes(of: inputs)[0],
      weight: inputs[sources.inputCount], CK_CONVOLUTION_FORWARD, isPlain: sources.isPlain, in: context)
  }

  /// Also enough for a pass of its own for the statistics, which some plans need.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    (givesStatistics ? NormalizationLayout(shapes(of: inputs)[0]).scratchByteCount : 0)
      + plan(of: inputs, in: context).scratchByteCount(threads: context.pool.threadCount)
  }
}

extension FusedTransposedConvolution: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    composed.geometry.plan(
      input: shapes(of: inputs)[0], output: inputs[0], weight: inputs[source.inputCount],
      CK_CONVOLUTION_INPUT_GRADIENT, isPlain: source == .plain, in: context)
  }
}

extension FusedConvolutionWeightGradient: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    geometry.plan(
      input: sources.shape(of: inputs, of: Self.name), output: inputs[sources.inputCount],
      weight: shapes(of: inputs)[0],
      CK_CONVOLUTION_WEIGHT_GRADIENT, isPlain: sources.isPlain, in: context)
  }
}

extension SplitConvolutionInputGradient: PlannedConvolution {
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    geometry.plan(
      input: composed.shapes(of: inputs)[0], output: inputs[0], weight: inputs[1], CK_CONVOLUTION_INPUT_GRADIENT,
      in: context)
  }

  /// Also enough for both parts as one tensor where the cut needs it.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    let plan = plan(of: inputs, in: context)
    let whole = composed.shapes(of: inputs)[0]
    let joined =
      channels[0] % Int(plan.output_cut) == 0 ? 0 : ScratchMemory.size(of: whole.count * MemoryLayout<Float>.stride)
    return joined + plan.scratchByteCount(threads: context.pool.threadCount)
  }
}

extension SlabConvolution: PlannedConvolution {
  /// Of the convolution as a whole; its slabs take the same algorithm.
  package func plan(of inputs: [Shape], in context: EvaluationContext) -> ck_convolution_plan {
    composed.plan(of: composedShapes(inputs), in: context)
  }
}
