import Foundation
import TensorCore

/// Something to time. A new family gets a file of its own and a line in `workloads`.
struct Workload: Sendable {
  let name: String
  /// What is timed on its own, each with its addition to the name.
  let parts: [Part]
  /// Whether there is something to compile.
  let isCompilable: Bool

  struct Part: Sendable {
    let name: String
    /// Makes the inputs; what it returns is run and timed.
    let prepare: @Sendable (Mode) throws -> PreparedWorkload

    init(name: String, prepare: @escaping @Sendable () throws -> PreparedWorkload) {
      self.name = name
      self.prepare = { _ in try prepare() }
    }

    init(name: String, preparingFor prepare: @escaping @Sendable (Mode) throws -> PreparedWorkload) {
      self.name = name
      self.prepare = prepare
    }
  }

  init(name: String, prepare: @escaping @Sendable () throws -> PreparedWorkload) {
    self.init(name: name, parts: [Part(name: "", prepare: prepare)])
  }

  /// A workload that can be compiled.
  init(name: String, preparingFor prepare: @escaping @Sendable (Mode) throws -> PreparedWorkload) {
    self.name = name
    parts = [Part(name: "", preparingFor: prepare)]
    isCompilable = true
  }

  init(name: String, parts: [Part]) {
    self.name = name
    self.parts = parts
    isCompilable = false
  }

  func measure(runs: Int, mode: Mode) throws -> [Measurement] {
    try parts.map { try measure($0, runs: runs, mode: mode) }
  }

  private func measure(_ part: Part, runs: Int, mode: Mode) throws -> Measurement {
    let prepared = try part.prepare(mode)
    try prepared.run()
    var seconds: [Double] = []
    for _ in 0..<runs {
      let clock = ContinuousClock()
      let duration = try clock.measure { try prepared.run() }
      seconds.append(Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18)
    }
    return Measurement(
      workload: name + part.name, mode: mode.rawValue, threads: WorkerPool.shared.threadCount, seconds: seconds,
      gflop: prepared.gflop)
  }
}

struct PreparedWorkload {
  /// Arithmetic of the direct method, in 10^9 operations; 0 where counting makes no sense.
  let gflop: Double
  /// One run; throws if the result is wrong.
  let run: () throws -> Void
}

struct WrongResult: Error, CustomStringConvertible {
  let description: String
}

struct Measurement {
  let workload: String
  let mode: String
  let threads: Int
  let seconds: [Double]
  let gflop: Double

  var median: Double {
    let sorted = seconds.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
  var minimum: Double { seconds.min() ?? 0 }

  var json: String {
    """
    {"workload": "\(workload)", "mode": "\(mode)", "threads": \(threads), "seconds_median": \(median), \
    "seconds_min": \(minimum), "gflop": \(gflop), "peak_rss_mb": \(peakResidentMegabytes())}
    """
  }

  var text: String {
    let rate = gflop > 0 ? String(format: "%8.1f GFLOP/s", gflop / median) : ""
    return workload.padding(toLength: max(28, workload.count), withPad: " ", startingAt: 0)
      + String(format: "%9.3f s (best %.3f)  ", median, minimum) + rate
      + String(format: "  peak %.0f MB", peakResidentMegabytes())
  }
}

/// The most memory this process ever had resident, in 2^20 bytes.
func peakResidentMegabytes() -> Double {
  var usage = rusage()
  #if canImport(Glibc)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
  #else
    getrusage(RUSAGE_SELF, &usage)
    return Double(usage.ru_maxrss) / (1024 * 1024)
  #endif
}

/// All workloads, in the order they run.
let workloads: [Workload] =
  forwardWorkloads + trainingWorkloads + convolutionWorkloads + preprocessingWorkloads + augmentationWorkloads
  + operationWorkloads
