import TensorCore

/// One parameter's step of `Adam` as an operation.
///
/// Inputs: the parameter, its first and second moments (and the largest second moments where the optimizer keeps them)
/// and its gradient, all of one shape; the factor for the gradient (clipping), a scalar; the numbers of the step for all
/// parameters, `Adam.numbers`. Outputs: the parameter and its moments after the step. A factor that is NaN means that
/// the step must not be taken: all stay what they are.
public struct AdamUpdate: Operation {
  public var optimizer: Adam
  /// The parameter's row of the numbers.
  public var index: Int

  public init(_ optimizer: Adam, index: Int) {
    self.optimizer = optimizer
    self.index = index
  }

  /// The parameter and its moments.
  private var stateCount: Int { 1 + optimizer.stateNames.count }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(
      inputs.count == stateCount + 3 && inputs[...stateCount].allSatisfy { $0 == inputs[0] }
        && inputs[stateCount + 1] == [] && inputs[stateCount + 2].extents.dropFirst() == [AdamNumbers.count]
        && index < inputs[stateCount + 2][0],
      "AdamUpdate: inputs \(inputs) are not parameter, moments and gradient of one shape, factor and numbers")
    return [Shape](repeating: inputs[0], count: stateCount)
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [ShapeRange](repeating: inputs[0], count: stateCount) }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] {
    [ElementType](repeating: .float32, count: stateCount)
  }

  public func mayOverwrite(input: Int, with output: Int) -> Bool { input == output || input == stateCount }

  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int { 0 }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let numbers = inputs[stateCount + 2].floats + index * AdamNumbers.count
    run(
      outputs.map(\.floats), old: inputs[..<stateCount].map(\.floats), gradient: inputs[stateCount].floats,
      count: outputs[0].count, factor: inputs[stateCount + 1].floats[0],
      numbers: AdamNumbers(size: numbers[0], root: numbers[1], shrink: numbers[2]), in: context.pool)
  }

  /// Fills the new parameter and moments, which may be the memory of the old ones.
  func run(
    _ new: [UnsafeMutablePointer<Float>], old: [UnsafePointer<Float>], gradient g: UnsafePointer<Float>, count: Int,
    factor: Float, numbers: AdamNumbers, in pool: WorkerPool
  ) {
    let (b1, b2) = (Float(optimizer.firstDecay), Float(optimizer.secondDecay))
    let epsilon = Float(optimizer.epsilon)
    let decay = optimizer.isDecayDecoupled ? 0 : Float(optimizer.weightDecay)
    let (p, m, v) = (old[0], old[1], old[2])
    let (newP, newM, newV) = (new[0], new[1], new[2])
    let (largest, newLargest) = old.count > 3 ? (old[3], new[3]) : (nil, nil)
    pool.run(count: count, grain: 1 << 14) { range in
      if factor.isNaN {
        for i in range {
          (newP[i], newM[i], newV[i]) = (p[i], m[i], v[i])
          if let largest, let newLargest { newLargest[i] = largest[i] }
        }
        return
      }
      for i in range {
        let parameter = p[i]
        let d = g[i] * factor + decay * parameter
        let first = m[i] + (1 - b1) * (d - m[i])
        let second = b2 * v[i] + (1 - b2) * d * d
        var moment = second
        if let largest, let newLargest {
          moment = max(largest[i], moment)
          newLargest[i] = moment
        }
        (newM[i], newV[i]) = (first, second)
        newP[i] = parameter * numbers.shrink - numbers.size * first / (moment.squareRoot() / numbers.root + epsilon)
      }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  /// A step is taken outside of what is differentiated.
  public func gradients(_ context: GradientContext) -> [Tensor?] { context.isNeeded.map { _ in nil } }
}

/// What depends on how many steps were taken: a row of `AdamUpdate`'s numbers.
struct AdamNumbers {
  static let count = 3

  /// The learning rate with the first moment's correction.
  var size: Float
  /// The root of the second moment's correction.
  var root: Float
  /// What decoupled weight decay leaves of the parameter.
  var shrink: Float
}
