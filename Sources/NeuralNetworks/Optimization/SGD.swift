import TensorCore

/// Stochastic gradient descent with momentum and weight decay, as `torch.optim.SGD`; the defaults are nnU-Net's.
///
///     d = gradient + weightDecay * p
///     m = momentum * m + d        (d at the first step)
///     p = p - rate * (d + momentum * m)     with Nesterov's momentum, else p - rate * m
public struct SGD: Codable, Hashable, Sendable {
  public var momentum: Float
  public var usesNesterov: Bool
  public var weightDecay: Float

  public init(momentum: Float = 0.99, usesNesterov: Bool = true, weightDecay: Float = 3e-5) {
    self.momentum = momentum
    self.usesNesterov = usesNesterov
    self.weightDecay = weightDecay
  }

  /// What the optimizer carries from step to step.
  public struct State: Sendable {
    /// For each trainable parameter, in the order of `namedParameters`; nil until it first had a gradient.
    public var momenta: [Tensor?]

    public init(parameterCount: Int) { momenta = Array(repeating: nil, count: parameterCount) }
  }

  /// One step. Memory is reused where nobody else holds it: with parameters and state held once, nothing is allocated
  /// after the first step.
  ///
  /// - Parameters:
  ///   - parameters: trained in place; buffers and parameters without gradient stay as they are, without decay.
  ///   - gradients: one for each trainable parameter, in the order of `namedParameters`; nil where there is none.
  ///   - learningRate: from a schedule.
  ///   - gradientFactor: multiplies the gradients first: `clippingFactor`.
  public func step(
    _ parameters: inout ParameterSet, gradients: [Tensor?], state: inout State, learningRate: Double,
    gradientFactor: Double = 1
  ) {
    let positions = parameters.layout.trainable
    check(
      gradients.count == positions.count && state.momenta.count == positions.count,
      "SGD: \(positions.count) parameters, but \(gradients.count) gradients and \(state.momenta.count) momenta")
    let update = SGDUpdate(self)
    for (index, position) in positions.enumerated() {
      guard let gradient = gradients[index] else { continue }
      check(
        gradient.shape == parameters.values[position].shape,
        "SGD: the gradient for \(parameters.layout.entries[position].name) has shape \(gradient.shape)")
      // A momentum of zero makes the first step PyTorch's, which starts with the gradient.
      var momentum = state.momenta[index] ?? Tensor(zeros: gradient.shape)
      state.momenta[index] = nil
      parameters.values[position].makeStorageUnique()
      momentum.makeStorageUnique()
      let (p, m) = (MutableTensorView(parameters.values[position]), MutableTensorView(momentum))
      update.run(
        p, m, gradient: TensorView(gradient).floats, factor: Float(gradientFactor), rate: Float(learningRate),
        parameter: UnsafePointer(p.floats), momentum: UnsafePointer(m.floats), in: .standard)
      withExtendedLifetime((gradient, momentum)) {}
      if self.momentum != 0 { state.momenta[index] = momentum }
    }
  }
}
