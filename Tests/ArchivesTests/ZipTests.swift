import Archives
import Foundation
import TensorTestSupport
import Testing

@Suite struct ZipTests {
  private func text(_ archive: ZipArchive, _ name: String) throws -> String {
    String(decoding: try archive.read(archive.entry(name)), as: UTF8.self)
  }

  @Test func filesFromPython() throws {
    let archive = try ZipArchive(bytes: PythonFixtures.zipWithDescriptors, name: "descriptors")
    #expect(archive.entries.map(\.name) == ["one.txt", "two/three", "four"])
    #expect(try text(archive, "one.txt") == String(repeating: "hello ", count: 50))
    #expect(try text(archive, "two/three") == "")
    #expect(try text(archive, "four") == "stored")
    let wide = try ZipArchive(bytes: PythonFixtures.zip64WithComment, name: "zip64")
    #expect(try text(wide, "big") == "abc")
    #expect(!wide.contains("small"))
    let error = #expect(throws: ArchiveError.self) { _ = try wide.entry("small") }
    #expect(error?.kind == .missing)
  }

  @Test func writtenFilesReadBack() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("a.zip")
    let long = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 7) }
    try ZipWriter.create(atomicallyAt: path) { writer in
      try writer.add("stored", long, method: .stored)
      try writer.add("deflated", long)
      try writer.add("empty", [])
      try writer.add("empty stored", [], method: .stored)
      try writer.beginEntry("pieces", method: .deflated(level: 9))
      for start in stride(from: 0, to: long.count, by: 7001) {
        try writer.write(Array(long[start..<min(start + 7001, long.count)]))
      }
    }
    let archive = try ZipArchive(path: path)
    #expect(archive.entries.count == 5)
    for name in ["stored", "deflated", "pieces"] {
      #expect(try archive.read(archive.entry(name)) == long, "\(name)")
      let reader = try archive.reader(for: archive.entry(name))
      var collected: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 10_007)
      while true {
        let count = try buffer.withUnsafeMutableBytes { try reader.read(into: $0) }
        if count == 0 { break }
        collected += buffer[..<count]
      }
      #expect(collected == long, "\(name)")
    }
    #expect(try archive.read(archive.entry("empty")) == [])
    #expect(try archive.read(archive.entry("empty stored")) == [])
    let error = #expect(throws: ArchiveError.self) { _ = try archive.read(archive.entry("stored"), maximum: 1000) }
    #expect(error?.kind == .tooLarge)
    struct Interruption: Error {}
    #expect(throws: Interruption.self) {
      try ZipWriter.create(atomicallyAt: folder.path("b.zip")) { _ in throw Interruption() }
    }
    #expect(folder.contents == ["a.zip"])
  }

  @Test func checksumsAreChecked() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("a.zip")
    for method in [ZipWriter.Method.stored, .deflated(level: 0)] {
      try ZipWriter.create(atomicallyAt: path) { try $0.add("x", [UInt8](repeating: 65, count: 100), method: method) }
      var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
      let position = try #require(bytes.lastIndex(of: 65))
      bytes[position] = 66
      let archive = try ZipArchive(bytes: bytes, name: "flipped")
      let error = #expect(throws: ArchiveError.self) { _ = try archive.read(archive.entry("x")) }
      #expect(error?.kind == .damaged)
      #expect(error?.source == "flipped:x")
    }
  }

  @Test func gzip() throws {
    let expected = String(repeating: "hello ", count: 100) + "world"
    #expect(String(decoding: try Gzip.decompress(PythonFixtures.gzipTwoMembers), as: UTF8.self) == expected)
    let zeros = [UInt8](repeating: 0, count: 3_000_000)
    let packed = try Gzip.compress(zeros, level: 9)
    #expect(packed.count < 4000)
    #expect(try Gzip.decompress(packed) == zeros)
    #expect(try Gzip.decompress(Gzip.compress([])) == [])
    let error = #expect(throws: ArchiveError.self) { _ = try Gzip.decompress(packed, maximum: 100_000) }
    #expect(error?.kind == .tooLarge)
    for length in [0, 5, 20, packed.count - 1] {
      #expect(throws: ArchiveError.self) { _ = try Gzip.decompress(Array(packed.prefix(length))) }
    }
    let folder = try TemporaryFolder()
    let writer = try GzipWriter(path: folder.path("a.gz"))
    try writer.write(Array("hello ".utf8))
    try writer.write(Array("there".utf8))
    #expect(folder.contents != ["a.gz"])
    try writer.finish()
    #expect(folder.contents == ["a.gz"])
    let reader = try GzipReader(path: folder.path("a.gz"))
    #expect(try reader.read(upTo: 3) == Array("hel".utf8))
    #expect(try reader.read(upTo: 100) == Array("lo there".utf8))
    #expect(try reader.read(upTo: 100) == [])
  }
}
