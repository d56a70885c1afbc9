import ArgumentParser
import Foundation
import TensorCore

/// How networks are evaluated.
enum Mode: String, ExpressibleByArgument, CaseIterable, Sendable {
  /// Every layer an operation of its own.
  case eager
  /// Predictions with fused operations, the fastest convolutions and packed weights kept between calls, which is what runs
  /// where nothing is compiled.
  case fused
  case compiled
  /// Compiled, with the fastest convolutions and packed weights kept between calls, which is what nnUNetv2_predict does. A
  /// training step packs anew, and its convolutions round less.
  case prediction

  var compiles: Bool { self == .compiled || self == .prediction }
}

/// Times workloads and prints one JSON object a line.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnunet-bench",
    abstract: "Times the workloads of docs/benchmarks.md and checks that their results are finite.",
    discussion: "Without --workload it runs all of them, each in a process of its own, so that peak memory is its own.")

  @Option(help: "The workload to run; give it several times for several. Names: \(workloadNames).")
  var workload: [String] = []

  @Option(help: "How to evaluate networks: as they are, with fused layers, compiled, or as a prediction does.")
  var mode: Mode = .eager

  @Option(help: "Threads; by default nnUNet_num_threads, or the processors this process may use.")
  var threads: Int?

  @Option(help: "Timed runs of each workload, after one that is not timed.")
  var runs = 3

  @Flag(help: "Print JSON; without it, a table.")
  var json = false

  func validate() throws {
    for name in workload where !workloads.contains(where: { $0.name == name }) {
      throw ValidationError("there is no workload '\(name)'; there are \(workloadNames)")
    }
    for name in workload where !chosen.contains(where: { $0.name == name }) {
      throw ValidationError(
        "workload '\(name)' is the same in every mode; --mode \(mode.rawValue) takes \(names(of: chosen))")
    }
    if let threads, threads < 1 { throw ValidationError("--threads takes a positive number") }
    if runs < 1 { throw ValidationError("--runs takes a positive number") }
  }

  func run() throws {
    // Before anything touches the shared worker pool.
    if let threads { setenv("nnUNet_num_threads", "\(threads)", 1) }
    let names = workload.isEmpty ? chosen.map(\.name) : workload
    if names.count == 1, let only = workloads.first(where: { $0.name == names[0] }) {
      try report(only.measure(runs: runs, mode: mode))
      return
    }
    var failed = false
    for name in names {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
      process.arguments =
        ["--workload", name, "--mode", mode.rawValue, "--runs", "\(runs)"]
        + (threads.map { ["--threads", "\($0)"] } ?? []) + (json ? ["--json"] : [])
      try process.run()
      process.waitUntilExit()
      failed = failed || process.terminationStatus != 0
    }
    if failed { throw ExitCode.failure }
  }

  private var chosen: [Workload] { workloads.filter { mode == .eager || $0.isCompilable } }

  private func report(_ measurements: [Measurement]) {
    for measurement in measurements { print(json ? measurement.json : measurement.text) }
  }
}

private func names(of workloads: [Workload]) -> String { workloads.map(\.name).joined(separator: ", ") }
private let workloadNames = names(of: workloads)
