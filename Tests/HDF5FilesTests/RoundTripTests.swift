import Foundation
import HDF5Files
import Testing

@Suite struct RoundTripTests {
  private func roundTrip<Element: HDF5Element & Equatable>(_ values: [Element], _ folder: TemporaryFolder) throws {
    let path = folder.path("\(Element.hdf5Kind).h5")
    try HDF5File.create(atomicallyAt: path) { file in
      try file.root.write("plain", values, shape: [values.count])
      try file.root.write("packed", values, shape: [1, values.count], compression: 4, checksum: true)
      try file.root.write("single", values[0])
    }
    let root = try HDF5File.open(path).root
    #expect(try root.names == ["plain", "packed", "single"])
    let plain = try root.read("plain", as: Element.self)
    #expect(plain.elements == values)
    #expect(plain.shape == [values.count])
    #expect(try root.read("packed", as: Element.self).elements == values)
    #expect(try root.shape(of: "packed") == [1, values.count])
    #expect(try root.read("single", as: Element.self).elements == [values[0]])
    #expect(try root.shape(of: "single") == [])
  }

  @Test func everyElementType() throws {
    let folder = try TemporaryFolder()
    try roundTrip([1.5, -.infinity, Float.leastNonzeroMagnitude, 0.1] as [Float], folder)
    try roundTrip([1.5, .infinity, .leastNonzeroMagnitude, 0.1] as [Double], folder)
    try roundTrip([.min, .max, 0, 3] as [Int8], folder)
    try roundTrip([.min, .max, 0, 3] as [Int16], folder)
    try roundTrip([.min, .max, 0, 3] as [Int32], folder)
    try roundTrip([.min, .max, 0, 3] as [Int64], folder)
    try roundTrip([.min, .max, 0, 3] as [UInt8], folder)
    try roundTrip([.min, .max, 0, 3] as [UInt16], folder)
    try roundTrip([.min, .max, 0, 3] as [UInt32], folder)
    try roundTrip([.min, .max, 0, 3] as [UInt64], folder)
    try roundTrip([.min, .max, 0, 3] as [Int], folder)
  }

  @Test func numbersConvertOnReading() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("a.h5")
    try HDF5File.create(atomicallyAt: path) { file in
      try file.root.write("small", [-3, 0, 127] as [Int16], shape: [3])
      try file.root.write("large", [300] as [Int16], shape: [1])
      try file.root.write("real", [2.5, 1e30] as [Double], shape: [2])
      try file.root.write("huge", [1e300] as [Double], shape: [1])
    }
    let root = try HDF5File.open(path).root
    #expect(try root.read("small", as: Int8.self).elements == [-3, 0, 127])
    #expect(try root.read("small", as: Float.self).elements == [-3, 0, 127])
    #expect(try root.read("real", as: Float.self).elements == [2.5, 1e30])
    #expect(kind { _ = try root.read("small", as: UInt8.self) } == .outOfRange)
    #expect(kind { _ = try root.read("large", as: Int8.self) } == .outOfRange)
    #expect(kind { _ = try root.read("huge", as: Float.self) } == .outOfRange)
    #expect(kind { _ = try root.read("real", as: Int32.self) } == .wrongType)
  }

  @Test(arguments: [HDF5Storage.plain, HDF5Storage(chunk: [2, 3, 4], compression: 1, checksum: true)])
  func boxes(storage: HDF5Storage) throws {
    let folder = try TemporaryFolder()
    let path = folder.path("boxes.h5")
    let shape = [5, 7, 9]
    let values = (0..<5 * 7 * 9).map { Float($0) }
    try HDF5File.create(atomicallyAt: path) { file in
      let dataset = try file.root.createGroup("deep/down").createDataset(
        "x", of: Float.self, shape: shape, storage: storage)
      for z in 0..<5 {
        try dataset.write(Array(values[z * 63..<(z + 1) * 63]), offset: [z, 0, 0], count: [1, 7, 9])
      }
    }
    let dataset = try HDF5File.open(path).root.group("deep").dataset("down/x")
    #expect(try dataset.read(as: Float.self).elements == values)
    let offset = [1, 2, 3]
    let count = [3, 4, 2]
    var expected: [Float] = []
    for z in 0..<3 { for y in 0..<4 { for x in 0..<2 { expected.append(Float(((z + 1) * 7 + y + 2) * 9 + x + 3)) } } }
    let box = try dataset.read(as: Float.self, offset: offset, count: count)
    #expect(box.shape == count)
    #expect(box.elements == expected)
    var memory = [Double](repeating: -1, count: 24)
    try memory.withUnsafeMutableBufferPointer { try dataset.read(into: $0, offset: offset, count: count) }
    #expect(memory == expected.map(Double.init))
    #expect(try dataset.read(as: Float.self, offset: [5, 0, 0], count: [0, 7, 9]).elements.isEmpty)
    #expect(kind { _ = try dataset.read(as: Float.self, offset: [3, 0, 0], count: [3, 1, 1]) } == .wrongShape)
    #expect(kind { _ = try dataset.read(as: Float.self, offset: [-1, 0, 0], count: [1, 1, 1]) } == .wrongShape)
    #expect(kind { _ = try dataset.read(as: Float.self, offset: [0, 0, .max], count: [1, 1, 2]) } == .wrongShape)
    #expect(kind { _ = try dataset.read(as: Float.self, offset: [0], count: [1]) } == .wrongShape)
  }

  @Test func automaticChunksAreSmall() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("chunks.h5")
    try HDF5File.create(atomicallyAt: path) { file in
      let dataset = try file.root.createDataset(
        "x", of: Float.self, shape: [1, 150, 200, 250], storage: HDF5Storage(compression: 1))
      let chunk = try #require(dataset.chunk)
      #expect(chunk.reduce(4, *) <= 256 << 10)
      #expect(chunk.reduce(4, *) >= 64 << 10)
      let empty = try file.root.createDataset(
        "empty", of: Float.self, shape: [0, 3], storage: HDF5Storage(compression: 1, checksum: true))
      #expect(empty.count == 0)
    }
    let root = try HDF5File.open(path).root
    #expect(try root.read("empty", as: Float.self).shape == [0, 3])
    // Never written: reads as zeros.
    #expect(try root.read("x", as: Float.self, offset: [0, 9, 9, 9], count: [1, 1, 2, 1]).elements == [0, 0])
  }

  @Test func attributes() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("attributes.h5")
    let long = String(repeating: "nodule é ", count: 100_000)
    try HDF5File.create(atomicallyAt: path) { file in
      let root = file.root
      try root.setAttribute("text", "straße")
      try root.setAttribute("long", long)
      try root.setAttribute("empty", "")
      try root.setAttribute("list", ["a", "", "ccc"])
      try root.setAttribute("number", 0.1)
      try root.setAttribute("count", 7)
      try root.setAttribute("axes", [0, 1, 2])
      try root.setAttribute("none", [Double]())
      try root.setAttribute("number", 0.25)
      let group = try root.createGroup("g")
      try group.write("x", [1] as [Float], shape: [1])
      try group.dataset("x").setAttribute("unit", "mm")
    }
    let root = try HDF5File.open(path).root
    #expect(try root.attributeNames == ["axes", "count", "empty", "list", "long", "none", "number", "text"])
    #expect(try root.attribute("text", as: String.self) == "straße")
    #expect(try root.attribute("long", as: String.self) == long)
    #expect(try root.attribute("empty", as: String.self) == "")
    #expect(try root.attributeStrings("list") == ["a", "", "ccc"])
    #expect(try root.attribute("number", as: Double.self) == 0.25)
    #expect(try root.attribute("count", as: Int.self) == 7)
    #expect(try root.attribute("count", as: Double.self) == 7)
    #expect(try root.attributeArray("axes", as: Int.self).elements == [0, 1, 2])
    #expect(try root.attributeArray("none", as: Double.self).elements == [])
    #expect(try root.dataset("g/x").attribute("unit", as: String.self) == "mm")
    #expect(root.hasAttribute("text"))
    #expect(!root.hasAttribute("absent"))
    #expect(kind { _ = try root.attribute("absent", as: Int.self) } == .missing)
    #expect(kind { _ = try root.attribute("text", as: Int.self) } == .wrongType)
    #expect(kind { _ = try root.attribute("count", as: String.self) } == .wrongType)
    #expect(kind { _ = try root.attribute("axes", as: Int.self) } == .wrongShape)
  }

  @Test func aliases() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("aliases.h5")
    try HDF5File.create(atomicallyAt: path) { file in
      let group = try file.root.createGroup("state_dict")
      try group.write("conv.weight", [1, 2] as [Float], shape: [2])
      try group.createAlias("all_modules.0.weight", of: "conv.weight")
    }
    let group = try HDF5File.open(path).root.group("state_dict")
    #expect(try group.names == ["conv.weight", "all_modules.0.weight"])
    #expect(try group.read("all_modules.0.weight", as: Float.self).elements == [1, 2])
  }

  @Test func sameContentSameBytes() throws {
    let folder = try TemporaryFolder()
    for name in ["a.h5", "b.h5"] {
      try HDF5File.create(atomicallyAt: folder.path(name)) { file in
        try file.root.createGroup("g").write("x", [1, 2, 3] as [Float], shape: [3], compression: 3, checksum: true)
        try file.root.setAttribute("text", "same")
      }
      Thread.sleep(forTimeInterval: 1.1)
    }
    #expect(
      try Data(contentsOf: folder.url.appendingPathComponent("a.h5"))
        == Data(contentsOf: folder.url.appendingPathComponent("b.h5")))
  }

  @Test func manyThreads() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path("threads.h5")
    let values = (0..<40_000).map { Float($0) }
    try HDF5File.create(atomicallyAt: path) { file in
      try file.root.write("x", values, shape: [40, 1000], compression: 1)
    }
    let root = try HDF5File.open(path).root
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for row in 0..<40 {
        group.addTask {
          try root.read("x", as: Float.self, offset: [row, 0], count: [1, 1000]).elements
            == (0..<1000).map { Float(row * 1000 + $0) }
        }
      }
      for try await isEqual in group { #expect(isEqual) }
    }
  }
}

/// The kind of HDF5 error that `body` throws, or `nil`.
func kind(_ body: () throws -> Void) -> HDF5Error.Kind? {
  do {
    try body()
    return nil
  } catch let error as HDF5Error {
    return error.kind
  } catch {
    return nil
  }
}
