import GraphCompiler
import Logging
import Synchronization
import TensorCore
import TensorTestSupport

/// Collects what the compiler logs.
final class LogCollector: LogHandler, Sendable {
  private let lines = Mutex<[String]>([])

  var logLevel: Logger.Level {
    get { .info }
    set {}
  }
  var metadata: Logger.Metadata {
    get { [:] }
    set {}
  }
  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { nil }
    set {}
  }

  var messages: [String] { lines.withLock { $0 } }

  func log(event: LogEvent) { lines.withLock { $0.append("\(event.message)") } }

  var logger: Logger { Logger(label: "test") { _ in self } }
}

/// Options that do not depend on the environment, with a check after every pass.
func testOptions(_ change: (inout CompilerOptions) -> Void = { _ in }) -> CompilerOptions {
  var options = CompilerOptions()
  options.verifiesEveryPass = true
  change(&options)
  return options
}

/// Without the passes that compute something in another way, with other roundings.
func exactOptions() -> CompilerOptions {
  testOptions {
    $0.disabledPasses = [
      "concatenation-removal", "activation-gradients", "statistics-in-epilogue", "normalized-loads",
      "multiply-accumulate",
    ]
  }
}

/// Whether two tensors are the same bits; comparing arrays in an expectation would list a million differences.
func isSame(_ a: [Tensor], _ b: [Tensor]) -> Bool {
  a.map(\.shape) == b.map(\.shape) && a.map(\.bytes) == b.map(\.bytes)
}

/// A compiled function of inputs with these shapes, without updates.
func compile(
  _ inputs: [InputDeclaration], _ variables: [String: VariableRange] = [:], options: CompilerOptions = testOptions(),
  log: LogCollector = LogCollector(), warnings: CompileWarnings = CompileWarnings(),
  _ body: @escaping @Sendable ([Tensor]) -> [Tensor]
) -> CompiledFunction<Void> {
  CompiledFunction(
    "the test", inputs: inputs, variables: variables, options: options, logger: log.logger, warnings: warnings
  ) {
    FunctionResult(outputs: body($0), updates: [:], note: ())
  }
}

func uniform(_ shape: Shape, seed: UInt64) -> Tensor {
  var generator = RandomGenerator(seed: seed)
  return Tensor((0..<shape.count).map { _ in 2 * generator.uniform() - 1 }, shape: shape)
}
