#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Each element to the power of a number.
public struct Power: Operation {
  public var exponent: Float

  public init(_ exponent: Float) { self.exponent = exponent }

  public func shapes(of inputs: [Shape]) -> [Shape] { [inputs[0]] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (x, result) = (inputs[0].floats, outputs[0].floats)
    context.pool.run(count: inputs[0].count, grain: pointwiseGrain / 8) { range in
      if exponent == 2 {
        for i in range { result[i] = x[i] * x[i] }
      } else {
        for i in range { result[i] = powf(x[i], exponent) }
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let x = context.input(0)
    let slope = exponent == 2 ? x * 2 : Power(exponent - 1)(x) * exponent
    return [context.outputGradient * slope]
  }
}
