import TensorCore

/// What flows between the layers of a network: one tensor, or two that count as concatenated along the channels, each
/// with a normalisation and an activation that the next layer may still have to apply.
///
/// Putting those off saves evaluation a tensor and three passes over memory for each layer: a convolution normalises
/// and activates while it reads, and reads two tensors as one.
public struct Features: Sendable {
  struct Part: Sendable {
    var tensor: Tensor
    var source: ConvolutionSource
    /// `NormalizationTerms` of a source that is normalised.
    var terms: Tensor?

    var inputs: [Tensor] { [tensor] + (terms.map { [$0] } ?? []) }
  }

  var parts: [Part]

  init(parts: [Part]) { self.parts = parts }

  /// A tensor `[N, axes..., C]` as it is.
  public init(_ tensor: Tensor) { parts = [Part(tensor: tensor, source: .plain, terms: nil)] }

  /// `tensor` still to be normalised with `terms` and activated with a leaky rectifier (slope 1: not).
  init(_ tensor: Tensor, terms: Tensor, negativeSlope: Float) {
    parts = [Part(tensor: tensor, source: .normalized(negativeSlope: negativeSlope), terms: terms)]
  }

  var sources: [ConvolutionSource] { parts.map(\.source) }
  var inputs: [Tensor] { parts.flatMap(\.inputs) }
  var isPlain: Bool { sources == [.plain] }

  /// The features `[N, axes..., C]`, written out.
  public var tensor: Tensor { isPlain ? parts[0].tensor : sources.applied(to: inputs) }

  /// These features and more channels behind them.
  consuming func joined(with other: consuming Features, isWrittenOut: Bool) -> Features {
    if isWrittenOut || parts.count + other.parts.count > 2 {
      let first = tensor
      return Features(Tensor.concatenated([first, other.tensor], axis: first.rank - 1))
    }
    return Features(parts: parts + other.parts)
  }
}
