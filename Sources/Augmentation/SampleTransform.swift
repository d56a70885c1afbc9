import TensorCore
import Volumes

/// One step of the augmentation: parameters are drawn first, and applying them is deterministic.
public protocol SampleTransform: Sendable {
  associatedtype Parameters: Sendable

  /// Draws what `apply` needs; every random decision is made here.
  func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters

  func apply(_ parameters: Parameters, to sample: inout TrainingSample)
}

extension SampleTransform {
  /// Draws parameters and applies them.
  public func transform(_ sample: inout TrainingSample, using generator: inout RandomGenerator) {
    apply(drawParameters(for: sample, using: &generator), to: &sample)
  }
}

extension SampleTransform where Parameters == Void {
  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) {}
}

/// Applies a transform to a part of the samples.
///
/// batchgeneratorsv2: `transforms/utils/random.py`.
public struct RandomlyApplied<Base: SampleTransform>: SampleTransform {
  public var base: Base
  public var probability: Double

  public init(_ base: Base, probability: Double) {
    self.base = base
    self.probability = probability
  }

  /// `nil` leaves the sample as it is.
  public func drawParameters(
    for sample: TrainingSample, using generator: inout RandomGenerator
  ) -> Base.Parameters? {
    generator.draw(probability: probability) ? base.drawParameters(for: sample, using: &generator) : nil
  }

  public func apply(_ parameters: Base.Parameters?, to sample: inout TrainingSample) {
    if let parameters { base.apply(parameters, to: &sample) }
  }
}

/// Transforms one after the other.
public struct AugmentationPipeline: Sendable {
  public var transforms: [any SampleTransform]

  public init(_ transforms: [any SampleTransform]) {
    self.transforms = transforms
  }

  /// The transformed sample, its `targets` filled: one grid if no transform makes levels for deep supervision.
  public func callAsFunction(
    _ sample: consuming TrainingSample, using generator: inout RandomGenerator
  ) -> TrainingSample {
    var result = sample
    for transform in transforms { transform.transform(&result, using: &generator) }
    if result.targets.isEmpty { result.targets = [result.segmentation] }
    return result
  }
}
