import Datasets
import Foundation
import HDF5Files
import Inference
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing
import Training

/// The counts of nnU-Net's own validation step, after its own training steps.
@Suite struct GoldenValidationTests {
  @Test(arguments: ["labels3d", "regions_ignore2d"]) func countsOfTheValidationStep(name: String) throws {
    guard let folder = Golden.folder("training/\(name)") else { return }
    let meta = try JSONValue(contentsOf: folder.appendingPathComponent("meta.json"))
    let plans = try Plans(contentsOf: folder.appendingPathComponent("plans.json"))
    let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
    let labels = try LabelManager(description)
    let data = try HDF5File.open(folder.appendingPathComponent("data.h5").path).root
    let network = try UNet(
      configuration: plans.configuration(named: #require(meta["configuration"]?.string)),
      datasetDescription: description, plansFile: plans.file)
    let lastStep = try #require(meta["steps"]?.array?.count)
    let group = try data.group("params_after_step_\(lastStep)")
    let state = try group.names.map { name in
      let array = try group.read(name, as: Float.self)
      return (name: name, value: Tensor(array.elements, shape: Shape(array.shape)))
    }
    let parameters = try ParameterSet(
      layout: network.layout, loading: state, from: name)

    let images = try data.read("validation_batch/data", as: Float.self)
    let logits = network.predict(
      Tensor(Self.channelsLast(images.elements, images.shape), shape: Self.channelsLast(images.shape)), parameters)
    var dice = PseudoDice(labels: labels)
    if labels.hasRegions {
      let target = try data.read("validation_batch/target/0", as: UInt8.self)
      dice.add(
        logits: logits,
        target: Tensor(Self.channelsLast(target.elements, target.shape), shape: Self.channelsLast(target.shape)))
    } else {
      let target = try data.read("validation_batch/target/0", as: Int16.self)
      dice.add(
        logits: logits,
        target: Tensor(target.elements, shape: Shape([target.shape[0]] + target.shape.dropFirst(2))))
    }
    for (key, counts) in [
      ("tp_hard", dice.truePositives), ("fp_hard", dice.falsePositives), ("fn_hard", dice.falseNegatives),
    ] {
      let expected = try #require(meta["validation_step"]?[key]?.array).compactMap(\.double)
      try #require(expected.count == counts.count && !counts.isEmpty)
      for (actual, wanted) in zip(counts, expected) {
        // One voxel or one per cent: single voxels at a class boundary turn with rounding.
        #expect(
          abs(Double(actual) - wanted) <= max(1, 0.01 * wanted), "\(name) \(key): \(counts), expected \(expected)")
      }
    }
  }

  /// `[N, C, spatial]` to `[N, spatial, C]`.
  private static func channelsLast(_ shape: [Int]) -> Shape { Shape([shape[0]] + shape.dropFirst(2) + [shape[1]]) }

  private static func channelsLast<Element>(_ elements: [Element], _ shape: [Int]) -> [Element] {
    let voxels = shape.dropFirst(2).reduce(1, *)
    return (0..<elements.count).map { index in
      let (sample, rest) = index.quotientAndRemainder(dividingBy: voxels * shape[1])
      let (voxel, channel) = rest.quotientAndRemainder(dividingBy: shape[1])
      return elements[(sample * shape[1] + channel) * voxels + voxel]
    }
  }
}
