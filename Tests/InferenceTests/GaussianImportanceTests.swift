import Foundation
import HDF5Files
import Inference
import TensorTestSupport
import Testing

struct GaussianImportanceTests {
  @Test(arguments: ["128x96", "12x40x24", "16x32x32", "40x56x40", "56x40", "5x5", "7x13x9"])
  func equalsReference(_ name: String) throws {
    guard let folder = Golden.folder("inference") else { return }
    let file = folder.appendingPathComponent("gaussian.h5")
    let tile = name.split(separator: "x").compactMap { Int($0) }
    for (precision, dataset) in [(LogitsPrecision.float32, "float32_scale10"), (.reference, "float16_scale10")] {
      let expected = try Golden.array("\(name)/\(dataset)", in: file)
      let found = GaussianImportance(tileShape: tile, precision: precision)
      #expect(expected.shape == tile && found.weights.count == expected.elements.count)
      var worst: Float = 0
      for (a, b) in zip(found.weights, expected.elements) { worst = max(worst, abs(a - b) / b) }
      // Float32: its last bit. Float16: every weight is the same.
      #expect(worst <= (precision == .float32 ? 2e-7 : 0), "\(name) \(dataset): relative difference \(worst)")
    }
  }
}
