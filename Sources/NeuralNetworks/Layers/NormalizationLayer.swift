import TensorCore

/// Instance or batch normalization over the spatial axes, per channel.
public struct NormalizationLayer: Sendable {
  private struct RunningStatistics: Sendable {
    let mean: ParameterReference
    let variance: ParameterReference
    let batchCount: ParameterReference
  }

  public let kind: UNetArchitecture.Normalization
  private let features: Int
  let weight: ParameterReference?
  let bias: ParameterReference?
  private let running: RunningStatistics?

  init(_ name: String, _ kind: UNetArchitecture.Normalization, features: Int, layout: inout ParameterLayout) {
    self.kind = kind
    self.features = features
    let isAffine: Bool
    var tracks = false
    switch kind {
    case .instance(_, let affine): isAffine = affine
    case .batch(_, _, let affine, let tracksRunningStatistics):
      isAffine = affine
      tracks = tracksRunningStatistics
    }
    weight = isAffine ? layout.add(name + ".weight", [features], .constant(1)) : nil
    bias = isAffine ? layout.add(name + ".bias", [features], .constant(0)) : nil
    running =
      tracks
      ? RunningStatistics(
        mean: layout.add(name + ".running_mean", [features], role: .buffer, .constant(0)),
        variance: layout.add(name + ".running_var", [features], role: .buffer, .constant(1)),
        batchCount: layout.add(
          name + ".num_batches_tracked", [], role: .buffer, elementType: .uint64, .constant(0)))
      : nil
  }

  public func callAsFunction(_ input: consuming Tensor, _ context: inout ForwardContext) -> Tensor {
    normalize(consume input, negativeSlope: nil, &context)
  }

  /// What is added to the variance, where every instance is normalized by itself.
  var instanceEpsilon: Float? {
    guard case .instance(let epsilon, _) = kind else { return nil }
    return epsilon
  }

  /// Weight and bias, or what they are where there are none.
  func scaleAndOffset(_ context: ForwardContext) -> (scale: Tensor, offset: Tensor) {
    (
      weight.map { context[$0] } ?? Tensor(repeating: 1, shape: [features]),
      bias.map { context[$0] } ?? Tensor(zeros: [features])
    )
  }

  /// Normalizes and, with a slope, applies leaky ReLU in the same pass.
  func normalize(_ input: consuming Tensor, negativeSlope: Float?, _ context: inout ForwardContext) -> Tensor {
    let (scale, offset) = scaleAndOffset(context)
    switch kind {
    case .instance(let epsilon, _):
      guard let negativeSlope else {
        return input.instanceNormalized(weight: scale, bias: offset, epsilon: epsilon)
      }
      // One pass where the slope is that of a rectifier; others are composed.
      guard (0..<1).contains(negativeSlope) else {
        return input.instanceNormalized(weight: scale, bias: offset, epsilon: epsilon)
          .leakyRectified(negativeSlope: negativeSlope)
      }
      return input.instanceNormalized(weight: scale, bias: offset, epsilon: epsilon, negativeSlope: negativeSlope)
    case .batch(let epsilon, let momentum, _, _):
      let normalized = batchNormalize(input, scale, offset, epsilon, momentum, &context)
      return negativeSlope.map { normalized.leakyRectified(negativeSlope: $0) } ?? normalized
    }
  }

  private func batchNormalize(
    _ input: Tensor, _ scale: Tensor, _ offset: Tensor, _ epsilon: Float, _ momentum: Float?,
    _ context: inout ForwardContext
  ) -> Tensor {
    if context.mode == .evaluation, let running {
      return input.batchNormalized(
        weight: scale, bias: offset, runningMean: context[running.mean], runningVariance: context[running.variance],
        epsilon: epsilon)
    }
    let (result, statistics) = input.batchNormalized(weight: scale, bias: offset, epsilon: epsilon)
    if context.mode == .training, let running {
      let count = context[running.batchCount]
      // Without a momentum the average over all batches is wanted, which only a look at the count tells.
      let factor = momentum ?? 1 / Float(count.withElements(as: UInt64.self) { $0[0] } + 1)
      let updated = statistics.updating(
        runningMean: context[running.mean], runningVariance: context[running.variance], momentum: factor)
      context.update(running.mean, to: updated.mean)
      context.update(running.variance, to: updated.variance)
      // As tensors, so that it can be traced; float32 counts to 16 million exactly.
      context.update(running.batchCount, to: (count.converted(to: .float32) + 1).converted(to: .uint64))
    }
    return result
  }
}
