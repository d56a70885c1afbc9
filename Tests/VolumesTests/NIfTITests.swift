import Foundation
import TensorCore
import TensorTestSupport
import Testing
import Volumes

/// A folder that disappears with its owner.
final class TemporaryFolder {
  let url: URL
  init() throws {
    url = FileManager.default.temporaryDirectory.appendingPathComponent("volumes-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(at: url) }
  func file(_ name: String) -> URL { url.appendingPathComponent(name) }
}

/// Builds NIfTI-1 files byte by byte, so that nothing of the writer under test takes part.
struct RawNIfTI {
  var sizes = [3, 2, 2]
  var dataType = 2
  var bitsPerVoxel = 8
  var voxels: [UInt8] = Array(0..<12)
  var isBigEndian = false
  var pixelSizes: [Float] = [1, 0.8, 0.9, 1.5, 0]
  var slope: Float = 0
  var intercept: Float = 0
  var qformCode: Int16 = 0
  var sformCode: Int16 = 0
  var quaternion: [Float] = [0, 0, 0]
  var offset: [Float] = [0, 0, 0]
  var rows: [Float] = Array(repeating: 0, count: 12)
  var units: UInt8 = 2
  var voxelOffset: Float = 352
  var magic: [UInt8] = [0x6E, 0x2B, 0x31, 0]
  var headerSize: Int32 = 348

  var bytes: [UInt8] {
    var header = [UInt8](repeating: 0, count: 352)
    func put<T: FixedWidthInteger>(_ value: T, _ position: Int) {
      withUnsafeBytes(of: isBigEndian ? value.bigEndian : value.littleEndian) {
        header.replaceSubrange(position..<position + $0.count, with: $0)
      }
    }
    func put(_ value: Float, _ position: Int) { put(value.bitPattern, position) }
    put(headerSize, 0)
    put(Int16(sizes.count), 40)
    for (i, size) in (sizes + Array(repeating: 1, count: 7 - sizes.count)).enumerated() { put(Int16(size), 42 + 2 * i) }
    put(Int16(dataType), 70)
    put(Int16(bitsPerVoxel), 72)
    for (i, size) in pixelSizes.enumerated() { put(size, 76 + 4 * i) }
    put(voxelOffset, 108)
    put(slope, 112)
    put(intercept, 116)
    header[123] = units
    put(qformCode, 252)
    put(sformCode, 254)
    for i in 0..<3 {
      put(quaternion[i], 256 + 4 * i)
      put(offset[i], 268 + 4 * i)
    }
    for i in 0..<12 { put(rows[i], 280 + 4 * i) }
    header.replaceSubrange(344..<348, with: magic)
    return header + voxels
  }

  func write(to file: URL) throws { try Data(bytes).write(to: file) }

  static func bytes<T: FixedWidthInteger>(_ values: [T], bigEndian: Bool) -> [UInt8] {
    values.flatMap { value in withUnsafeBytes(of: bigEndian ? value.bigEndian : value.littleEndian) { Array($0) } }
  }
}

struct ExpectedCase: Decodable {
  let spacing: [Double]
  let sitkStuff: SimpleITKGeometry
  enum CodingKeys: String, CodingKey {
    case spacing
    case sitkStuff = "sitk_stuff"
  }
}

func isClose(_ a: [Double], _ b: [Double], _ tolerance: Double) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance }
}

@Suite struct NIfTIGoldenTests {
  @Test(arguments: ["header_variants", "direction"])
  func geometryAsSimpleITK(name: String) throws {
    guard let folder = Golden.folder("preprocess/" + name) else { return }
    let expected = try JSONDecoder().decode(
      [String: [String: ExpectedCase]].self, from: Data(contentsOf: folder.appendingPathComponent("expected.json")))
    #expect(!expected.isEmpty)
    let temporary = try TemporaryFolder()
    let reader = SimpleITKReaderWriter()
    for (identifier, configurations) in expected {
      let golden = try #require(configurations["3d_fullres"])
      let (_, properties) = try reader.readImages(
        [folder.appendingPathComponent("imagesTr/\(identifier)_0000.nii.gz")])
      let geometry = try #require(properties.sitkStuff)
      #expect(isClose(properties.spacing, golden.spacing, 1e-12), "\(identifier)")
      #expect(isClose(geometry.spacing, golden.sitkStuff.spacing, 1e-12), "\(identifier)")
      #expect(isClose(geometry.origin, golden.sitkStuff.origin, 1e-9), "\(identifier)")
      #expect(isClose(geometry.direction, golden.sitkStuff.direction, 1e-9), "\(identifier)")

      // The label file, written again with the geometry of the image.
      let (labels, _) = try reader.readSegmentation(folder.appendingPathComponent("labelsTr/\(identifier).nii.gz"))
      for ending in [".nii.gz", ".nii"] {
        let written = temporary.file(identifier + ending)
        try reader.writeSegmentation(labels, to: written, properties: properties)
        let (again, own) = try reader.readSegmentation(written)
        let (reference, theirs) = try reader.readSegmentation(
          folder.appendingPathComponent("write_seg/\(identifier).nii.gz"))
        #expect(again == reference, "\(identifier)")
        let (a, b) = (try #require(own.sitkStuff), try #require(theirs.sitkStuff))
        #expect(isClose(a.spacing, b.spacing, 1e-9), "\(identifier)")
        #expect(isClose(a.origin, b.origin, 1e-9), "\(identifier)")
        #expect(isClose(a.direction, b.direction, 1e-9), "\(identifier): \(a.direction) \(b.direction)")
      }
    }
    let left = try FileManager.default.contentsOfDirectory(atPath: temporary.url.path)
    #expect(left.allSatisfy { !$0.hasSuffix(".tmp") }, "temporary files are gone")
  }
}

@Suite struct NIfTITests {
  let folder: TemporaryFolder
  let reader = SimpleITKReaderWriter()

  init() throws { folder = try TemporaryFolder() }

  private func read(_ raw: RawNIfTI, _ name: String = "image.nii") throws -> (VoxelGrid<Float>, ImageProperties) {
    let file = folder.file(name)
    try raw.write(to: file)
    return try reader.readImages([file])
  }

  @Test(arguments: [false, true])
  func everyTypeInBothByteOrders(bigEndian: Bool) throws {
    let values: [Int] = [0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 127]
    func expectValues(_ code: Int, _ bytes: [UInt8], _ expected: [Float], slope: Float = 0, intercept: Float = 0) throws
    {
      var raw = RawNIfTI()
      (raw.dataType, raw.voxels, raw.isBigEndian) = (code, bytes, bigEndian)
      raw.bitsPerVoxel = bytes.count * 8 / 12
      (raw.slope, raw.intercept) = (slope, intercept)
      let (grid, properties) = try read(raw)
      #expect(grid.shape == [1, 2, 2, 3])
      #expect(grid.elements == expected, "type \(code)")
      #expect(properties.spacing == [1.5, Double(Float(0.9)), Double(Float(0.8))])
    }
    func check<T: FixedWidthInteger>(_ code: Int, _ type: T.Type) throws {
      let signed = values.map { T($0) &- (T.isSigned ? 60 : 0) }
      let bytes = RawNIfTI.bytes(signed, bigEndian: bigEndian)
      try expectValues(code, bytes, signed.map { Float($0) })
      try expectValues(code, bytes, signed.map { Float(Double($0) * 0.5 - 3) }, slope: 0.5, intercept: -3)
      // The intercept counts although the slope says 'no scaling'.
      try expectValues(code, bytes, signed.map { Float($0) + 7 }, slope: 0, intercept: 7)
    }
    try check(2, UInt8.self)
    try check(256, Int8.self)
    try check(4, Int16.self)
    try check(512, UInt16.self)
    try check(8, Int32.self)
    try check(768, UInt32.self)
    try check(1024, Int64.self)
    try check(1280, UInt64.self)
    let floats = values.map { Float($0) * 0.37 }
    try expectValues(16, RawNIfTI.bytes(floats.map(\.bitPattern), bigEndian: bigEndian), floats)
    let doubles = values.map { Double($0) * 0.37 }
    try expectValues(64, RawNIfTI.bytes(doubles.map(\.bitPattern), bigEndian: bigEndian), doubles.map { Float($0) })
    try expectValues(
      64, RawNIfTI.bytes(doubles.map(\.bitPattern), bigEndian: bigEndian), doubles.map { Float($0 * 2 + 1) }, slope: 2,
      intercept: 1)
  }

  @Test func damagedFilesNameWhatIsWrong() throws {
    var raw = RawNIfTI()
    raw.voxels = Array(raw.voxels.dropLast())
    #expect(throws: ImageError.truncated(file: folder.file("image.nii").path, expectedBytes: 364, foundBytes: 363)) {
      try read(raw)
    }
    // A header of a few bytes that promises 64 TiB must not make the reader ask for them.
    raw = RawNIfTI()
    raw.sizes = [32767, 32767, 8192]
    (raw.dataType, raw.bitsPerVoxel) = (64, 64)
    #expect(throws: ImageError.self) { try read(raw) }
    raw.sizes = [3, 0, 2]
    #expect(throws: ImageError.self) { try read(raw) }
    raw.sizes = [3, -2, 2]
    #expect(throws: ImageError.self) { try read(raw) }
    raw = RawNIfTI()
    raw.magic = [0, 0, 0, 0]
    #expect(throws: ImageError.self) { try read(raw) }
    raw = RawNIfTI()
    raw.dataType = 128
    #expect(throws: ImageError.self) { try read(raw) }
    raw = RawNIfTI()
    for offset in [Float.nan, .infinity, -5, 1e30] {
      raw.voxelOffset = offset
      #expect(throws: ImageError.self) { try read(raw) }
    }
    raw = RawNIfTI()
    raw.headerSize = 7
    #expect(throws: ImageError.self) { try read(raw) }
    // libnifti puts 1 where a spacing is none.
    for spacing in [Float.nan, .infinity, 0] {
      raw = RawNIfTI()
      raw.pixelSizes[2] = spacing
      #expect(try read(raw).1.spacing[1] == 1, "\(spacing)")
    }
    // Found by fuzzing: axes along nothing.
    raw = RawNIfTI()
    (raw.sformCode, raw.rows[0]) = (1, .nan)
    #expect(throws: ImageError.self) { try read(raw) }
    for reader in ["NibabelIO", "NibabelIOWithReorient"] {
      #expect(throws: ImageError.self) { try ReaderWriters.named(reader).readImages([folder.file("image.nii")]) }
    }
    let empty = folder.file("empty.nii.gz")
    try Data().write(to: empty)
    #expect(throws: ImageError.truncated(file: empty.path, expectedBytes: 348, foundBytes: 0)) {
      try reader.readImages([empty])
    }
    #expect(throws: ImageError.self) { try reader.readImages([folder.file("absent.nii.gz")]) }
    #expect(throws: ImageError.noFiles) { try reader.readImages([]) }
  }

  @Test func damagedGzipIsReported() throws {
    let file = folder.file("labels.nii.gz")
    var labels = VoxelGrid<Int16>(shape: [1, 20, 30, 40], repeating: 0)
    var generator = RandomGenerator(seed: 1)
    for i in labels.elements.indices { labels.elements[i] = Int16(generator.next() & 63) }
    let geometry = SimpleITKGeometry(spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1])
    try reader.writeSegmentation(
      labels, to: file, properties: ImageProperties(spacing: [1, 1, 1], sitkStuff: geometry))
    #expect(try reader.readSegmentation(file).0 == labels)
    let whole = try Data(contentsOf: file)
    try whole.prefix(whole.count / 2).write(to: file)
    #expect(throws: ImageError.self) { try reader.readSegmentation(file) }
    var broken = whole
    for i in 200..<260 { broken[i] ^= 0x5A }
    try broken.write(to: file)
    #expect(throws: ImageError.self) { try reader.readSegmentation(file) }
    // Two members, as parallel compressors write them, are one file.
    let emptyMember: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    try (Data(emptyMember) + whole + Data(emptyMember)).write(to: file)
    #expect(try reader.readSegmentation(file).0 == labels)
  }

  @Test func twoAndFourAxes() throws {
    var raw = RawNIfTI()
    raw.sizes = [4, 3]
    raw.pixelSizes = [1, 0.5, 0.25, 0, 0]
    let (flat, properties) = try read(raw)
    #expect(flat.shape == [1, 1, 3, 4])
    #expect(properties.spacing == [0.5 * 999, 0.25, 0.5])
    #expect(properties.sitkStuff?.direction == [1, 0, 0, 1])
    let labels = VoxelGrid<Int16>(shape: flat.shape, elements: flat.elements.map { Int16($0) })
    try reader.writeSegmentation(labels, to: folder.file("flat.nii.gz"), properties: properties)
    let (again, theirs) = try reader.readSegmentation(folder.file("flat.nii.gz"))
    #expect(again == labels)
    #expect(theirs == properties)

    raw = RawNIfTI()
    raw.sizes = [3, 2, 1, 2]
    let (channels, _) = try read(raw)
    #expect(channels.shape == [2, 1, 2, 3])
    #expect(channels.elements == (0..<12).map(Float.init))
    #expect(throws: ImageError.self) { try reader.readSegmentation(folder.file("image.nii")) }
  }

  @Test func oddGeometryAsITK() throws {
    let rotation: [Float] = [0.6, -0.8, 0, 5, 0.8, 0.6, 0, 6, 0, 0, 1, 7]
    var raw = RawNIfTI()
    raw.pixelSizes = [1, 1, 1, 1, 0]
    (raw.sformCode, raw.rows) = (1, rotation)
    let expected = [-0.6, 0.8, 0, -0.8, -0.6, 0, 0, 0, 1]
    // Metres and micrometres scale spacing and origin.
    for (units, scale) in [(UInt8(1), 1e3), (2, 1), (3, 1e-3), (0, 1), (8 + 1, 1e3)] {
      raw.units = units
      let geometry = try #require(try read(raw).1.sitkStuff)
      #expect(isClose(geometry.spacing, [scale, scale, scale], 1e-9))
      #expect(isClose(geometry.origin, [-5 * scale, -6 * scale, 7 * scale], 1e-9))
      #expect(isClose(geometry.direction, expected, 1e-7))
    }
    raw.units = 2
    // Of two transforms ITK takes the sform of scanner coordinates; of other kinds only where the qform agrees.
    raw.offset = [1, 2, 3]
    for (qform, sform, usesSform) in [
      (Int16(1), Int16(1), true), (1, 2, false), (2, 1, true), (0, 2, true), (1, 0, false),
    ] {
      (raw.qformCode, raw.sformCode) = (qform, sform)
      let geometry = try #require(try read(raw).1.sitkStuff)
      #expect(isClose(geometry.origin, usesSform ? [-5, -6, 7] : [-1, -2, 3], 1e-9), "\(qform) \(sform)")
    }
    // A sheared sform is refused where no qform helps out.
    raw.rows[1] = 0.3
    (raw.qformCode, raw.sformCode) = (1, 1)
    #expect(try read(raw).1.sitkStuff?.origin == [-1, -2, 3])
    raw.qformCode = 0
    #expect(throws: ImageError.self) { try read(raw) }
  }

  @Test func channelsMustAgree() throws {
    let (a, b) = (folder.file("a.nii"), folder.file("b.nii"))
    var raw = RawNIfTI()
    try raw.write(to: a)
    raw.sizes = [2, 3, 2]
    try raw.write(to: b)
    let error = try #require(throws: ImageError.self) { try reader.readImages([a, b]) }
    #expect(error.description.contains("[2, 2, 3]") && error.description.contains("[2, 3, 2]"))
    raw = RawNIfTI()
    raw.pixelSizes[1] = 0.9
    try raw.write(to: b)
    #expect(throws: ImageError.self) { try reader.readImages([a, b]) }
    raw = RawNIfTI()
    raw.voxels.reverse()
    try raw.write(to: b)
    let (grid, _) = try reader.readImages([a, b])
    #expect(grid.shape == [2, 2, 2, 3])
    let ascending: [Float] = (0..<12).map { Float($0) }
    #expect(grid.elements == ascending + ascending.reversed())
  }

  @Test func labelsMustBeIntegers() throws {
    var raw = RawNIfTI()
    (raw.dataType, raw.bitsPerVoxel) = (16, 32)
    var values = (0..<12).map(Float.init)
    values[7] = 1.5
    raw.voxels = RawNIfTI.bytes(values.map(\.bitPattern), bigEndian: false)
    let file = folder.file("labels.nii")
    try raw.write(to: file)
    #expect(throws: ImageError.badLabel(file: file.path, value: 1.5, index: [1, 0, 1])) {
      try reader.readSegmentation(file)
    }
  }

  @Test func labelsFrom255OnTakeTwoBytes() throws {
    let geometry = SimpleITKGeometry(spacing: [1, 2, 3], origin: [4, 5, 6], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1])
    let properties = ImageProperties(spacing: [3, 2, 1], sitkStuff: geometry)
    for (label, size) in [(Int16(254), 8), (255, 16), (3000, 16)] {
      let file = folder.file("labels.nii")
      let grid = VoxelGrid<Int16>(shape: [1, 2, 3, 4], elements: Array(repeating: 0, count: 23) + [label])
      try reader.writeSegmentation(grid, to: file, properties: properties)
      #expect(try Data(contentsOf: file).count == 352 + 24 * size / 8)
      let (again, theirs) = try reader.readSegmentation(file)
      #expect(again == grid)
      #expect(theirs == properties)
    }
    let negative = VoxelGrid<Int16>(shape: [1, 1, 1, 1], repeating: -1)
    #expect(throws: ImageError.self) {
      try reader.writeSegmentation(negative, to: folder.file("negative.nii"), properties: properties)
    }
  }

  @Test func readersAreChosenByNameAndEnding() throws {
    #expect(try ReaderWriters.choose(fileEnding: ".nii.gz", overwriteName: nil, exampleFile: nil).name == "SimpleITKIO")
    #expect(try ReaderWriters.choose(fileEnding: ".nii", overwriteName: nil, exampleFile: nil).name == "NibabelIO")
    #expect(
      try ReaderWriters.choose(fileEnding: ".nii.gz", overwriteName: "NibabelIO", exampleFile: nil).name == "NibabelIO")
    #expect(throws: ImageError.self) {
      try ReaderWriters.choose(fileEnding: ".xyz", overwriteName: nil, exampleFile: nil)
    }
    #expect(throws: ImageError.self) { try ReaderWriters.named("AbsentIO") }
  }
}
