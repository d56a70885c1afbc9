/// How a prediction is done.
public struct PredictionOptions: Sendable, Hashable {
  /// The distance of neighbouring tiles as a part of the patch, in (0, 1].
  public var stepSize: Double
  /// Whether every tile is also seen mirrored, along the axes that the checkpoint allows.
  public var usesMirroring: Bool
  /// Whether the middle of a tile counts more than its border.
  public var usesGaussian: Bool
  public var precision: LogitsPrecision

  public init(
    stepSize: Double = 0.5, usesMirroring: Bool = true, usesGaussian: Bool = true,
    precision: LogitsPrecision = .float32
  ) {
    self.stepSize = stepSize
    self.usesMirroring = usesMirroring
    self.usesGaussian = usesGaussian
    self.precision = precision
  }
}
