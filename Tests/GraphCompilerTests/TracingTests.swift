import Autograd
import GraphCompiler
import TensorCore
import TensorTestSupport
import Testing

@Suite struct TracingTests {
  @Test func readingAValueIsAnErrorThatNamesThePlace() throws {
    let log = LogCollector()
    let function = compile([InputDeclaration("x", shape: [3])], log: log) { arguments in
      let doubled = arguments[0] * 2
      let first = doubled.withElements(as: Float.self) { $0[0] }
      return [first > 0 ? doubled : -doubled]
    }
    var inputs = [Tensor([-1, 2, 3] as [Float], shape: [3])]
    let outputs = function.run(&inputs).outputs
    // It runs as it is, which is said once.
    #expect(outputs[0].elements() == [2, -4, -6])
    _ = function.run(&inputs)
    #expect(log.messages.count == 1 && function.reports.isEmpty)
    let message = try #require(log.messages.first)
    #expect(message.contains("GraphCompilerTests/TracingTests.swift:12 reads the elements of %1, made by ScaleOffset"))
  }

  /// Every way of reading names the line that read, not one inside of `Tensor`.
  @Test(arguments: ["scalar", "elements", "pointer", "memory"])
  func everyWayOfReadingIsNoticed(_ way: String) throws {
    let log = LogCollector()
    let first: UInt = #line + 3
    let function = compile([InputDeclaration("x", shape: [1])], log: log) { arguments in
      switch way {
      case "scalar": return [arguments[0] * arguments[0].scalar()]
      case "elements": return [arguments[0] * arguments[0].elements()[0]]
      case "pointer": return [arguments[0] * arguments[0].withElements(as: Float.self) { $0[0] }]
      default:
        var copy = arguments[0]
        copy.withMutableElements(as: Float.self) { $0[0] *= $0[0] }
        return [copy]
      }
    }
    var inputs = [Tensor([3] as [Float], shape: [1])]
    #expect(function.run(&inputs).outputs[0].elements() == [9])
    let message = try #require(log.messages.first)
    let line = first + (["scalar": 0, "elements": 1, "pointer": 2][way] ?? 5)
    #expect(
      log.messages.count == 1
        && message.contains("GraphCompilerTests/TracingTests.swift:\(line) reads the elements of input 'x'"),
      "line \(line): \(message)")
  }

  @Test func detachedValuesAreStillKnown() {
    let function = compile([InputDeclaration("x", shape: [4])]) { [$0[0] * $0[0].detached()] }
    var inputs = [uniform([4], seed: 1)]
    let expected = inputs[0].elements().map { $0 * $0 }
    #expect(function.run(&inputs).outputs[0].elements() == expected)
    #expect(function.reports.count == 1)
  }

  /// A tape inside the traced function gives the gradients' graph; one around it is refused.
  @Test func tapesNestInside() {
    let inside = compile([InputDeclaration("x", shape: [5])]) { arguments in
      let tape = Tape()
      let x = tape.follow(arguments[0])
      let loss = (x * x).sum()
      return [loss.peeled(of: tape), tape.gradients(of: loss, for: [x])[0]]
    }
    var inputs = [uniform([5], seed: 2)]
    let outputs = inside.run(&inputs).outputs
    #expect(outputs[1].elements() == inputs[0].elements().map { $0 + $0 } && inside.reports.count == 1)

    let log = LogCollector()
    let tape = Tape()
    let weight = tape.follow(Tensor(2))
    let outside = compile([InputDeclaration("x", shape: [5])], log: log) { [$0[0] * weight] }
    let result = outside.run(&inputs).outputs[0]
    #expect(result.isFollowed && log.messages.count == 1 && log.messages[0].contains("another recorder follows"))
  }

  @Test func randomOperationsTakeTheirStateAsInput() {
    let function = compile(
      [InputDeclaration("x", shape: [2, 5, 6, 3]), InputDeclaration("state", .uint64, shape: [2])]
    ) { arguments in
      let first = arguments[0].dropout(probability: 0.4, channelwise: false, state: arguments[1], offset: 0)
      return [first.dropout(probability: 0.5, channelwise: true, state: arguments[1], offset: 180)]
    }
    let x = uniform([2, 5, 6, 3], seed: 3)
    var generator = RandomGenerator(seed: 17)
    for _ in 0..<3 {
      var inputs = [x, Tensor([generator.key, generator.position], shape: [2])]
      let expected = x.dropout(probability: 0.4, channelwise: false, generator: &generator)
        .dropout(probability: 0.5, channelwise: true, generator: &generator)
      #expect(function.run(&inputs).outputs[0].bytes == expected.bytes)
    }
    #expect(function.reports.count == 1)
  }

  /// Inputs that are outputs, twice; constants that are outputs; relabelled inputs.
  @Test func unusualOutputs() {
    let function = compile([InputDeclaration("x", shape: [6])]) { arguments in
      [arguments[0], arguments[0], Tensor([1, 2] as [Float], shape: [2]), arguments[0].reshaped(to: [2, 3])]
    }
    var inputs = [uniform([6], seed: 4)]
    let outputs = function.run(&inputs).outputs
    #expect(outputs[0].bytes == inputs[0].bytes && outputs[1].bytes == inputs[0].bytes)
    #expect(outputs[2].elements() == [1, 2])
    #expect(outputs[3].shape == [2, 3] && outputs[3].bytes == inputs[0].bytes)
    #expect(function.reports.count == 1)
  }

  /// An update reaches the argument, and nobody else who holds its memory.
  @Test func updatesAreInPlaceAndCopyOnWrite() {
    let function = CompiledFunction(
      "the test", inputs: [InputDeclaration("a", shape: [4]), InputDeclaration("b", shape: [4])], variables: [:],
      options: testOptions(), logger: LogCollector().logger
    ) { arguments in
      FunctionResult(
        outputs: [arguments[0] * arguments[1]], updates: [0: arguments[1], 1: arguments[0] + arguments[1]], note: ())
    }
    let (a, b) = (uniform([4], seed: 5), uniform([4], seed: 6))
    let (elementsOfA, elementsOfB) = (a.elements(), b.elements())
    var inputs = [a, b]
    let outputs = function.run(&inputs).outputs
    #expect(outputs[0].elements() == zip(elementsOfA, elementsOfB).map { $0 * $1 })
    #expect(inputs[0].elements() == elementsOfB)
    #expect(inputs[1].elements() == zip(elementsOfA, elementsOfB).map { $0 + $1 })
    #expect(a.elements() == elementsOfA && b.elements() == elementsOfB)
  }
}
