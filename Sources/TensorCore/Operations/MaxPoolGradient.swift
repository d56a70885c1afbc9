/// From the gradient for a `MaxPool` and the places it chose to the gradient for its input.
public struct MaxPoolGradient: ShapeBoundOperation {
  public var window: PoolingWindow
  public var inputShape: Shape

  public init(_ window: PoolingWindow, inputShape: Shape) {
    self.window = window
    self.inputShape = inputShape
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let pooled = window.shape(of: inputShape, name: Self.name)
    checkSameShape(inputs[0], inputs[1])
    check(inputs[0] == pooled, "\(Self.name): the gradient's shape is \(inputs[0]), not \(pooled)")
    return [inputShape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(inputShape)] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (gradient, places, result) = (inputs[0].floats, inputs[1].pointer(to: Int16.self), outputs[0].floats)
    let channels = inputShape.channels
    let walk = WindowWalk(window, input: inputShape, output: inputs[0].shape)
    let perInstance = inputShape.count / max(inputShape[0], 1)
    // Windows may overlap, so an instance is one task.
    context.pool.run(tasks: inputShape[0]) { instance in
      (result + instance * perInstance).update(repeating: 0, count: perInstance)
      for output in instance * walk.outputsPerInstance..<(instance + 1) * walk.outputsPerInstance {
        walk.forEachTap(of: output) { input, tap in
          for c in 0..<channels where Int(places[output * channels + c]) == tap {
            result[input * channels + c] += gradient[output * channels + c]
          }
        }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [context.isNeeded[0] ? MaxPoolSelection(window)(context.outputGradient, context.input(1)) : nil, nil]
  }
}
