/// The largest value under a sliding window over the spatial axes of `[N, ..., C]`; padding never wins.
///
/// Outputs: the values, and as int16 the place inside the window (row-major) of the first largest value.
public struct MaxPool: Operation {
  public var window: PoolingWindow

  public init(_ window: PoolingWindow) {
    check(
      window.kernel.reduce(1, *) <= Int(Int16.max), "MaxPool: the window \(window.kernel) has more than 32767 elements")
    self.window = window
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let shape = window.shape(of: inputs[0], name: Self.name)
    return [shape, shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let range = window.range(of: inputs[0])
    return [range, range]
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32, .int16] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (x, result, places) = (inputs[0].floats, outputs[0].floats, outputs[1].pointer(to: Int16.self))
    let channels = inputs[0].shape.channels
    let walk = WindowWalk(window, input: inputs[0].shape, output: outputs[0].shape)
    context.pool.run(count: walk.outputCount, grain: max(1, pointwiseGrain / 8 / max(channels, 1))) { range in
      for output in range {
        let (best, place) = (result + output * channels, places + output * channels)
        var isFirst = true
        walk.forEachTap(of: output) { input, tap in
          let values = x + input * channels
          for c in 0..<channels where isFirst || values[c] > best[c] || (values[c].isNaN && !best[c].isNaN) {
            best[c] = values[c]
            place[c] = Int16(tap)
          }
          isFirst = false
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(outputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    guard let gradient = context.outputGradients[0] else { return [nil] }
    return [MaxPoolGradient(window, inputShape: context.inputShapes[0])(gradient, context.output(1))]
  }
}
