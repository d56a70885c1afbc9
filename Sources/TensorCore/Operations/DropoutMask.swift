/// A random tensor whose elements are 0 with a probability and `1 / (1 - probability)` otherwise.
///
/// The input is a generator's state, a `[2]` tensor of uint64 (key, position): element `i` is drawn from word
/// `position + offset + i` of the stream `key`, whatever the number of threads.
public struct DropoutMask: ShapeBoundOperation {
  public var probability: Float
  public var shape: Shape
  /// Words of the stream that others draw from the same state before.
  public var offset: UInt64

  public init(probability: Float, shape: Shape, offset: UInt64) {
    check(probability >= 0 && probability <= 1, "DropoutMask: \(probability) is no probability")
    self.probability = probability
    self.shape = shape
    self.offset = offset
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs[0] == [2], "DropoutMask: the generator state has shape \(inputs[0]), not [2]")
    return [shape]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange(shape)] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let state = inputs[0].pointer(to: UInt64.self)
    let generator = RandomGenerator(seed: state[0])
    let position = state[1] &+ offset
    let result = outputs[0].floats
    let kept: Float = probability < 1 ? 1 / (1 - probability) : 0
    context.pool.run(count: outputs[0].count, grain: pointwiseGrain / 16) { range in
      for i in range {
        let uniform = Float(generator.word(at: position &+ UInt64(i)) >> 40) * 0x1p-24
        result[i] = uniform < probability ? 0 : kept
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] { [nil] }
}
