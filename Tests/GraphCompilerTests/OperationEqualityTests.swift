import GraphCompiler
import TensorCore
import TensorTestSupport
import Testing

/// Every operation gives the same bits compiled as at once, and where it may write over an input, there too.
@Suite struct OperationEqualityTests {
  private static func declarations(_ inputs: [Tensor]) -> [InputDeclaration] {
    inputs.enumerated().map { InputDeclaration("input\($0)", $1.elementType, shape: $1.shape) }
  }

  @Test(arguments: OperationCase.all)
  func compiledEqualsEager(_ operation: OperationCase) {
    var inputs = operation.inputs()
    let expected = operation.operation.evaluated(inputs, in: .standard)
    let log = LogCollector()
    let function = compile(Self.declarations(inputs), log: log) { operation.operation.apply($0) }
    let outputs = function.run(&inputs).outputs
    #expect(function.reports.count == 1, "\(operation.testDescription): \(log.messages)")
    #expect(isSame(outputs, expected))
  }

  @Test(arguments: OperationCase.all)
  func overwritingChangesNothing(_ operation: OperationCase) {
    let inputs = operation.inputs()
    let expected = operation.operation.evaluated(inputs, in: .standard)
    for (input, tensor) in inputs.enumerated() {
      for (position, output) in expected.enumerated()
      where operation.operation.mayOverwrite(input: input, with: position)
        && tensor.shape == output.shape && tensor.elementType == output.elementType
      {
        var copies = inputs
        copies[input].makeStorageUnique()
        var outputs = expected.map { Tensor(uninitialized: $0.shape, elementType: $0.elementType) }
        outputs[position] = copies[input]
        operation.operation.evaluate(
          copies.map(TensorView.init), into: outputs.map(MutableTensorView.init), in: .standard)
        #expect(
          isSame(outputs, expected),
          "\(operation.testDescription): output \(position) over input \(input)")
      }
    }
  }

  @Test(arguments: OperationCase.all)
  func gradientsCompileToTheSameBits(_ operation: OperationCase) {
    let inputs = operation.inputs()
    let differentiable = operation.differentiableInputs.sorted()
    guard !differentiable.isEmpty, let position = operation.differentiableOutputs.min() else { return }
    @Sendable func gradients(_ arguments: [Tensor]) -> [Tensor] { operation.gradients(arguments, position) }
    let expected = gradients(inputs)
    var arguments = inputs
    let function = compile(Self.declarations(inputs), options: exactOptions()) { gradients($0) }
    let outputs = function.run(&arguments).outputs
    #expect(isSame(outputs, expected), "\(operation.testDescription)")
  }
}
