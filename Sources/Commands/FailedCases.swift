import ArgumentParser
import Datasets

extension [CaseFailure] {
  /// Lists the failures on standard error and ends the command with exit code 1, if there are any.
  func reportAndThrow() throws {
    guard !isEmpty else { return }
    for failure in self { printError("FAILED \(failure)") }
    printError("\(count) case(s) failed; the others are done.")
    throw ExitCode(1)
  }
}
