import Foundation
import Testing
import Volumes

/// Images that Python's libraries wrote, and what nnU-Net's readers say about them; `Fixtures/make_fixtures.py` made both.
struct ImageFixtures: Decodable {
  struct Expectation: Decodable, Sendable, CustomStringConvertible {
    let reader: String
    let file: String
    /// Whether the file must be refused.
    let error: Bool
    let shape: [Int]?
    let spacing: [Double]?
    /// Little-endian float32.
    let elements: Data?
    let sitkStuff: SimpleITKGeometry?
    let nibabelStuff: NibabelGeometry?

    enum CodingKeys: String, CodingKey {
      case reader, file, error, shape, spacing, elements
      case sitkStuff = "sitk_stuff"
      case nibabelStuff = "nibabel_stuff"
    }

    var description: String { "\(reader) \(file)" }
  }

  let expected: [Expectation]
  let files: [String: Data]

  static func load() throws -> ImageFixtures {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Fixtures/fixtures.json")
    return try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
  }

  /// Puts the image files into a folder.
  func write(to folder: TemporaryFolder) throws {
    for (name, bytes) in files { try bytes.write(to: folder.file(name)) }
  }
}

@Suite struct ImageFormatTests {
  let folder: TemporaryFolder
  let fixtures: ImageFixtures

  init() throws {
    folder = try TemporaryFolder()
    fixtures = try ImageFixtures.load()
    try fixtures.write(to: folder)
  }

  private static func reader(_ name: String) throws -> any ImageReaderWriter {
    // The reader that is found by its name would warn of missing spacing files.
    name == "Tiff3DIO" ? Tiff3DReaderWriter { _ in } : try ReaderWriters.named(name)
  }

  @Test func everyFileReadsAsInNNUNet() throws {
    #expect(fixtures.expected.count > 140)
    for expectation in fixtures.expected {
      let name = "\(expectation)"
      let reader = try Self.reader(expectation.reader)
      let file = folder.file(expectation.file)
      if expectation.error {
        #expect(throws: ImageError.self, "\(name)") { try reader.readImages([file]) }
        continue
      }
      let shape = try #require(expectation.shape)
      let bytes = try #require(expectation.elements)
      let elements = bytes.withUnsafeBytes { raw in
        (0..<raw.count / 4).map {
          Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
        }
      }
      do {
        let (image, properties) = try reader.readImages([file])
        #expect(image.shape == shape, "\(name)")
        #expect(image.elements == elements, "\(name)")
        try checkGeometry(properties, expectation)
        let header = try reader.readProperties(file)
        #expect(header.shape == image.shape && header.properties == properties, "\(name)")
      } catch {
        Issue.record("\(name): \(error)")
      }
    }
  }

  private func checkGeometry(_ properties: ImageProperties, _ expected: ImageFixtures.Expectation) throws {
    let name = "\(expected)"
    #expect(isClose(properties.spacing, try #require(expected.spacing), 1e-12), "\(name): \(properties.spacing)")
    #expect((properties.sitkStuff == nil) == (expected.sitkStuff == nil), "\(name)")
    #expect((properties.nibabelStuff == nil) == (expected.nibabelStuff == nil), "\(name)")
    if let own = properties.sitkStuff, let theirs = expected.sitkStuff {
      #expect(isClose(own.spacing, theirs.spacing, 1e-12), "\(name): \(own)")
      #expect(isClose(own.origin, theirs.origin, 1e-12), "\(name): \(own)")
      #expect(isClose(own.direction, theirs.direction, 1e-12), "\(name): \(own)")
    }
    if let own = properties.nibabelStuff, let theirs = expected.nibabelStuff {
      #expect(isClose(own.originalAffine.flatMap { $0 }, theirs.originalAffine.flatMap { $0 }, 1e-6), "\(name)")
      #expect(
        isClose(
          own.reorientedAffine?.flatMap { $0 } ?? [], theirs.reorientedAffine?.flatMap { $0 } ?? [], 1e-6), "\(name)")
    }
  }

  /// Labels written on an image's grid read back with its geometry.
  @Test(arguments: [Int16(254), 300])
  func labelsKeepTheGeometry(largest: Int16) throws {
    for (source, name) in [
      ("itk_nr_i2.nrrd", "SimpleITKIO"), ("itk_nr_flat.nrrd", "SimpleITKIO"), ("oblique.nrrd", "SimpleITKIO"),
      ("itk_mh_i2.mha", "SimpleITKIO"), ("pir.nii", "NibabelIO"), ("sheared.nii", "NibabelIO"),
      ("pir.nii", "NibabelIOWithReorient"), ("oblique.nii", "NibabelIOWithReorient"), ("spaced.tif", "Tiff3DIO"),
      ("one_slice.tif", "Tiff3DIO"), ("flat.tif", "NaturalImage2DIO"),
    ] {
      let reader = try Self.reader(name)
      let (image, properties) = try reader.readImages([folder.file(source)])
      var labels = VoxelGrid<Int16>(
        shape: [1] + image.spatialShape, elements: (0..<image.voxelCount).map { Int16($0 % 5) })
      labels.elements[image.voxelCount - 1] = largest
      let endings =
        switch name {
        case "SimpleITKIO": [".nrrd", ".nhdr", ".mha", ".mhd"]
        case "NaturalImage2DIO": largest < 255 ? [".tif", ".png", ".bmp"] : [".tif", ".png"]
        case "Tiff3DIO": [".tif"]
        default: [".nii", ".nii.gz"]
        }
      for ending in endings {
        let file = folder.file("labels" + ending)
        try reader.writeSegmentation(labels, to: file, properties: properties)
        let (again, own) = try reader.readSegmentation(file)
        #expect(again == labels, "\(source) as \(ending)")
        #expect(isClose(own.spacing, properties.spacing, 1e-6), "\(source) as \(ending)")
        if let a = own.sitkStuff, let b = properties.sitkStuff {
          #expect(isClose(a.origin, b.origin, 1e-12) && isClose(a.direction, b.direction, 1e-12), "\(source) \(ending)")
        }
        if let a = own.nibabelStuff?.originalAffine, let b = properties.nibabelStuff?.originalAffine {
          #expect(isClose(a.flatMap { $0 }, b.flatMap { $0 }, 1e-6), "\(source) as \(ending)")
        }
      }
    }
  }

  /// What nibabel writes for labels that count the voxels of the turned image.
  @Test func reorientedLabelsAreWrittenAsInNNUNet() throws {
    let reader = try ReaderWriters.named("NibabelIOWithReorient")
    for name in ["ras", "lps", "pir", "oblique", "diagonal", "diagonal_late", "sheared"] {
      let (image, properties) = try reader.readImages([folder.file(name + ".nii")])
      let labels = VoxelGrid<Int16>(shape: image.shape, elements: (0..<image.voxelCount).map { Int16($0) })
      let file = folder.file("own.nii")
      try reader.writeSegmentation(labels, to: file, properties: properties)
      let plain = NibabelReaderWriter()
      let (own, ownProperties) = try plain.readSegmentation(file)
      let (theirs, theirProperties) = try plain.readSegmentation(folder.file(name + "_labels.nii"))
      #expect(own == theirs, "\(name)")
      #expect(ownProperties == theirProperties, "\(name)")
    }
  }

  @Test func readersAreChosenByTryingTheExample() throws {
    func choice(_ name: String) throws -> String {
      try ReaderWriters.choose(
        fileEnding: "." + URL(fileURLWithPath: name).pathExtension, overwriteName: nil, exampleFile: folder.file(name)
      ).name
    }
    #expect(try choice("rgb.tif") == "NaturalImage2DIO")
    #expect(try choice("planes.tif") == "NaturalImage2DIO")
    #expect(try choice("spaced_0000.tif") == "Tiff3DIO")
    #expect(try choice("itk_nr_i2.nrrd") == "SimpleITKIO")
    #expect(try choice("itk_mh_i2.mha") == "SimpleITKIO")
    #expect(try choice("pillow_RGB.bmp") == "NaturalImage2DIO")
  }

  /// No prefix of a file may be taken for the whole, and no changed byte may stop the program.
  @Test func damagedFilesAreRefusedOrRead() throws {
    for name in [
      "itk_nr_i2.nrrd", "itk_mh_f4.mha", "little_u2.nrrd", "big_f8.mha", "tiles.tif", "u2_big.tif", "rgba16.tif",
      "four_bits.bmp", "alpha_bits.bmp",
    ] {
      let whole = try #require(fixtures.files[name])
      let readers: [any ImageReaderWriter] =
        name.hasSuffix("tif")
        ? [NaturalImageReaderWriter(), Tiff3DReaderWriter { _ in }]
        : [name.hasSuffix("bmp") ? NaturalImageReaderWriter() : SimpleITKReaderWriter()]
      let file = folder.file("damaged-" + name)
      // TIFF and BMP may have bytes at the end that nobody needs.
      let necessary = name.hasSuffix("tif") ? whole.count / 2 : whole.count - 4
      for count in stride(from: 0, to: necessary, by: 7) {
        try whole.prefix(count).write(to: file)
        for reader in readers {
          #expect(throws: ImageError.self, "\(count) bytes of \(name)") { try reader.readImages([file]) }
        }
      }
      for position in stride(from: 0, to: min(whole.count, 400), by: 3) {
        var damaged = whole
        damaged[position] ^= 0x81
        try damaged.write(to: file)
        for reader in readers {
          do {
            let image = try reader.readImages([file]).0
            #expect(image.elements.count == image.shape.reduce(1, *), "\(name), byte \(position)")
          } catch let error as ImageError {
            #expect(!error.description.isEmpty)
          }
        }
      }
    }
  }

  /// Headers of a few bytes that promise terabytes must not make a reader ask for them.
  @Test func liesAboutSizesAreRefused() throws {
    for (name, text) in [
      ("lie.nrrd", "NRRD0004\ntype: double\ndimension: 3\nsizes: 99999 99999 9999\nendian: little\nencoding: raw\n\n"),
      ("lie.nrrd", "NRRD0004\ntype: double\ndimension: 3\nsizes: 99999 99999 9999\nendian: little\nencoding: gzip\n\n"),
      ("lie.nrrd", "NRRD0004\ntype: double\ndimension: 2\nsizes: 99999 99999\nencoding: ascii\n\n1 2 3"),
      ("lie.nrrd", "NRRD0004\ntype: uchar\ndimension: 2\nsizes: 9223372036854775807 3\nencoding: raw\nbyte skip: -1\n"),
      (
        "lie.mha",
        "NDims = 3\nDimSize = 99999 99999 9999\nElementType = MET_DOUBLE\nCompressedData = True\n"
          + "ElementDataFile = LOCAL\n"
      ),
      ("lie.mha", "NDims = 3\nDimSize = 99999 99999 9999\nElementType = MET_DOUBLE\nElementDataFile = LOCAL\n"),
      ("lie.mha", "NDims = 3\nDimSize = 1 2 3\nElementType = MET_DOUBLE\nElementDataFile = /dev/zero\n"),
    ] {
      try Data(text.utf8).write(to: folder.file(name))
      #expect(throws: ImageError.self, "\(text)") { try SimpleITKReaderWriter().readImages([folder.file(name)]) }
    }
  }

  /// The same for TIFF: the largest sizes in tiles, in strips, and in planes.
  @Test(arguments: [UInt16(1), 3, 60000], [true, false])
  func liesAboutTIFFSizesAreRefused(samples: UInt16, isTiled: Bool) throws {
    // Tag, type (3 short, 4 long), value.
    var tags: [(UInt16, UInt16, UInt32)] = [
      (256, 4, 0xFFFF_FFF0), (257, 4, 0xFFFF_FFF0), (258, 3, 8), (259, 3, 1), (262, 3, 1), (277, 3, UInt32(samples)),
      (284, 3, 2),
    ]
    tags +=
      isTiled
      ? [(322, 4, 16), (323, 4, 16), (324, 4, 8), (325, 4, 256)] : [(273, 4, 8), (278, 4, 1), (279, 4, 256)]
    var bytes: [UInt8] = [0x49, 0x49, 42, 0, 8, 0, 0, 0]
    func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { bytes += $0 } }
    put(UInt16(tags.count))
    for (tag, type, value) in tags.sorted(by: { $0.0 < $1.0 }) {
      put(tag)
      put(type)
      put(UInt32(1))
      put(value)
    }
    put(UInt32(0))
    let file = folder.file("lie.tif")
    try Data(bytes + Array(repeating: 0, count: 300)).write(to: file)
    #expect(throws: ImageError.self) { try NaturalImageReaderWriter().readImages([file]) }
    #expect(throws: ImageError.self) { try Tiff3DReaderWriter { _ in }.readImages([file]) }
  }
}
