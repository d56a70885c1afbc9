import CKernels

/// The gradient of a bias that was added to every pixel: `[N, axes..., C]` summed to `[C]`.
public struct ConvolutionBiasGradient: Operation {
  public init() {}

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0].rank > 0, "ConvolutionBiasGradient: a scalar has no channels")
    return [[inputs[0].channels]]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange([inputs[0][inputs[0].rank - 1]])] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let kernels = context.convolutionKernels
    let (values, result) = (inputs[0].floats, outputs[0].floats)
    let channels = outputs[0].count
    let pixels = channels == 0 ? 0 : inputs[0].count / channels
    // Blocks of a fixed size, added in order: the same sums for any number of threads.
    let block = 2048
    let blocks = (pixels + block - 1) / block
    context.withScratch(byteCount: blocks * channels * MemoryLayout<Float>.stride) { partials in
      let partials = partials.assumingMemoryBound(to: Float.self)
      context.pool.run(count: pixels, grain: block) { range in
        kernels.sum_pixels(
          values + range.lowerBound * channels, range.count, channels,
          partials + range.lowerBound / block * channels)
      }
      for channel in 0..<channels {
        var sum = 0.0
        for index in 0..<blocks { sum += Double(partials[index * channels + channel]) }
        result[channel] = Float(sum)
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [ConvolutionBiasFill(shape: context.inputShapes[0])(context.outputGradient)]
  }
}

/// One value for each channel, `[C]`, repeated for every pixel of an activation `[N, axes..., C]`.
public struct ConvolutionBiasFill: ShapeBoundOperation {
  public var shape: Shape

  public init(shape: Shape) { self.shape = shape }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0] == [shape.channels], "ConvolutionBiasFill: \(inputs[0]) does not fit the channels of \(shape)")
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(shape)] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (values, result) = (inputs[0].floats, outputs[0].floats)
    let channels = inputs[0].count
    let pixels = channels == 0 ? 0 : outputs[0].count / channels
    context.pool.run(count: pixels, grain: 4096) { range in
      for pixel in range { (result + pixel * channels).update(from: values, count: channels) }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [ConvolutionBiasGradient()(context.outputGradient)]
  }
}
