import ArgumentParser
import Foundation

/// How many cases a command works on at a time.
struct ConcurrencyArgument: ParsableArguments {
  @Option(
    name: .customLong("np", withSingleDash: true),
    help: ArgumentHelp(
      "How many cases are worked on at a time. Default: nnUNet_def_n_proc, else one a thread.", valueName: "np"))
  private var given: Int?

  /// `nil` for one a thread.
  var threads: Int? { given ?? defaultProcessCount }

  func validate() throws {
    if let given, given < 1 { throw ValidationError("-np \(given): it must be positive.") }
  }
}

/// How many cases a command works on at a time where its option is not given: `nnUNet_def_n_proc` if it is a positive
/// number, else `nil` for one a thread.
var defaultProcessCount: Int? {
  ProcessInfo.processInfo.environment["nnUNet_def_n_proc"].flatMap(Int.init).flatMap { $0 > 0 ? $0 : nil }
}
