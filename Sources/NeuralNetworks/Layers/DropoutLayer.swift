import TensorCore

/// Multiplies elements or whole channels of a sample by 0 or `1 / (1 - p)` in training. Always out of place.
public struct DropoutLayer: Sendable {
  /// PyTorch's module name.
  public let name: String
  public let dropout: UNetArchitecture.Dropout

  public func callAsFunction(_ input: consuming Tensor, _ context: inout ForwardContext) -> Tensor {
    guard context.mode == .training, dropout.probability > 0 else { return input }
    if let factors = context.recordedDropoutFactors[name] {
      return input
        * factors.reshaped(to: Shape([input.shape[0]] + input.shape.spatial.map { _ in 1 } + [input.shape.channels]))
    }
    if let state = context.generatorState {
      defer {
        context.generator.position &+= UInt64(input.dropoutMaskShape(channelwise: dropout.isChannelwise).count)
      }
      return input.dropout(
        probability: dropout.probability, channelwise: dropout.isChannelwise, state: state,
        offset: context.generator.position)
    }
    return input.dropout(
      probability: dropout.probability, channelwise: dropout.isChannelwise, generator: &context.generator)
  }
}
