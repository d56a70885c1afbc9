import Autograd
import TensorCore
import TensorTestSupport

extension OperationCase {
  /// The gradients of the sum of one output for all differentiable inputs.
  func gradients(_ arguments: [Tensor], _ output: Int) -> [Tensor] {
    let tape = Tape()
    var followed = arguments
    for input in differentiableInputs { followed[input] = tape.follow(arguments[input]) }
    let value = operation.apply(followed)[output]
    return tape.gradients(of: value.sum(), for: differentiableInputs.sorted().map { followed[$0] })
  }
}
