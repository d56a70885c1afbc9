import ArgumentParser
import Datasets
import Foundation

extension [CaseFailure] {
  /// Lists the failures on standard error and ends the command with exit code 1, if there are any.
  func reportAndThrow() throws {
    guard !isEmpty else { return }
    for failure in self { FileHandle.standardError.write(Data("FAILED \(failure)\n".utf8)) }
    FileHandle.standardError.write(Data("\(count) case(s) failed; the others are done.\n".utf8))
    throw ExitCode(1)
  }
}
