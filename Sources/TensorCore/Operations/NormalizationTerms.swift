/// What an instance normalisation does to each channel of each instance, from the statistics of its input.
///
/// Inputs: the statistics `[3, N, C]`, weight and bias `[C]`. Output `[3, N, C]`: mean, scale and offset, so that the
/// normalised value is `(x - mean) * scale + offset`.
public struct NormalizationTerms: Operation {
  public var epsilon: Float

  public init(epsilon: Float) { self.epsilon = epsilon }

  static func shape(of input: Shape) -> Shape { NormalizationStatistics.shape(of: input) }

  /// A term `[1, N, C]` as it multiplies `[N, axes..., C]`.
  static func broadcastShape(of input: Shape) -> Shape {
    Shape([input[0]] + input.spatial.map { _ in 1 } + [input.channels])
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let statistics = inputs[0]
    check(
      statistics.rank == 3 && statistics[0] == 3 && inputs[1] == [statistics[2]] && inputs[2] == [statistics[2]],
      "\(Self.name): statistics \(statistics), weight \(inputs[1]) and bias \(inputs[2]) are not [3, N, C], [C] and [C]"
    )
    return [statistics]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (instances, channels) = (inputs[0].shape[1], inputs[0].shape[2])
    let count = instances * channels
    let (weight, bias, result) = (inputs[1].floats, inputs[2].floats, outputs[0].floats)
    let statistics = NormalizationStatistics(inputs[0].floats, count: count)
    for index in 0..<count {
      let term = NormalizationTerm(
        statistics, index, weight: weight[index % channels], bias: bias[index % channels], epsilon: epsilon)
      result[index] = statistics.mean[index]
      result[count + index] = Float(term.scale)
      result[2 * count + index] = Float(term.offset)
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  /// With r the inverse deviation and l what rounding the mean lost (a constant): scale = r weight, offset = bias -
  /// l r weight, and dr/dvariance = -r^3 / 2.
  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let (statistics, weight, gradient) = (context.input(0), context.input(1), context.outputGradient)
    func row(_ tensor: Tensor, _ index: Int) -> Tensor { tensor.sliced(axis: 0, index..<index + 1) }
    let lost = row(statistics, 1)
    let r = (row(statistics, 2) + epsilon).squareRoot().reciprocal()
    let forScale = row(gradient, 1) - row(gradient, 2) * lost
    let forVariance = forScale * weight * r * r * r * -0.5
    return [
      context.isNeeded[0]
        ? Tensor.concatenated([row(gradient, 0), Tensor(zeros: lost.shape), forVariance], axis: 0) : nil,
      context.isNeeded[1] ? (forScale * r).sum(axes: [0, 1], keepingAxes: false) : nil,
      context.isNeeded[2] ? row(gradient, 2).sum(axes: [0, 1], keepingAxes: false) : nil,
    ]
  }
}

/// One instance and channel of a normalisation, in double precision.
struct NormalizationTerm {
  let inverseDeviation: Double
  let scale: Double
  let offset: Double
  let lost: Double

  init(_ statistics: NormalizationStatistics, _ index: Int, weight: Float, bias: Float, epsilon: Float) {
    inverseDeviation = 1 / (Double(statistics.variance[index]) + Double(epsilon)).squareRoot()
    scale = inverseDeviation * Double(weight)
    lost = Double(statistics.lost[index])
    offset = Double(bias) - lost * scale
  }
}
