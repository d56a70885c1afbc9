import CKernels

/// `leaky(a + b)` in one pass over memory, as a residual block ends: either summand is read as it is, or through a
/// normalisation and an activation of its own. A slope of 1 leaves out the activation of the sum.
///
/// Inputs: the values of the first summand `[N, axes..., C]`, their `NormalizationTerms` `[3, N, C]` if they are
/// normalised, and the same of the second. Output: `[N, axes..., C]`. `NormalizedActivation`, `Add` and `LeakyRectifier`
/// composed are its oracle, to the bit.
public struct ResidualSum: Operation {
  public var first: ConvolutionSource
  public var second: ConvolutionSource
  public var negativeSlope: Float

  public init(_ first: ConvolutionSource, _ second: ConvolutionSource, negativeSlope: Float) {
    check(negativeSlope >= 0, "\(Self.name): the negative slope is \(negativeSlope); it must not be below 0")
    self.first = first
    self.second = second
    self.negativeSlope = negativeSlope
  }

  private var sources: [ConvolutionSource] { [first, second] }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs.count == sources.inputCount, "\(Self.name): \(inputs.count) inputs do not fit its sources")
    let groups = sources.grouped(inputs)
    for (source, inputs) in zip(sources, groups) { source.check(inputs, of: Self.name) }
    checkSameShape(groups[0][0], groups[1][0])
    return [groups[0][0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0].common(with: inputs[first.inputCount])] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_normalization_kernels_for(context.instructionSet).pointee
    let result = outputs[0].floats
    let (a, b) = (Summand(first, inputs[...]), Summand(second, inputs[first.inputCount...]))
    if sources.allSatisfy({ $0 == .plain }) {
      context.pool.run(count: outputs[0].count, grain: pointwiseGrain) { range in
        kernels.residual_sum(
          result + range.lowerBound, 1, range.count, a.part(range.lowerBound, termsAt: 0),
          b.part(range.lowerBound, termsAt: 0), negativeSlope)
      }
      return
    }
    let layout = NormalizationLayout(outputs[0].shape)
    context.pool.run(tasks: layout.instances * layout.parts) { task in
      let part = layout.part(task)
      let terms = part.instance * layout.channels
      kernels.residual_sum(
        result + part.offset, part.rows, layout.channels, a.part(part.offset, termsAt: terms),
        b.part(part.offset, termsAt: terms), negativeSlope)
    }
  }

  /// Where a summand's memory is.
  private struct Summand {
    let values: UnsafePointer<Float>
    /// Mean, scale and offset, of `count` each.
    let terms: UnsafePointer<Float>?
    let count: Int
    let slope: Float

    /// - Parameter inputs: begin with those of the summand.
    init(_ source: ConvolutionSource, _ inputs: ArraySlice<TensorView>) {
      values = inputs[inputs.startIndex].floats
      switch source {
      case .plain: (terms, count, slope) = (nil, 0, 1)
      case .normalized(let negativeSlope):
        let view = inputs[inputs.startIndex + 1]
        (terms, count, slope) = (view.floats, view.count / 3, negativeSlope)
      }
    }

    /// The summand from an element on, whose instance's terms begin at `place`.
    func part(_ element: Int, termsAt place: Int) -> ck_summand {
      let mean = terms.map { $0 + place }
      return ck_summand(
        values: values + element, mean: mean, scale: mean.map { $0 + count }, offset: mean.map { $0 + 2 * count },
        slope: slope)
    }
  }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { input == 0 || input == first.inputCount }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int { 0 }

  /// The result has the sign of the sum.
  public var gradientNeeds: GradientNeeds {
    let needed = zip(sources, sources.grouped(Array(0..<sources.inputCount))).filter { $0.0 != .plain }.flatMap(\.1)
    return GradientNeeds(inputs: Set(needed), outputs: negativeSlope == 1 ? [] : [0])
  }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient =
      negativeSlope == 1
      ? context.outputGradient
      : LeakyRectifierGradient(negativeSlope: negativeSlope)(context.output(0), context.outputGradient)
    return zip(sources, sources.grouped(Array(context.isNeeded.indices))).flatMap { source, positions -> [Tensor?] in
      guard source != .plain else { return [context.isNeeded[positions[0]] ? gradient : nil] }
      return source.gradients(
        gradient, of: positions.map { context.input($0) }, isNeeded: positions.map { context.isNeeded[$0] })
    }
  }
}
