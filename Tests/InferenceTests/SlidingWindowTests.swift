import Datasets
import Foundation
import Inference
import TensorTestSupport
import Testing

struct SlidingWindowTests {
  @Test
  func stepsEqualReference() throws {
    guard let folder = Golden.folder("inference") else { return }
    let entries = try JSONField(contentsOf: folder.appendingPathComponent("steps.json")).elements()
    #expect(entries.count > 5)
    for entry in entries {
      let found = SlidingWindow.steps(
        imageSize: try entry.field("image_size").ints(), tileSize: try entry.field("tile_size").ints(),
        stepSize: try entry.field("tile_step_size").double())
      #expect(found == (try entry.field("steps").elements().map { try $0.ints() }))
    }
  }

  @Test
  func tilesEqualReference() throws {
    guard let folder = Golden.folder("inference") else { return }
    let entries = try JSONField(contentsOf: folder.appendingPathComponent("sliding_window.json")).elements()
    #expect(!entries.isEmpty)
    for entry in entries {
      let name = try entry.field("name").string()
      let image = try Golden.array("\(name)/x", in: folder.appendingPathComponent("sliding_window.h5"))
      let window = SlidingWindow(
        imageShape: Array(image.shape.dropFirst()), patchSize: try entry.field("patch_size").ints(),
        stepSize: try entry.field("tile_step_size").double())
      #expect(window.paddedShape == Array(try entry.field("padded_shape").ints().dropFirst()))
      let expected = try entry.field("slicers").elements().map { slicer in
        try slicer.elements().map { axis in try axis.value.int ?? axis.ints()[0] }
      }
      #expect(window.tiles.map { [$0.z, $0.y, $0.x] } == expected, "\(name)")
      #expect(window.tileCount == expected.count)
    }
  }
}
