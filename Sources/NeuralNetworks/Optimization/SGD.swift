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
    let (rate, factor) = (Float(learningRate), Float(gradientFactor))
    for (index, position) in positions.enumerated() {
      guard let gradient = gradients[index] else { continue }
      check(
        gradient.shape == parameters.values[position].shape,
        "SGD: the gradient for \(parameters.layout.entries[position].name) has shape \(gradient.shape)")
      let isFirst = state.momenta[index] == nil
      if isFirst && momentum != 0 { state.momenta[index] = Tensor(uninitialized: gradient.shape) }
      parameters.values[position].makeStorageUnique()
      state.momenta[index]?.makeStorageUnique()
      let p = MutableTensorView(parameters.values[position]).floats
      let m = state.momenta[index].map { MutableTensorView($0).floats } ?? p
      let g = TensorView(gradient).floats
      WorkerPool.shared.run(count: gradient.count, grain: 1 << 15) { range in
        if momentum == 0 {
          for i in range { p[i] -= rate * (g[i] * factor + weightDecay * p[i]) }
        } else if isFirst {
          let scale = usesNesterov ? rate * (1 + momentum) : rate
          for i in range {
            let d = g[i] * factor + weightDecay * p[i]
            m[i] = d
            p[i] -= scale * d
          }
        } else if usesNesterov {
          for i in range {
            let d = g[i] * factor + weightDecay * p[i]
            let moved = momentum * m[i] + d
            m[i] = moved
            p[i] -= rate * (d + momentum * moved)
          }
        } else {
          for i in range {
            let moved = momentum * m[i] + (g[i] * factor + weightDecay * p[i])
            m[i] = moved
            p[i] -= rate * moved
          }
        }
      }
      withExtendedLifetime(gradient) {}
    }
  }
}
