/// What can go wrong in a prediction.
public enum InferenceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The network's output overflowed or is not a number.
  case nonFiniteLogits

  public var description: String {
    switch self {
    case .nonFiniteLogits:
      "the network's output is infinite or not a number; check the image for infinite or missing values, "
        + "and the checkpoint for weights that are not finite"
    }
  }
}
