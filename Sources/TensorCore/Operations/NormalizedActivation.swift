import CKernels

/// `leaky((x - mean) * scale + offset)` with known terms per instance and channel: what a fused source reads, written
/// out. A slope of 1 leaves out the activation.
///
/// Inputs: x `[N, axes..., C]` and `NormalizationTerms` `[3, N, C]`. Output: `[N, axes..., C]`.
public struct NormalizedActivation: Operation {
  public var negativeSlope: Float

  public init(negativeSlope: Float) { self.negativeSlope = negativeSlope }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    ConvolutionSource.normalized(negativeSlope: negativeSlope).check(inputs, of: Self.name)
    return [inputs[0]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = ck_normalization_kernels_for(context.instructionSet).pointee
    let layout = NormalizationLayout(inputs[0].shape)
    let count = layout.instances * layout.channels
    let (x, terms, y) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    context.pool.run(tasks: layout.instances * layout.parts) { task in
      let part = layout.part(task)
      let mean = terms + part.instance * layout.channels
      // The forward pass reads neither the inverse deviation nor the normalised offset.
      let own = ck_normalization_terms(
        mean: mean, scale: mean + count, offset: mean + 2 * count, inverse: mean, normalized_offset: mean)
      kernels.apply(y + part.offset, x + part.offset, part.rows, layout.channels, own, negativeSlope)
    }
  }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { input == 0 }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int { 0 }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    inputGradients(context.outputGradient, x: context.input(0), terms: context.input(1), isNeeded: context.isNeeded)
  }

  func inputGradients(_ gradient: Tensor, x: Tensor, terms: Tensor, isNeeded: [Bool]) -> [Tensor?] {
    let termShape = NormalizationTerms.broadcastShape(of: x.shape)
    func term(_ index: Int) -> Tensor { terms.sliced(axis: 0, index..<index + 1).reshaped(to: termShape) }
    let centred = x - term(0), scale = term(1)
    let g =
      negativeSlope == 1
      ? gradient : LeakyRectifierGradient(negativeSlope: negativeSlope)(centred * scale + term(2), gradient)
    var forTerms: Tensor?
    if isNeeded[1] {
      let axes = Array(1..<x.rank - 1)
      let row = Shape([1, x.shape[0], x.shape.channels])
      let sum = g.sum(axes: axes, keepingAxes: false).reshaped(to: row)
      let product = (g * centred).sum(axes: axes, keepingAxes: false).reshaped(to: row)
      forTerms = Tensor.concatenated([sum * scale.reshaped(to: row) * -1, product, sum], axis: 0)
    }
    return [isNeeded[0] ? g * scale : nil, forTerms]
  }
}
