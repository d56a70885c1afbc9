import Foundation

/// Prints a line on standard error, after what was printed on standard output before: in a log file that takes both,
/// lines stay in order.
func printError(_ text: String) {
  fflush(nil)
  FileHandle.standardError.write(Data("\(text)\n".utf8))
}
