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
    let kernels = ck_normalization_kernels_for(context.instructionSet).pointee
    let layout = NormalizationLayout(inputs[1].shape)
    let channels = layout.channels
    let count = layout.instances * channels
    let tasks = layout.instances * layout.parts
    let (gradient, x, result) = (inputs[0].floats, inputs[1].floats, outputs[0].floats)
    let (weight, slope) = (inputs[2].floats, negativeSlope)
    let statistics = NormalizationStatistics(inputs[4].floats, count: count)
    withNormalizationTerms(
      statistics, weight: weight, bias: inputs[3].floats, epsilon: epsilon, layout, in: context
    ) { terms in
      context.withScratch(byteCount: (tasks * 2 * channels + 2 * count) * MemoryLayout<Float>.stride) { scratch in
        let partials = scratch.assumingMemoryBound(to: Float.self)
        let (constant, linear) = (partials + tasks * 2 * channels, partials + tasks * 2 * channels + count)
        context.pool.run(tasks: tasks) { task in
          let part = layout.part(task)
          let own = partials + task * 2 * channels
          kernels.gradient_sums(
            own, own + channels, gradient + part.offset, x + part.offset, part.rows, channels, terms(part.instance),
            slope)
        }
        let (weightGradient, biasGradient) = (outputs[1].floats, outputs[2].floats)
        for channel in 0..<channels {
          var (weightSum, biasSum) = (0.0, 0.0)
          for instance in 0..<layout.instances {
            var (sum, product) = (0.0, 0.0)
            for task in instance * layout.parts..<(instance + 1) * layout.parts {
              sum += Double(partials[task * 2 * channels + channel])
              product += Double(partials[task * 2 * channels + channels + channel])
            }
            weightSum += product
            biasSum += sum
            let scale = Double(terms(instance).scale[channel]) / Double(layout.rows)
            constant[instance * channels + channel] = Float(scale * sum)
            linear[instance * channels + channel] = Float(scale * product)
          }
          weightGradient[channel] = Float(weightSum)
          biasGradient[channel] = Float(biasSum)
        }
        context.pool.run(tasks: tasks) { task in
          let part = layout.part(task)
          kernels.gradient(
            result + part.offset, gradient + part.offset, x + part.offset, part.rows, channels,
            terms(part.instance), constant + part.instance * channels, linear + part.instance * channels, slope)
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1, 2, 3, 4]) }

  /// The statistics count as functions of x, so the gradient for x is complete and the one for them is none.
  ///
  /// With h the normalised x, r the inverse deviation and P(v) = v - mean(v) - h mean(v h), the gradient for x is
  /// weight r P(g); and dh/dx = r P, dr/dx = -r^2 h / count.
  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let (x, weight, bias, statistics) = (context.input(1), context.input(2), context.input(3), context.input(4))
    let spatial = Array(1..<x.rank - 1)
    let termShape = Shape([x.shape[0]] + spatial.map { _ in 1 } + [x.shape.channels])
    func term(_ index: Int) -> Tensor { statistics.sliced(axis: 0, index..<index + 1).reshaped(to: termShape) }
    func average(_ v: Tensor) -> Tensor { v.mean(axes: spatial, keepingAxes: true) }
    let r = (term(2) + epsilon).squareRoot().reciprocal()
    let h = ((x - term(0)) - term(1)) * r
    func project(_ v: Tensor) -> Tensor { v - average(v) - h * average(v * h) }
    func masked(_ v: Tensor) -> Tensor {
      negativeSlope == 1 ? v : LeakyRectifierGradient(negativeSlope: negativeSlope)(h * weight + bias, v)
    }
    let g = masked(context.input(0))
    let zeros = Tensor(zeros: x.shape)
    let u = context.outputGradients[0] ?? zeros
    let v = context.outputGradients[1] ?? Tensor(zeros: weight.shape)
    let t = context.outputGradients[2] ?? Tensor(zeros: weight.shape)
    let projected = project(g)
    let forGradient = context.isNeeded[0] ? masked(project(u) * r * weight + h * v + t) : nil
    var forInput: Tensor?
    if context.isNeeded[1] {
      let forNormalized = g * v - (u * average(g * h) + g * average(u * h)) * r * weight
      forInput = project(forNormalized) * r - h * average(u * projected) * r * r * weight
    }
    let forWeight = context.isNeeded[2] ? (u * projected * r).summed(to: weight.shape) : nil
    return [forGradient, forInput, forWeight, nil, nil]
  }
}
