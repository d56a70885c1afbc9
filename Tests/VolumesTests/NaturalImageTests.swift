import Foundation
import Testing
import Volumes

@Suite struct NaturalImageTests {
  let folder: TemporaryFolder
  let reader = NaturalImageReaderWriter()

  init() throws { folder = try TemporaryFolder() }

  private func file(_ name: String, base64: String) throws -> URL {
    let file = folder.file(name)
    try #require(Data(base64Encoded: base64)).write(to: file)
    return file
  }

  @Test(arguments: [Int16(254), 255, 4000])
  func segmentationsReadBack(label: Int16) throws {
    let grid = VoxelGrid<Int16>(shape: [1, 1, 3, 5], elements: Array(0..<14) + [label])
    let file = folder.file("labels.png")
    try reader.writeSegmentation(grid, to: file, properties: ImageProperties(spacing: [999, 1, 1]))
    let (again, properties) = try reader.readSegmentation(file)
    #expect(again == grid)
    #expect(properties.spacing == [999, 1, 1])
    #expect(try reader.readProperties(file).shape == [1, 1, 3, 5])
    #expect(try reader.readImages([file, file]).0.shape == [2, 1, 3, 5])
  }

  @Test func everyDepthAsPillow() throws {
    let one = try file(
      "one.png",
      base64: "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADAQAAAABzTfhVAAAADklEQVR4nGMIYFjBEAAAA94BSXfAiOEAAAAASUVORK"
        + "5CYII=")
    let bits = (0..<15).map { (i: Int) -> Float in Float(i % 2) }
    #expect(try reader.readImages([one]).0.elements == bits)
    let g16 = try file(
      "g16.png",
      base64: "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADEAAAAAAuzUZnAAAAIElEQVR4nGNkYOBfILCAf4HAAhY/BX4FAQUBBX4kpg"
        + "IAafYFoNEt/U8AAAAASUVORK5CYII=")
    let greys = (0..<15).map { (i: Int) -> Float in Float(i * 4000) }
    #expect(try reader.readImages([g16]).0.elements == greys)
    let pal2 = try file(
      "pal2.png",
      base64: "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADAgMAAAAmWC1rAAAADFBMVEUJCAdVVFOqq6z//v1ErbHZAAAAAnRSTlP/AO"
        + "W3MEoAAAARSURBVHicY5BmYAm8wuIqAgAGiAGiq+a3WwAAAABJRU5ErkJggg==")
    let palette: [[Float]] = [[9, 85, 170, 255], [8, 84, 171, 254], [7, 83, 172, 253]]
    let colours: [Float] = (0..<45).map { palette[$0 / 15][$0 % 15 % 4] }
    #expect(try reader.readImages([pal2]).0.elements == colours)
    let rgba = try file(
      "rgba.png",
      base64: "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAYAAABbNsX4AAAAF0lEQVR4nGNkYOHgEUADLAEBAQFECQIAqBIFon6NY1"
        + "cAAAAASUVORK5CYII=")
    let (image, _) = try reader.readImages([rgba])
    #expect(image.shape == [4, 1, 3, 5])
    let expected = (0..<60).map { index -> Float in
      let (channel, pixel) = (index / 15, index % 15)
      return Float(16 * pixel + 4 * channel)
    }
    #expect(image.elements == expected)
  }

  @Test func damagedFilesAreRefused() throws {
    let grid = VoxelGrid<Int16>(
      shape: [1, 1, 40, 50], elements: (0..<2000).map { (i: Int) -> Int16 in Int16(i * 7919 % 251) })
    let file = folder.file("labels.png")
    try reader.writeSegmentation(grid, to: file, properties: ImageProperties(spacing: [999, 1, 1]))
    let whole = try Data(contentsOf: file)
    for count in [0, 3, 20, 60, whole.count / 2, whole.count - 14] {
      try whole.prefix(count).write(to: file)
      #expect(throws: ImageError.self, "\(count) bytes") { try reader.readImages([file]) }
    }
    var broken = whole
    broken[whole.count / 2] ^= 0xFF
    try broken.write(to: file)
    #expect(throws: ImageError.self) { try reader.readImages([file]) }
    #expect(throws: ImageError.self) { try reader.readImages([folder.file("absent.png")]) }
    let volume = VoxelGrid<Int16>(shape: [1, 2, 3, 4], repeating: 0)
    #expect(throws: ImageError.self) {
      try reader.writeSegmentation(volume, to: file, properties: ImageProperties(spacing: [999, 1, 1]))
    }
  }
}
