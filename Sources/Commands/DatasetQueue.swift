import ArgumentParser

/// The data sets that a command works on: one that fails is left out of the following steps, the others go on.
package struct DatasetQueue {
  package private(set) var names: [String]
  private var hasFailures = false

  package init(_ names: [String]) { self.names = names }

  /// Runs a step for every data set that is still in order.
  package mutating func forEach(_ body: (String) throws -> Void) {
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
  package func finish() throws {
    if hasFailures { throw ExitCode(1) }
  }
}
