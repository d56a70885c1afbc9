import TensorCore

/// A distribution of one number.
public enum RandomScalar: Hashable, Sendable {
  /// Uniform between the bounds.
  case uniform(ClosedRange<Double>)
  /// With equal chance uniform below or above 1, so that increase and decrease are equally frequent.
  ///
  /// batchgeneratorsv2: `BGContrast` in `transforms/intensity/contrast.py`.
  case balancedAroundOne(ClosedRange<Double>)

  public func draw(using generator: inout RandomGenerator) -> Double {
    switch self {
    case .uniform(let range):
      return generator.uniform(in: range)
    case .balancedAroundOne(let range):
      if generator.draw(probability: 0.5), range.lowerBound < 1 {
        return generator.uniform(in: range.lowerBound...1)
      }
      return generator.uniform(in: max(range.lowerBound, 1)...range.upperBound)
    }
  }
}

extension RandomGenerator {
  /// True with the given probability.
  mutating func draw(probability: Double) -> Bool {
    uniformDouble() < probability
  }

  mutating func uniform(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + uniformDouble() * (range.upperBound - range.lowerBound)
  }

  /// The channels that a transform changes, each with the same probability.
  mutating func channels(outOf count: Int, probability: Double) -> [Int] {
    (0..<count).filter { _ in draw(probability: probability) }
  }
}
