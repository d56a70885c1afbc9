import Foundation
import HDF5Files
import Testing

@Suite struct AtomicCreationTests {
  private struct Interruption: Error {}

  @Test func failureKeepsThePreviousFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("checkpoint_latest.h5")
    try HDF5File.create(atomicallyAt: path) { try $0.root.write("epoch", 1) }
    #expect(throws: Interruption.self) {
      try HDF5File.create(atomicallyAt: path) { file in
        try file.root.write("epoch", 2)
        throw Interruption()
      }
    }
    #expect(try HDF5File.open(path).root.read("epoch", as: Int.self).elements == [1])
    try HDF5File.create(atomicallyAt: path) { try $0.root.write("epoch", 3) }
    #expect(try HDF5File.open(path).root.read("epoch", as: Int.self).elements == [3])
    #expect(folder.contents == ["checkpoint_latest.h5"])
  }

  @Test func anOpenReaderKeepsItsFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("a.h5")
    try HDF5File.create(atomicallyAt: path) { try $0.root.write("epoch", 1) }
    let reader = try HDF5File.open(path)
    try HDF5File.create(atomicallyAt: path) { try $0.root.write("epoch", 2) }
    #expect(try reader.root.read("epoch", as: Int.self).elements == [1])
  }

  @Test func errorsNameWhatHappened() throws {
    let folder = try TemporaryFolder()
    #expect(kind { try HDF5File.create(atomicallyAt: folder.path("no/such/folder.h5")) { _ in } } == .cannotWrite)
    #expect(kind { _ = try HDF5File.open(folder.path("absent.h5")) } == .cannotOpen)
    let path = folder.path("a.h5")
    try HDF5File.create(atomicallyAt: path) { file in
      try file.root.write("x", [1] as [Float], shape: [1])
      #expect(kind { try file.root.write("x", [1] as [Float], shape: [1]) } == .cannotWrite)
      #expect(kind { try file.root.write("y", [1] as [Float], shape: [2]) } == .wrongShape)
    }
    let file = try HDF5File.open(path)
    let dataset = try file.root.dataset("x")
    #expect(kind { try file.root.write("y", [1] as [Float], shape: [1]) } == .cannotWrite)
    #expect(kind { _ = try file.root.dataset("absent") } == .missing)
    #expect(kind { _ = try file.root.dataset("x/y") } == .missing)
    #expect(kind { _ = try file.root.group("x") } == .wrongType)
    #expect(kind { _ = try file.root.dataset("/") } == .wrongType)
    let error = #expect(throws: HDF5Error.self) { _ = try file.root.group("a/b") }
    #expect(error?.description == "\(path): /a/b: expected a group, found nothing with this name")
    try file.close()
    try file.close()
    #expect(kind { _ = try file.root.names } == .closed)
    #expect(kind { _ = try dataset.read(as: Float.self) } == .closed)
    #expect(!file.root.contains("x"))
  }
}
