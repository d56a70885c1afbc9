import Foundation
import GraphCompiler
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

/// The graphs of a small U-Net as traced and after all passes, compared with `PrintedGraphs/*.txt`.
///
/// After a change that is meant, `nnUNet_renew_printed_graphs=1 swift test --filter PrintedGraphTests` writes the files
/// again; what changed is then seen in their difference.
@Suite struct PrintedGraphTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("PrintedGraphs")
  private static let isRenewing = ProcessInfo.processInfo.environment["nnUNet_renew_printed_graphs"] == "1"

  private static let options: CompilerOptions = {
    var options = CompilerOptions()
    options.verifiesEveryPass = true
    return options
  }()

  /// Two stages of one convolution block each.
  private static let network = UNet(
    UNetArchitecture(
      kind: .plainConvUNet, dimensions: 2,
      stages: [
        .init(features: 4, kernelSize: [3, 3], stride: [1, 1], blockCount: 1),
        .init(features: 8, kernelSize: [3, 3], stride: [2, 2], blockCount: 1),
      ], decoderBlockCounts: [1]), inputChannels: 1, headCount: 2)
  private static let batch = VariableRange(1...4)
  private static let extents = [VariableRange(8...16, multipleOf: 2), VariableRange(8...16, multipleOf: 2)]

  private static func parameters() -> ParameterSet {
    var generator = RandomGenerator(seed: 1)
    return network.initialParameters(&generator)
  }

  @Test func evaluation() throws {
    let compiled = CompiledForward(
      Self.network, .logits, batch: Self.batch, extents: Self.extents, options: Self.options)
    _ = compiled(TestInput.uniform([2, 8, 12, 1]), Self.parameters())
    try Self.compare(compiled.graphs, "evaluation")
  }

  @Test func trainingStep() throws {
    // The order may depend on scratch memory, so on the processor and its threads.
    var options = Self.options
    options.disabledPasses = ["scheduling"]
    let step = CompiledTrainingStep(
      Self.network, loss: DeepSupervisionLoss(loss: CompoundLoss.diceAndCrossEntropy(batchDice: false), weights: [1]),
      optimizer: SGD(), maximumNorm: 12, batch: Self.batch, extents: Self.extents, targetChannels: nil,
      options: options)
    var (parameters, generator) = (Self.parameters(), RandomGenerator(seed: 2))
    var state = SGD.State(parameterCount: Self.network.layout.trainable.count)
    _ = step(
      input: TestInput.uniform([2, 8, 12, 1]), targets: [TestInput.labels([2, 8, 12], in: 0...1)],
      parameters: &parameters, state: &state, learningRate: 0.01, generator: &generator)
    try Self.compare(step.graphs, "training-step")
  }

  /// The graphs that docs/graph-compiler.md shows are these; inputs that are parameters are left out there.
  @Test func documentation() throws {
    let page = Self.folder.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("docs/graph-compiler.md")
    let text = try String(contentsOf: page, encoding: .utf8)
    for stage in ["traced", "final"] {
      let graph = try String(contentsOf: Self.folder.appendingPathComponent("evaluation.\(stage).txt"), encoding: .utf8)
      let lines = graph.split(separator: "\n").filter { !$0.hasPrefix("input") || $0.contains(" image: ") }
      let block = lines.map { "    \($0)" }.joined(separator: "\n")
      #expect(text.contains(block), "docs/graph-compiler.md does not show evaluation.\(stage).txt:\n\(block)")
    }
  }

  private static func compare(_ graphs: [(traced: Graph, final: Graph)], _ name: String) throws {
    #expect(graphs.count == 1)
    let graph = try #require(graphs.first)
    for (stage, text) in [("traced", graph.traced.text()), ("final", graph.final.text())] {
      let file = folder.appendingPathComponent("\(name).\(stage).txt")
      if isRenewing { try text.write(to: file, atomically: true, encoding: .utf8) }
      let expected = try String(contentsOf: file, encoding: .utf8)
      let (lines, others) = (text.split(separator: "\n"), expected.split(separator: "\n"))
      let difference = zip(lines, others).first { $0 != $1 }
      #expect(
        text == expected,
        """
        \(name).\(stage).txt: \(lines.count) lines, expected \(others.count); the first that differs
        is       \(difference?.0 ?? "at the end")
        expected \(difference?.1 ?? "at the end")
        """)
    }
  }
}
