import Foundation
import HDF5Files
import TensorTestSupport
import Testing

/// Files written by Python's h5py: contiguous and compressed data, the old file format, attributes of fixed length.
@Suite struct GoldenFileTests {
  @Test func weights() throws {
    guard let folder = Golden.folder("networks/plain2d") else { return }
    let file = folder.appendingPathComponent("weights.h5")
    let group = try HDF5File.open(file.path).root.group("state_dict")
    let names = try group.names
    #expect(names.count == 188)
    #expect(names == names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
    let (shape, elements) = try Golden.array("state_dict/encoder.stages.0.0.convs.0.conv.weight", in: file)
    #expect(shape == [8, 3, 3, 3])
    #expect(elements.prefix(4) == [0.23160825669765472, 0.004616343416273594, 0.0211720522493124, 0.5321938395500183])
    #expect(abs(elements.reduce(0) { $0 + Double($1) } + 4.086706706788391) < 1e-12)
    let alias = try group.read("decoder.encoder.stages.0.0.convs.0.all_modules.0.weight", as: Float.self)
    #expect(alias.elements == elements)
  }

  @Test func compressedImage() throws {
    guard let folder = Golden.folder("networks/plain2d") else { return }
    let root = try HDF5File.open(folder.appendingPathComponent("io.h5").path).root
    let dataset = try root.dataset("x")
    #expect(dataset.chunk == [1, 2, 28, 40])
    #expect(dataset.elementDescription == "float32")
    let whole = try dataset.read(as: Float.self)
    #expect(whole.shape == [2, 3, 56, 40])
    #expect(whole.elements.prefix(3) == [0.24098247289657593, 0.13677294552326202, 0.24045276641845703])
    let box = try dataset.read(as: Float.self, offset: [1, 1, 20, 0], count: [1, 2, 36, 40])
    var expected: [Float] = []
    for channel in 4...5 {
      let start = (channel * 56 + 20) * 40
      expected += whole.elements[start..<start + 36 * 40]
    }
    #expect(box.elements == expected)
    #expect(try dataset.attribute("numpy_dtype", as: String.self) == "float32")
  }

  @Test func labelsAndAttributes() throws {
    guard let folder = Golden.folder("losses") else { return }
    let root = try HDF5File.open(folder.appendingPathComponent("losses.h5").path).root
    #expect(try root.names.count == 31)
    let target = try root.dataset("ce_only/target")
    #expect(target.elementDescription == "int16")
    #expect(target.shape == [2, 1, 6, 8, 7])
    #expect(try target.read(as: Int16.self).elements.reduce(0) { $0 + Int($1) } == 455)
    #expect(try target.read(as: UInt8.self).elements.reduce(0) { $0 + Int($1) } == 455)
    #expect(try target.attributeNames == ["axes", "numpy_dtype"])
    #expect(try target.attribute("axes", as: String.self) == "N,1 or region(+ignore last),spatial")
  }
}
