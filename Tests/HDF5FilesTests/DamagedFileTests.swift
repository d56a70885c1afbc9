import Foundation
import HDF5Files
import TensorCore
import Testing

@Suite struct DamagedFileTests {
  private func write(_ path: String, storage: HDF5Storage) throws {
    // Numbers that do not compress away, so that most of the file is data.
    var state: UInt32 = 1
    let values = (0..<8192).map { _ -> Float in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8)
    }
    try HDF5File.create(atomicallyAt: path) { file in
      try values.withUnsafeBufferPointer { try file.root.write("x", $0, shape: [8, 1024], storage: storage) }
      try file.root.setAttribute("text", "hello")
    }
  }

  /// Opens everything in a file and reads it.
  private func readEverything(_ path: String) throws {
    func visit(_ group: HDF5Group, depth: Int) throws {
      for name in try group.attributeNames { _ = try? group.attributeStrings(name) }
      for name in try group.names {
        if group.containsGroup(name) {
          if depth < 8 { try visit(group.group(name), depth: depth + 1) }
        } else {
          let dataset = try group.dataset(name)
          for attribute in try dataset.attributeNames { _ = try? dataset.attributeStrings(attribute) }
          _ = try dataset.read(as: Float.self)
        }
      }
    }
    let file = try HDF5File.open(path)
    try visit(file.root, depth: 0)
    try file.close()
  }

  @Test func truncation() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("a.h5")
    try write(path, storage: HDF5Storage(compression: 2, checksum: true))
    let whole = try Data(contentsOf: URL(fileURLWithPath: path))
    let short = folder.path("short.h5")
    for length in stride(from: 0, to: whole.count - 1, by: 997) {
      try whole.prefix(length).write(to: URL(fileURLWithPath: short))
      #expect(throws: HDF5Error.self, "\(length) of \(whole.count) bytes") { try readEverything(short) }
    }
    try Data("this is no HDF5 file".utf8).write(to: URL(fileURLWithPath: short))
    #expect(kind { try readEverything(short) } == .damaged)
  }

  @Test func checksumsFindEveryFlippedByte() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("a.h5")
    try write(path, storage: HDF5Storage(chunk: [4, 1024], checksum: true))
    var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    let root = try HDF5File.open(path).root
    let expected = try root.read("x", as: Float.self).elements
    // The two chunks fill 32 KiB of a file little larger than that: the middle of the file is data.
    #expect(bytes.count < 40_000)
    let broken = folder.path("broken.h5")
    for position in stride(from: bytes.count / 4, to: bytes.count * 3 / 4, by: 1531) {
      bytes[position] ^= 0x10
      try bytes.write(to: URL(fileURLWithPath: broken))
      let error = #expect(throws: HDF5Error.self) { _ = try HDF5File.open(broken).root.read("x", as: Float.self) }
      #expect(error?.kind == .damaged)
      #expect(error?.object == "/x")
      bytes[position] ^= 0x10
    }
    #expect(expected.count == 8192)
  }

  @Test func declaredSizesAreHeldAgainstTheFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("huge.h5")
    try HDF5File.create(atomicallyAt: path) { file in
      _ = try file.root.createDataset(
        "sparse", of: Float.self, shape: [1 << 20, 1 << 20], storage: HDF5Storage(chunk: [1, 1024], compression: 1))
      _ = try file.root.createDataset("unwritten", of: Float.self, shape: [1 << 40])
      _ = try file.root.createDataset(
        "chunky", of: Float.self, shape: [1 << 28], storage: HDF5Storage(chunk: [1 << 28], compression: 1))
      #expect(
        kind { _ = try file.root.createDataset("overflow", of: Float.self, shape: [1 << 40, 1 << 40]) } == .wrongShape)
    }
    let root = try HDF5File.open(path).root
    for name in ["sparse", "unwritten", "chunky"] {
      #expect(kind { _ = try root.read(name, as: Float.self) } == .implausibleSize, "\(name)")
    }
    #expect(try root.read("sparse", as: Float.self, offset: [7, 7], count: [1, 3]).elements == [0, 0, 0])
  }

  @Test func realCompressionRatiosPass() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("zeros.h5")
    let count = 40 << 20
    try HDF5File.create(atomicallyAt: path) { file in
      try file.root.write("zeros", [UInt8](repeating: 0, count: count), shape: [count], compression: 9)
    }
    #expect(try HDF5File.open(path).root.read("zeros", as: UInt8.self).elements.count == count)
  }

  /// Mutated copies of files as this library writes them: every one is read or refused; none crashes, none allocates
  /// without bound. (All their metadata carry checksums. Files in older formats have none, and for those the C library
  /// alone decides.)
  @Test func mutations() throws {
    let folder = try TemporaryFolder()
    var originals: [Data] = []
    for storage in [HDF5Storage.plain, HDF5Storage(chunk: [4, 4], compression: 4, checksum: true)] {
      let path = folder.path("original.h5")
      try HDF5File.create(atomicallyAt: path) { file in
        try (0..<64).map { Float($0) }.withUnsafeBufferPointer {
          try file.root.createGroup("g/h").write(
            "x", $0, shape: [8, 8],
            storage: storage)
        }
        try file.root.setAttribute("text", "hello")
        try file.root.group("g").setAttribute("axes", [1, 2, 3])
      }
      originals.append(try Data(contentsOf: URL(fileURLWithPath: path)))
    }
    var generator = RandomGenerator(seed: 20_240_601)
    var refused = 0
    var total = 0
    let path = folder.path("mutant.h5")
    for original in originals {
      for _ in 0..<600 {
        var mutant = original
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          let position = Int.random(in: 0..<mutant.count, using: &generator)
          switch Int.random(in: 0..<4, using: &generator) {
          case 0: mutant[position] = 0xFF
          case 1: mutant[position] = 0
          case 2: mutant[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
          default: mutant[position] = UInt8.random(in: 0...255, using: &generator)
          }
        }
        try mutant.write(to: URL(fileURLWithPath: path))
        total += 1
        do { try readEverything(path) } catch { refused += 1 }
      }
    }
    print("HDF5 mutants: \(total), refused \(refused)")
    #expect(refused > total / 4)
  }
}
