import Datasets
import Foundation
import HDF5Files
import Inference
import NeuralNetworks
import TensorCore
import TensorTestSupport
import Testing
import Volumes

/// Real networks of nnU-Net on preprocessed images.
struct GoldenSlidingWindowTests {
  @Test(arguments: ["case0", "case1", "case2", "case3", "case4", "case5"])
  func logitsEqualReference(_ name: String) throws {
    guard let folder = Golden.folder("inference"), let networks = Golden.folder("networks") else { return }
    let entries = try JSONField(contentsOf: folder.appendingPathComponent("sliding_window.json")).elements()
    let entry = try #require(try entries.first { try $0.field("name").string() == name })
    let networkFolder = networks.appendingPathComponent(try entry.field("network").string())
    let plans = try Plans(contentsOf: networkFolder.appendingPathComponent("plans.json"))
    let network = try UNet(
      configuration: plans.configuration(named: plans.configurationNames[0]),
      datasetDescription: DatasetDescription(contentsOf: networkFolder.appendingPathComponent("dataset.json")),
      plansFile: nil)
    let state = try HDF5File.open(networkFolder.appendingPathComponent("weights.h5").path).root.group("state_dict")
    let weights = try state.names.map { name in
      let array = try state.read(name, as: Float.self)
      return (name: name, value: Tensor(array.elements, shape: Shape(array.shape)))
    }
    let parameters = try ParameterSet(layout: network.layout, loading: weights, from: "weights.h5")
    let file = folder.appendingPathComponent("sliding_window.h5")
    let x = try Golden.array("\(name)/x", in: file)
    let image = VoxelGrid(shape: x.shape, elements: x.elements)
    let counts = try Golden.array("\(name)/n_predictions", in: file).elements
    for (mirrors, dataset) in [(true, "logits_tta"), (false, "logits_no_tta")] {
      let expected = try Golden.array("\(name)/\(dataset)", in: file)
      for precision in [LogitsPrecision.float32, .reference] {
        let predictor = SlidingWindowPredictor(
          network: network, parameterSets: [parameters], patchSize: try entry.field("patch_size").ints(),
          allowedMirroringAxes: mirrors ? try entry.field("mirror_axes").ints() : [],
          stepSize: try entry.field("tile_step_size").double(), usesGaussian: try entry.field("use_gaussian").bool(),
          precision: precision)
        let logits = try predictor.predictLogits(of: image)
        #expect(logits.shape == expected.shape)
        let voxels = counts.count
        var (worst, differing, sameLabels): (Float, Int, Int) = (0, 0, 0)
        for voxel in 0..<voxels {
          var best = (found: 0, expected: 0)
          for head in 0..<expected.shape[0] {
            let (a, b) = (logits.elements[head * voxels + voxel], expected.elements[head * voxels + voxel])
            // Where only corners of tiles contribute, nnU-Net's float16 weights have few digits left: the last bit of
            // a convolution can turn a sum to the next step, which may be as wide as 1.
            if counts[voxel] > 0.01 { worst = max(worst, abs(a - b)) }
            if abs(a - b) > 1e-2 { differing += 1 }
            if a > logits.elements[best.found * voxels + voxel] { best.found = head }
            if b > expected.elements[best.expected * voxels + voxel] { best.expected = head }
          }
          if best.found == best.expected { sameLabels += 1 }
        }
        let agreement = Double(sameLabels) / Double(voxels)
        let note =
          "\(name) \(dataset) \(precision): worst \(worst), more than 0.01 off \(differing), same labels \(agreement)"
        #expect(worst <= 1e-2, "\(note)")
        if precision == .reference { #expect(differing * 10_000 <= logits.elements.count, "\(note)") }
        #expect(agreement >= (precision == .reference ? 0.9999 : 0.995), "\(note)")
      }
    }
  }
}
