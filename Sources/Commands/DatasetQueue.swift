import ArgumentParser

/// The data sets that a command works on: one that fails is left out of the following steps, the others go on.
struct DatasetQueue {
  private(set) var names: [String]
  private var hasFailures = false

  init(_ names: [String]) { self.names = names }

  /// Runs a step for every data set that is still in order.
  mutating func forEach(_ body: (String) throws -> Void) {
    names = names.filter { name in
      do {
        try body(name)
        return true
      } catch {
        // An exit code stands for what has been reported already.
        if !(error is ExitCode) { printError("FAILED \(name): \(error)") }
        hasFailures = true
        return false
      }
    }
  }

  /// - Throws: `ExitCode(1)` if a data set failed.
  func finish() throws {
    if hasFailures { throw ExitCode(1) }
  }
}
