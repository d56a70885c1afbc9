#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Writes a line where it does not mix with a command's output.
func printError(_ text: String) {
  let bytes = Array((text.hasSuffix("\n") ? text : text + "\n").utf8)
  _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
}
