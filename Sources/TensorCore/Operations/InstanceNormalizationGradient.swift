import CKernels

/// The gradients of an instance normalisation with a leaky rectifier behind it (slope 1: none).
///
/// Inputs: the gradient for the result, then x `[N, ..., C]`, weight and bias `[C]`, and the statistics of x.
/// Outputs: the gradients for x, weight and bias.
public struct InstanceNormalizationGradient: Operation {
  public var epsilon: Float
  public var negativeSlope: Float

  public init(epsilon: Float, negativeSlope: Float) {
    self.epsilon = epsilon
    self.negativeSlope = negativeSlope
  }

  /// The gradient rule of the forward operations.
  func inputGradients(_ context: GradientContext) -> [Tensor?] {
    check(
      context.outputGradients[1] == nil, "\(Self.name): no gradient flows through the statistics of a normalisation")
    guard context.outputGradients[0] != nil else { return [nil, nil, nil] }
    return apply([
      context.outputGradient, context.input(0), context.input(1), context.input(2), context.output(1),
    ])
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    checkSameShape(inputs[0], inputs[1])
    checkNormalization(Self.name, inputs[1], inputs[2], inputs[3])
    check(
      inputs[4] == NormalizationStatistics.shape(of: inputs[1]),
      "\(Self.name): statistics \(inputs[4]) do not fit the input \(inputs[1])")
    return [inputs[1], inputs[2], inputs[3]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    [inputs[0].common(with: inputs[1]), inputs[2], inputs[3]]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32, .float32, .float32] }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { input < 2 && output == 0 }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    NormalizationLayout(inputs[1]).scratchByteCount
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    evaluate(inputs, into: outputs, sums: nil, channelSums: nil, in: context)
  }

  /// The evaluation, with what the fused form has besides.
  ///
  /// - Parameters:
  ///   - sums: `[2, N, C]`: the sums over each instance of the gradient before the activation, which `inputs[0]` then is,
  ///     and of its products with the normalised x.
  ///   - channelSums: gets the sums of the gradient for x, `[C]`.
  func evaluate(
    _ inputs: [TensorView], into outputs: [MutableTensorView], sums: TensorView?, channelSums: MutableTensorView?,
    in context: EvaluationContext
  ) {
    let kernels = ck_normalization_kernels_for(context.instructionSet).pointee
    let layout = NormalizationLayout(inputs[1].shape)
    let channels = layout.channels
    let count = layout.instances * channels
    let tasks = layout.instances * layout.parts
    let (gradient, x, result) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    let (weight, slope) = (inputs[2].floats, sums == nil ? negativeSlope : 1)
    let statistics = NormalizationStatistics(inputs[4].floats, count: count)
    withNormalizationTerms(
      statistics, weight: weight, bias: inputs[3].floats, epsilon: epsilon, layout, in: context
    ) { terms in
      context.withScratch(byteCount: (tasks * 2 * channels + 2 * count) * MemoryLayout<Float>.stride) { scratch in
        let partials = scratch.assumingMemoryBound(to: Float.self)
        let (constant, linear) = (partials + tasks * 2 * channels, partials + tasks * 2 * channels + count)
        /// The sum of one of the partial sums of each part.
        func joined(_ tasks: Range<Int>, _ offset: Int) -> Double {
          tasks.reduce(0) { $0 + Double(partials[$1 * 2 * channels + offset]) }
        }
        if sums == nil {
          context.pool.run(tasks: tasks) { task in
            let part = layout.part(task)
            let own = partials + task * 2 * channels
            kernels.gradient_sums(
              own, own + channels, gradient + part.offset, x + part.offset, part.rows, channels, terms(part.instance),
              slope)
          }
        }
        let (weightGradient, biasGradient) = (outputs[1].floats, outputs[2].floats)
        for channel in 0..<channels {
          var (weightSum, biasSum) = (0.0, 0.0)
          for instance in 0..<layout.instances {
            let at = instance * channels + channel
            let parts = instance * layout.parts..<(instance + 1) * layout.parts
            let sum = sums.map { Double($0.floats[at]) } ?? joined(parts, channel)
            let product = sums.map { Double($0.floats[count + at]) } ?? joined(parts, channels + channel)
            weightSum += product
            biasSum += sum
            let scale = Double(terms(instance).scale[channel]) / Double(layout.rows)
            constant[at] = Float(scale * sum)
            linear[at] = Float(scale * product)
          }
          weightGradient[channel] = Float(weightSum)
          biasGradient[channel] = Float(biasSum)
        }
        context.pool.run(tasks: tasks) { task in
          let part = layout.part(task)
          kernels.gradient(
            result + part.offset, channelSums == nil ? nil : partials + task * 2 * channels, gradient + part.offset,
            x + part.offset, part.rows, channels, terms(part.instance), constant + part.instance * channels,
            linear + part.instance * channels, slope)
        }
        guard let channelSums = channelSums?.floats else { return }
        for channel in 0..<channels { channelSums[channel] = Float(joined(0..<tasks, channel)) }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1, 2, 3, 4]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] { gradients(context, context.outputGradients[0]) }

  /// The gradient rule, given the gradient for the first output.
  ///
  /// The statistics count as functions of x, so the gradient for x is complete and the one for them is none.
  func gradients(_ context: GradientContext, _ gradient: Tensor?) -> [Tensor?] {
    let (weight, bias) = (context.input(2), context.input(3))
    let x = NormalizedInput(context.input(1), statistics: context.input(4), epsilon: epsilon)
    let (h, r) = (x.normalized, x.inverseDeviation)
    func masked(_ v: Tensor) -> Tensor {
      negativeSlope == 1 ? v : LeakyRectifierGradient(negativeSlope: negativeSlope)(h * weight + bias, v)
    }
    let g = masked(context.input(0))
    let u = gradient ?? Tensor(zeros: h.shape)
    let v = context.outputGradients[1] ?? Tensor(zeros: weight.shape)
    let t = context.outputGradients[2] ?? Tensor(zeros: weight.shape)
    let projected = x.projected(g)
    let forGradient = context.isNeeded[0] ? masked(x.projected(u) * r * weight + h * v + t) : nil
    var forInput: Tensor?
    if context.isNeeded[1] {
      let forNormalized = g * v - (u * x.average(g * h) + g * x.average(u * h)) * r * weight
      forInput = x.gradient(forNormalized) - h * x.average(u * projected) * r * r * weight
    }
    let forWeight = context.isNeeded[2] ? (u * projected * r).summed(to: weight.shape) : nil
    return [forGradient, forInput, forWeight, nil, nil]
  }
}

/// A normalisation's input as gradient rules see it.
///
/// With h the normalised x, r the inverse deviation and P(v) = v - mean(v) - h mean(v h): dh/dx = r P and
/// dr/dx = -r^2 h / count; the gradient of an instance normalisation for x is weight r P(g).
struct NormalizedInput {
  let normalized: Tensor
  /// `[N, 1..., C]`.
  let inverseDeviation: Tensor

  init(_ x: Tensor, statistics: Tensor, epsilon: Float) {
    let termShape = NormalizationTerms.broadcastShape(of: x.shape)
    func term(_ index: Int) -> Tensor { statistics.sliced(axis: 0, index..<index + 1).reshaped(to: termShape) }
    inverseDeviation = (term(2) + epsilon).squareRoot().reciprocal()
    normalized = ((x - term(0)) - term(1)) * inverseDeviation
  }

  func average(_ v: Tensor) -> Tensor { v.mean(axes: Array(1..<v.rank - 1), keepingAxes: true) }

  func projected(_ v: Tensor) -> Tensor { v - average(v) - normalized * average(v * normalized) }

  /// The gradient for x, given that for the normalised x.
  func gradient(_ v: Tensor) -> Tensor { projected(v) * inverseDeviation }
}
