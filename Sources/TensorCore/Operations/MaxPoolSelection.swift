/// The elements of a tensor at the places that a `MaxPool` chose in another: the transposed map of `MaxPoolGradient`.
public struct MaxPoolSelection: Operation {
  public var window: PoolingWindow

  public init(_ window: PoolingWindow) { self.window = window }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let pooled = window.shape(of: inputs[0], name: Self.name)
    check(inputs[1] == pooled, "\(Self.name): the places have shape \(inputs[1]), not \(pooled)")
    return [pooled]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [window.range(of: inputs[0]).common(with: inputs[1])] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (x, places, result) = (inputs[0].floats, inputs[1].pointer(to: Int16.self), outputs[0].floats)
    let channels = inputs[0].shape.channels
    let walk = WindowWalk(window, input: inputs[0].shape, output: outputs[0].shape)
    context.pool.run(count: walk.outputCount, grain: max(1, pointwiseGrain / 8 / max(channels, 1))) { range in
      for output in range {
        walk.forEachTap(of: output) { input, tap in
          for c in 0..<channels where Int(places[output * channels + c]) == tap {
            result[output * channels + c] = x[input * channels + c]
          }
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [
      context.isNeeded[0]
        ? MaxPoolGradient(window, inputShape: context.inputShapes[0])(context.outputGradient, context.input(1)) : nil,
      nil,
    ]
  }
}
