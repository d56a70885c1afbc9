import Datasets
import Foundation

/// The stages a case goes through.
public enum PredictionStage: String, Sendable, CaseIterable {
  case reading, preprocessing, network, export, writing
}

/// Seconds that a case spent in each stage.
public struct StageSeconds: Sendable, Hashable {
  public var seconds: [PredictionStage: Double] = [:]

  public init() {}

  public var total: Double { PredictionStage.allCases.reduce(0) { $0 + (seconds[$1] ?? 0) } }

  /// Runs one stage and notes its time, also if it fails.
  mutating func measure<Result>(_ stage: PredictionStage, _ body: () throws -> Result) throws -> Result {
    let clock = ContinuousClock()
    let start = clock.now
    defer { seconds[stage, default: 0] += (clock.now - start) / .seconds(1) }
    do {
      return try body()
    } catch let error as CancellationError {
      throw error
    } catch let failure as StageFailure {
      throw failure
    } catch {
      throw StageFailure(stage: stage, reason: "\(error)")
    }
  }

  /// Runs a stage in which others take place, whose time is theirs.
  mutating func measure<Result>(
    _ stage: PredictionStage, interruptedBy body: (inout StageSeconds) throws -> Result
  ) throws -> Result {
    var others = StageSeconds()
    defer {
      seconds[stage, default: 0] -= others.total
      for (stage, time) in others.seconds { seconds[stage, default: 0] += time }
    }
    return try measure(stage) { try body(&others) }
  }
}

/// Where a case stopped, and why.
struct StageFailure: Error {
  let stage: PredictionStage
  let reason: String
}

/// What became of a case.
public struct CaseOutcome: Sendable, Hashable {
  public enum Status: Sendable, Hashable {
    case done
    /// The result was there before.
    case skipped
    case failed(stage: PredictionStage, reason: String)
    /// The run was cancelled before the case was done.
    case cancelled
  }

  public let identifier: String
  public let status: Status
  public let seconds: StageSeconds
}

/// What became of all cases: written as `prediction_report.json` beside the results.
public struct PredictionReport: Sendable {
  /// In the order of the case list.
  public let outcomes: [CaseOutcome]
  /// From the first case's beginning to the last one's end.
  public let seconds: Double
  /// The bytes that the cases on their way could take together.
  public let memoryLimit: Int
  /// The most bytes that cases held at a time, by estimate.
  public let largestReservation: Int

  public var failures: [CaseOutcome] {
    outcomes.filter { if case .failed = $0.status { true } else { false } }
  }

  public var isCancelled: Bool { outcomes.contains { $0.status == .cancelled } }

  /// Whether every case has its result.
  public var isComplete: Bool { failures.isEmpty && !isCancelled }

  public var json: JSONValue {
    let cases = outcomes.map { outcome -> JSONValue in
      var entry: JSONValue.Object = ["case": .string(outcome.identifier)]
      switch outcome.status {
      case .done: entry["status"] = "done"
      case .skipped: entry["status"] = "skipped"
      case .cancelled: entry["status"] = "cancelled"
      case .failed(let stage, let reason):
        entry["status"] = "failed"
        entry["stage"] = .string(stage.rawValue)
        entry["reason"] = .string(reason)
      }
      var seconds: JSONValue.Object = [:]
      for stage in PredictionStage.allCases {
        if let value = outcome.seconds.seconds[stage] { seconds[stage.rawValue] = .number(value) }
      }
      entry["seconds"] = .object(seconds)
      return .object(entry)
    }
    func count(_ status: (CaseOutcome.Status) -> Bool) -> JSONValue { .integer(outcomes.count { status($0.status) }) }
    return [
      "done": count { $0 == .done }, "skipped": count { $0 == .skipped }, "failed": .integer(failures.count),
      "cancelled": count { $0 == .cancelled }, "seconds": .number(seconds),
      "memory_limit_bytes": .integer(memoryLimit),
      "memory_reserved_bytes": .integer(largestReservation), "cases": .array(cases),
    ]
  }

  /// Writes `prediction_report.json`.
  public func write(to file: URL) throws { try json.write(to: file) }
}
