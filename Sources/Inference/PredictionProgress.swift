/// What a prediction tells while it runs.
public enum PredictionEvent: Sendable {
  /// - cases: those to be predicted.
  /// - skipped: those whose results were there already.
  case runStarted(cases: [String], skipped: [String])
  /// The network was compiled before the first case: what was found, with the peak of its memory, as one line.
  case networkCompiled(summary: String)
  /// The network begins with a preprocessed case of this shape, `[C, Z, Y, X]`.
  case networkStarted(case: String, shape: [Int])
  /// - secondsLeft: for the network's work on this case.
  case tiles(case: String, progress: TileProgress, tilesPerSecond: Double, secondsLeft: Double)
  case caseDone(case: String, seconds: StageSeconds)
  case caseFailed(CaseOutcome)
  case runDone(PredictionReport)
}

/// Someone who shows progress. Called from several threads.
public protocol PredictionProgress: Sendable {
  func report(_ event: PredictionEvent)
}

/// Shows nothing.
public struct SilentProgress: PredictionProgress {
  public init() {}
  public func report(_ event: PredictionEvent) {}
}
