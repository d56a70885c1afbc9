#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif
import TensorCore

/// Adam, as `torch.optim.Adam` and, with decoupled weight decay, `torch.optim.AdamW`.
///
/// Kingma, Ba: "Adam", ICLR 2015. Loshchilov, Hutter: "Decoupled weight decay regularization", ICLR 2019. AMSGrad:
/// Reddi, Kale, Kumar, ICLR 2018. nnU-Net's `nnUNetTrainerAdam` is AdamW with AMSGrad, `nnUNetTrainerVanillaAdam` is
/// Adam; both have weight decay 3e-5.
public struct Adam: Codable, Hashable, Sendable {
  public var firstDecay: Double
  public var secondDecay: Double
  public var epsilon: Double
  public var weightDecay: Double
  /// Whether decay shrinks the parameters themselves (AdamW) rather than adding to their gradients (Adam).
  public var isDecayDecoupled: Bool
  /// Whether the step is scaled by the largest second moment so far.
  public var usesLargestMoment: Bool

  public init(
    firstDecay: Double = 0.9, secondDecay: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 3e-5,
    isDecayDecoupled: Bool, usesLargestMoment: Bool = false
  ) {
    self.firstDecay = firstDecay
    self.secondDecay = secondDecay
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.isDecayDecoupled = isDecayDecoupled
    self.usesLargestMoment = usesLargestMoment
  }

  /// Per trainable parameter, in the order of `namedParameters`.
  public struct State: Sendable {
    public var steps: [Int]
    public var firstMoments: [Tensor?]
    public var secondMoments: [Tensor?]
    public var largestSecondMoments: [Tensor?]

    public init(parameterCount: Int) {
      steps = Array(repeating: 0, count: parameterCount)
      firstMoments = Array(repeating: nil, count: parameterCount)
      secondMoments = Array(repeating: nil, count: parameterCount)
      largestSecondMoments = Array(repeating: nil, count: parameterCount)
    }
  }

  /// One step; see `SGD.step`.
  public func step(
    _ parameters: inout ParameterSet, gradients: [Tensor?], state: inout State, learningRate: Double,
    gradientFactor: Double = 1
  ) {
    let positions = parameters.layout.trainable
    check(
      gradients.count == positions.count && state.steps.count == positions.count,
      "Adam: \(positions.count) parameters, but \(gradients.count) gradients and \(state.steps.count) states")
    for (index, position) in positions.enumerated() {
      guard let gradient = gradients[index] else { continue }
      let shape = parameters.values[position].shape
      check(
        gradient.shape == shape,
        "Adam: the gradient for \(parameters.layout.entries[position].name) has shape \(gradient.shape)")
      if state.steps[index] == 0 {
        state.firstMoments[index] = Tensor(zeros: shape)
        state.secondMoments[index] = Tensor(zeros: shape)
        if usesLargestMoment { state.largestSecondMoments[index] = Tensor(zeros: shape) }
      }
      state.steps[index] += 1
      parameters.values[position].makeStorageUnique()
      state.firstMoments[index]?.makeStorageUnique()
      state.secondMoments[index]?.makeStorageUnique()
      state.largestSecondMoments[index]?.makeStorageUnique()
      guard let first = state.firstMoments[index], let second = state.secondMoments[index] else { continue }
      let tensors = [parameters.values[position], first, second, state.largestSecondMoments[index]].compactMap { $0 }
      let memory = tensors.map { MutableTensorView($0).floats }
      AdamUpdate(self, index: index).run(
        memory, old: memory.map { UnsafePointer($0) }, gradient: TensorView(gradient).floats, count: gradient.count,
        factor: Float(gradientFactor), numbers: numbers(learningRate: learningRate, step: state.steps[index]),
        in: .shared)
      withExtendedLifetime((gradient, tensors)) {}
    }
  }

  /// What depends on the step's number, the first being 1.
  func numbers(learningRate: Double, step: Int) -> AdamNumbers {
    AdamNumbers(
      size: Float(learningRate / (1 - pow(firstDecay, Double(step)))),
      root: Float((1 - pow(secondDecay, Double(step))).squareRoot()),
      shrink: isDecayDecoupled ? Float(1 - learningRate * weightDecay) : 1)
  }
}
