/// Why a function could not be compiled. The caller's way out is to run it as it is.
public enum CompileError: Error, Hashable, CustomStringConvertible {
  /// A traced value was read, say to branch on it.
  case valueRead(value: String, place: String)
  /// A value that somebody else follows came into the traced function.
  case followedElsewhere(operation: String)
  /// What was traced does not hold together; a mistake of a pass.
  case invalidGraph(pass: String, String)
  /// The function was called with other inputs than it declares.
  case wrongInputs(String)

  public var description: String {
    switch self {
    case .valueRead(let value, let place):
      "\(place) reads the elements of \(value), which are not known while tracing; compute with tensors instead"
    case .followedElsewhere(let operation):
      "\(operation) has an input that another recorder follows; only the function's own inputs and constants may enter"
    case .invalidGraph(let pass, let problem): "the graph after \(pass) is invalid: \(problem)"
    case .wrongInputs(let problem): problem
    }
  }
}
