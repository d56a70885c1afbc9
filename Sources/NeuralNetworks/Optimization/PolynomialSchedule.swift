#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A learning rate that falls to 0 as `initial * (1 - step / stepCount) ^ exponent`: nnU-Net's `PolyLRScheduler`.
public struct PolynomialSchedule: Codable, Hashable, Sendable {
  public var initialRate: Double
  /// In nnU-Net's trainers a step is an epoch.
  public var stepCount: Int
  public var exponent: Double

  public init(initialRate: Double = 0.01, stepCount: Int, exponent: Double = 0.9) {
    self.initialRate = initialRate
    self.stepCount = stepCount
    self.exponent = exponent
  }

  public func rate(at step: Int) -> Double {
    initialRate * pow(1 - Double(step) / Double(stepCount), exponent)
  }
}
