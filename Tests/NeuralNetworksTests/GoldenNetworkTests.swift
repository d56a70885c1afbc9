import Datasets
import HDF5Files
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing

/// Networks with PyTorch's weights give PyTorch's outputs.
@Suite struct GoldenNetworkTests {
  @Test(arguments: GoldenNetwork.names)
  func namesShapesAndOrder(_ name: String) throws {
    guard let golden = try GoldenNetwork(name) else { return }
    let layout = golden.network.layout
    #expect(layout.trainableNames == golden.strings("parameter_order"))
    #expect(layout.stateNames.map(\.name) == golden.strings("state_dict_order"))
    #expect(layout.trainableCount == golden.meta["n_parameters"]?.int)
    let aliases = golden.meta["aliases"]?.object ?? [:]
    #expect(layout.aliases == Dictionary(uniqueKeysWithValues: aliases.map { ($0.key, $0.value.string ?? "") }))
    for state in layout.stateNames {
      let expected = golden.meta["state_shapes"]?[state.name]?.array?.compactMap(\.int)
      #expect(layout.entries[state.entry].shape.extents == expected, "\(state.name)")
    }
  }

  @Test(arguments: GoldenNetwork.names)
  func evaluation(_ name: String) throws {
    guard let golden = try GoldenNetwork(name) else { return }
    let output = golden.network.predict(try golden.data.activations("x"), try golden.parameters())
    expectClose(output, try golden.data.activations("eval_output"), relativeToMaximum: 1e-5 * 10, name)
  }

  @Test(arguments: GoldenNetwork.names)
  func encoderSkips(_ name: String) throws {
    guard let golden = try GoldenNetwork(name), golden.data.contains("eval_encoder_skips") else { return }
    var context = ForwardContext.evaluation(try golden.parameters())
    let skips = golden.network.encode(try golden.data.activations("x"), &context)
    let expected = try golden.data.group("eval_encoder_skips")
    for level in try expected.names {
      let array = try expected.activations(level)
      let skip = skips[try #require(Int(level))]
      let first = Tensor(Array(skip.elements().prefix(array.count)), shape: array.shape)
      expectClose(first, array, relativeToMaximum: 1e-4, "\(name) skip \(level)")
    }
  }

  @Test(arguments: GoldenNetwork.names)
  func training(_ name: String) throws {
    guard let golden = try GoldenNetwork(name) else { return }
    var parameters = try golden.parameters()
    var context = ForwardContext(parameters: parameters, mode: .training, generator: RandomGenerator(seed: 1))
    if golden.data.contains("dropout_masks") {
      let masks = try golden.data.group("dropout_masks")
      for mask in try masks.names { context.recordedDropoutFactors[mask] = try masks.tensor(mask) }
    }
    let heads = golden.network(try golden.data.activations("x"), &context)
    let expected = try golden.data.group("train_outputs")
    #expect(try heads.count == expected.names.count)
    for (level, head) in heads.enumerated() {
      expectClose(head, try expected.activations("\(level)"), relativeToMaximum: 1e-4, "\(name) head \(level)")
    }
    // Recorded masks stand in for all draws.
    #expect(context.generator.position == 0)
    parameters.apply(context.bufferUpdates)
    guard golden.data.contains("running_stats_after_train_forward") else {
      #expect(context.bufferUpdates.isEmpty)
      return
    }
    let statistics = try golden.data.group("running_stats_after_train_forward")
    for buffer in try statistics.names {
      let value = try #require(parameters[buffer], "\(buffer)")
      if buffer.hasSuffix("num_batches_tracked") {
        #expect(value.withElements(as: UInt64.self) { Float($0[0]) } == (try statistics.tensor(buffer).scalar()))
      } else {
        expectClose(value, try statistics.tensor(buffer), absolute: 1e-5, relativeToMaximum: 1e-5, buffer)
      }
    }
  }

  @Test func withoutDeepSupervisionOnlyTheFinestHead() throws {
    guard let golden = try GoldenNetwork("resenc2d") else { return }
    var context = ForwardContext.evaluation(try golden.parameters())
    let x = try golden.data.activations("x")
    let all = golden.network(x, &context, deepSupervision: true)
    let finest = golden.network(x, &context, deepSupervision: false)
    #expect(finest.count == 1 && all.count == 3)
    #expect(finest[0].isBitwiseEqual(to: all[0]))
  }
}
