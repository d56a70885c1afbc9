import Autograd
import TensorCore

/// The loss of one batch, its gradients, and what the forward pass leaves for buffers.
public struct LossAndGradients: Sendable {
  public let loss: Float
  /// One for each trainable parameter, in the order of `ParameterSet.namedParameters`; nil where the loss does not
  /// depend on it.
  public let gradients: [Tensor?]
  public let bufferUpdates: [BufferUpdate]
}

extension UNet {
  /// Forward and backward pass in training mode with deep supervision as the loss has it.
  ///
  /// - Parameters:
  ///   - input: `[N, spatial, C]`.
  ///   - targets: one for each head that the loss weighs, finest first.
  ///   - generator: where dropout draws its masks.
  public func lossAndGradients(
    of loss: DeepSupervisionLoss, input: Tensor, targets: [Tensor], parameters: ParameterSet,
    generator: inout RandomGenerator
  ) -> LossAndGradients {
    var context: ForwardContext
    let tape = Tape()
    let followed = parameters.followed(by: tape)
    context = ForwardContext(parameters: followed, mode: .training, generator: generator)
    let heads = self(input, &context, deepSupervision: loss.weights.count > 1)
    generator = context.generator
    let value = loss(heads, targets)
    let gradients = tape.optionalGradients(
      of: [(value: value, seed: nil)], for: layout.trainable.map { followed.values[$0] })
    return LossAndGradients(loss: value.scalar(), gradients: gradients, bufferUpdates: context.bufferUpdates)
  }
}
