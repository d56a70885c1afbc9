import Foundation

/// How many cases a command works on at a time where its option is not given: `nnUNet_def_n_proc` if it is a positive
/// number, else `nil` for one a thread.
var defaultProcessCount: Int? {
  ProcessInfo.processInfo.environment["nnUNet_def_n_proc"].flatMap(Int.init).flatMap { $0 > 0 ? $0 : nil }
}
