import Archives
import Foundation
import HDF5Files
import TensorTestSupport
import Testing

@Suite struct NumPyTests {
  @Test func filesFromNumPy() throws {
    let half = try NumPyArray(npy: PythonFixtures.npyHalf, name: "half")
    #expect(half.kind == .float16)
    #expect(try half.elements(as: Float.self) == [1.5, -2, 65504, 0x1p-24, .infinity])
    let big = try NumPyArray(npy: PythonFixtures.npyBigEndianFortran, name: "big")
    #expect(big.shape == [2, 3])
    #expect(try big.elements(as: Float.self) == [1, 2, 3, 4, 5, 6])
    let fortran = try NumPyArray(npy: PythonFixtures.npyFortran, name: "fortran")
    #expect(fortran.shape == [2, 3, 4])
    #expect(try fortran.elements(as: Int32.self) == (0..<24).map { Int32($0) })
    #expect(try NumPyArray(npy: PythonFixtures.npyBool, name: "bool").elements(as: UInt8.self) == [1, 0])
    let scalar = try NumPyArray(npy: PythonFixtures.npyScalar, name: "scalar")
    #expect(scalar.shape == [])
    #expect(try scalar.elements(as: Int.self) == [-7])
    #expect(throws: ArchiveError.self) { _ = try scalar.elements(as: UInt8.self) }
    #expect(throws: ArchiveError.self) { _ = try half.elements(as: Int.self) }
    #expect(try NumPyArray(npy: PythonFixtures.npyEmpty, name: "empty").shape == [0, 3])
    let archive = try NumPyArchive(bytes: PythonFixtures.npz, name: "npz")
    #expect(archive.names == ["a", "b"])
    #expect(try archive.array("a").elements(as: Float.self) == [0, 1, 2, 3, 4])
    #expect(try archive.array("b").elements(as: Double.self) == [1, 0, 0, 1])
    #expect(throws: ArchiveError.self) { _ = try archive.array("c") }
  }

  @Test func writtenArraysReadBack() throws {
    let array = try NumPyArray(shape: [3], [1, -2, 3] as [Int16])
    #expect(array.npy.count == 128 + 6)
    #expect(try NumPyArray(npy: array.npy, name: "a") == array)
    #expect(throws: ArchiveError.self) { _ = try NumPyArray(shape: [4], [1, -2, 3] as [Int16]) }
    #expect(throws: ArchiveError.self) { _ = try NumPyArray(npy: array.npy.dropLast(), name: "short") }
  }

  /// Pieces that are compressed side by side make one stream, the same for any order of the work.
  @Test func piecesCompressedSideBySide() throws {
    let folder = try TemporaryFolder()
    let count = 300_000
    let values = (0..<3 * count).map { Float(($0 * 7919) % 4001) / 64 }
    func write(_ name: String, _ runTasks: @escaping ZipWriter.TaskRunner) throws -> [UInt8] {
      try NumPyArchiveWriter.create(atomicallyAt: folder.path(name), compressingWith: runTasks) { writer in
        try writer.begin("probabilities", shape: [3, count], kind: .float32)
        for row in 0..<3 { try writer.append(Array(values[row * count..<(row + 1) * count])) }
        try writer.add("after", NumPyArray(shape: [2], [7, 8] as [UInt8]))
      }
      return try [UInt8](Data(contentsOf: folder.url.appendingPathComponent(name)))
    }
    let forward = try write("a.npz") { count, body in for task in 0..<count { body(task) } }
    let backward = try write("b.npz") { count, body in for task in (0..<count).reversed() { body(task) } }
    #expect(forward == backward)
    #expect(forward.count < 4 * values.count / 2)
    let archive = try NumPyArchive(path: folder.path("a.npz"))
    #expect(try archive.array("probabilities").elements(as: Float.self) == values)
    #expect(try archive.array("after").elements(as: UInt8.self) == [7, 8])
  }

  @Test func slabsThroughAnArchive() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("case.npz")
    let values = (0..<6000).map { Float($0) / 6000 }
    try NumPyArchiveWriter.create(atomicallyAt: path) { writer in
      try writer.begin("probabilities", shape: [3, 10, 200], kind: .float32)
      for slab in 0..<10 { try writer.append(Array(values[slab * 600..<(slab + 1) * 600])) }
      try writer.begin("half", shape: [2], kind: .float16)
      try writer.append([0.5, 65519] as [Float])
      try writer.add("x", NumPyArray(shape: [1], [7] as [UInt8]))
    }
    let archive = try NumPyArchive(path: path)
    #expect(archive.names == ["probabilities", "half", "x"])
    #expect(try archive.array("probabilities").elements(as: Float.self) == values)
    #expect(try archive.array("half").elements(as: Float.self) == [0.5, 65504])
    let reader = try archive.reader("probabilities")
    #expect(reader.shape == [3, 10, 200])
    var collected: [Float] = []
    while reader.remaining > 0 { collected += try reader.read(700, as: Float.self) }
    #expect(collected == values)
    #expect(throws: ArchiveError.self) {
      try NumPyArchiveWriter.create(atomicallyAt: folder.path("short.npz")) { writer in
        try writer.begin("a", shape: [3], kind: .float32)
        try writer.append([1, 2] as [Float])
      }
    }
    #expect(folder.contents == ["case.npz"])
  }

  @Test func halfPrecisionRoundsToNearestEven() {
    for bits in UInt16.min...UInt16.max {
      let value = HalfPrecision.float(binary16: bits)
      if value.isNaN {
        #expect(HalfPrecision.float(binary16: HalfPrecision.binary16(value)).isNaN)
      } else {
        #expect(HalfPrecision.binary16(value) == bits)
      }
    }
    #expect(HalfPrecision.binary16(1 + 0x1p-11) == HalfPrecision.binary16(1))
    #expect(HalfPrecision.binary16(1 + 0x1p-10 + 0x1p-11) == HalfPrecision.binary16(1 + 0x1p-9))
    #expect(HalfPrecision.binary16((1 + 0x1p-11 as Float).nextUp) == HalfPrecision.binary16(1 + 0x1p-10))
    #expect(HalfPrecision.binary16(65520) == 0x7C00)
    #expect(HalfPrecision.binary16((65520 as Float).nextDown) == 0x7BFF)
    #expect(HalfPrecision.binary16(0x1p-25) == 0)
    #expect(HalfPrecision.binary16((0x1p-25 as Float).nextUp) == 1)
    #expect(HalfPrecision.binary16(3 * 0x1p-25) == 2)
    #expect(HalfPrecision.float(brain16: 0x3FC0) == 1.5)
  }

  @Test func goldenProbabilities() throws {
    for ensemble in ["ensemble_labels", "ensemble_regions", "ensemble_three_members"] {
      guard let folder = Golden.folder("evaluation/\(ensemble)") else { return }
      let expected = try HDF5File.open(folder.appendingPathComponent("probabilities.h5").path).root
      var compared = 0
      for member in try expected.names where member.hasPrefix("member_") {
        for name in try expected.group(member).names {
          let file = folder.appendingPathComponent("\(member)/\(name).npz")
          let array = try NumPyArchive(path: file.path).array("probabilities")
          let golden = try expected.read("\(member)/\(name)", as: Float.self)
          expectClose(
            try array.elements(as: Float.self), shape: array.shape, golden.elements, shape: golden.shape, absolute: 0,
            relativeToMaximum: 0, "\(ensemble)/\(member)/\(name)")
          compared += 1
        }
      }
      #expect(compared >= 3)
    }
  }
}
