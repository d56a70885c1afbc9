import TensorCore

/// The square root of the sum of squares over all gradients: `torch.nn.utils.clip_grad_norm_`'s norm.
public func globalNorm(of gradients: [Tensor?]) -> Double {
  defer { withExtendedLifetime(gradients) {} }
  return globalNorm(of: gradients.compactMap { $0.map(TensorView.init) }, in: .standard)
}

func globalNorm(of gradients: [TensorView], in context: EvaluationContext) -> Double {
  sumOfSquares(of: gradients, in: context).squareRoot()
}

/// By what to multiply gradients so that their global norm is at most `maximum`: `maximum / (norm + 1e-6)`, at most 1.
public func clippingFactor(norm: Double, maximum: Double) -> Double { min(1, maximum / (norm + 1e-6)) }
