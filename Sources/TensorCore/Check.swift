/// Stops the program with a message that names the operation when a caller broke its contract.
///
/// Unlike `precondition`, the message survives optimised builds. Input from outside the program never comes here:
/// it throws typed errors.
@inlinable
@inline(__always)
public func check(
  _ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String,
  file: StaticString = #fileID, line: UInt = #line
) {
  if !condition() { checkFailed(message(), file: file, line: line) }
}

@usableFromInline
@inline(never)
func checkFailed(_ message: String, file: StaticString, line: UInt) -> Never {
  fatalError(message, file: file, line: line)
}
