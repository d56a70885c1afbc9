import Foundation

/// The image formats that SimpleITK reads and this program too, told apart by the files' endings.
///
/// NRRD and MetaImage are read by code of our own: a text header and plain, gzip- or zlib-packed numbers. Debian's library
/// for NRRD (teem) has not been released since 2012, MetaIO comes only inside ITK, and ITK is a hundred times the size of
/// this program.
enum ITKImageFile: CaseIterable {
  case nifti, nrrd, metaImage

  var fileEndings: [String] {
    switch self {
    case .nifti: [".nii.gz", ".nii"]
    case .nrrd: [".nrrd", ".nhdr"]
    case .metaImage: [".mha", ".mhd"]
    }
  }

  init(_ file: URL) throws {
    let name = file.lastPathComponent.lowercased()
    guard let format = Self.allCases.first(where: { $0.fileEndings.contains(where: name.hasSuffix) }) else {
      throw ImageError.unsupported(
        file: file.path, found: "data of a format that its name doesn't tell",
        supported: Self.allCases.flatMap(\.fileEndings).joined(separator: ", "))
    }
    self = format
  }

  func readHeader(_ file: URL) throws -> ITKImageHeader {
    switch self {
    case .nifti: try ITKImageHeader(NIfTIFile.readHeader(file), file)
    case .nrrd: try NRRDHeader.Text.read(file).image
    case .metaImage: try MetaImageHeader.Text.read(file).image
    }
  }

  func read(_ file: URL) throws -> (VoxelGrid<Float>, ITKImageHeader) {
    switch self {
    case .nifti:
      let (grid, header) = try NIfTIFile.read(file)
      return (grid, try ITKImageHeader(header, file))
    case .nrrd: return try NRRDHeader.Text.readImage(file)
    case .metaImage: return try MetaImageHeader.Text.readImage(file)
    }
  }

  /// Writes voxels `[Z, Y, X]` in native byte order. The file appears whole or not at all; where header and voxels are
  /// two files, each does, the header last.
  /// - Parameters:
  ///   - sizes: along x, y and z; two sizes make a two-dimensional file.
  ///   - geometry: of at least as many axes.
  func write(
    _ voxels: UnsafeRawBufferPointer, type: StoredElementType, sizes: [Int], geometry: SimpleITKGeometry, to file: URL
  ) throws {
    switch self {
    case .nifti:
      let orientation = NIfTIFile.Orientation(geometry)
      try NIfTIFile.write(voxels, type: type, sizes: sizes, orientation: orientation, to: file)
    case .nrrd: try NRRDHeader.write(voxels, type: type, sizes: sizes, geometry: geometry, to: file)
    case .metaImage: try MetaImageHeader.write(voxels, type: type, sizes: sizes, geometry: geometry, to: file)
    }
  }

  /// Writes a text header and packed voxels, in one file or, where the name of a second is given, in two.
  static func write(header: String, packedVoxels: [UInt8], to file: URL, dataFile: URL?) throws {
    try Array(header.utf8).withUnsafeBytes { header in
      try packedVoxels.withUnsafeBytes { packed in
        if let dataFile {
          try AtomicFile.write(to: dataFile, parts: [packed], compressing: false)
          try AtomicFile.write(to: file, parts: [header], compressing: false)
        } else {
          try AtomicFile.write(to: file, parts: [header, packed], compressing: false)
        }
      }
    }
  }
}

/// What ITK knows about an image before it reads the voxels.
struct ITKImageHeader {
  /// Positive sizes of the axes x, y, and possibly z and one more.
  var sizes: [Int]
  /// Of as many axes.
  var geometry: SimpleITKGeometry

  /// The shape `[C, Z, Y, X]` of the grid that the voxels make.
  var gridShape: [Int] { (sizes + Array(repeating: 1, count: 4 - sizes.count)).reversed() }

  init(_ header: NIfTIHeader, _ file: URL) throws {
    try self.init(sizes: header.sizes, geometry: header.simpleITKGeometry(file: file.path), file: file)
  }

  /// - Throws: ``ImageError`` where ITK could not make an image of this.
  init(sizes: [Int], geometry: SimpleITKGeometry, file: URL) throws {
    func bad(_ field: String, _ found: String, _ expected: String) -> ImageError {
      .badHeader(file: file.path, field: field, found: found, expected: expected)
    }
    let (spacing, origin, direction) = (geometry.spacing, geometry.origin, geometry.direction)
    guard (2...4).contains(sizes.count) else {
      throw ImageError.unsupported(
        file: file.path, found: "\(sizes.count) axes of sizes \(sizes)", supported: "2-D or 3-D images")
    }
    guard sizes.allSatisfy({ $0 > 0 }) else { throw bad("sizes", "\(sizes)", "positive sizes") }
    // A fourth axis counts channels; nothing is measured along it.
    guard spacing[..<min(3, sizes.count)].allSatisfy({ $0.isFinite && $0 > 0 }), spacing.allSatisfy(\.isFinite) else {
      throw bad("spacing", "\(spacing)", "positive numbers")
    }
    guard origin.allSatisfy(\.isFinite) else { throw bad("origin", "\(origin)", "finite numbers") }
    let rows = sizes.indices.map { row in Array(direction[row * sizes.count..<(row + 1) * sizes.count]) }
    let determinant = Self.determinant(rows)
    guard determinant.isFinite, determinant != 0 else {
      throw bad("direction", "\(direction)", "axes of independent directions")
    }
    self.sizes = sizes
    self.geometry = geometry
  }

  private static func determinant(_ rows: [[Double]]) -> Double {
    guard rows.count > 1 else { return rows[0][0] }
    return rows.indices.reduce(0) { sum, column in
      let minor = rows.dropFirst().map { row in
        Array(row[..<column] + row[(column + 1)...])
      }
      return sum + (column % 2 == 0 ? 1 : -1) * rows[0][column] * determinant(minor)
    }
  }
}

/// The fields of an image's text header, and what they mean.
protocol ImageHeaderText {
  init(_ file: URL) throws
  func image() throws -> ITKImageHeader
  /// Where the voxels are and how they are stored.
  func voxels(sizes: [Int]) throws -> TextOrBinaryVoxels
}

extension ImageHeaderText {
  /// Checks all that the header says.
  static func read(_ file: URL) throws -> (image: ITKImageHeader, voxels: TextOrBinaryVoxels) {
    let text = try Self(file)
    let image = try text.image()
    return (image, try text.voxels(sizes: image.sizes))
  }

  static func readImage(_ file: URL) throws -> (VoxelGrid<Float>, ITKImageHeader) {
    let (image, voxels) = try read(file)
    return (try voxels.read(shape: image.gridShape), image)
  }
}

/// Reads the text headers of image files.
enum TextHeader {
  /// The bytes of a file from its beginning, at most `limit`.
  static func prefix(of file: URL, limit: Int) throws -> [UInt8] {
    let reader = try FileByteReader(file, packing: .none)
    let size = min(reader.fileSize, limit)
    return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      count = try reader.read(
        into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: min(size, buffer.count)))
    }
  }

  /// The text up to the next line feed or the end, without the line's end; `position` moves behind it.
  static func line(_ bytes: [UInt8], _ position: inout Int) -> String {
    let end = bytes[position...].firstIndex(of: 0x0A) ?? bytes.count
    var text = bytes[position..<end]
    position = min(bytes.count, end + 1)
    if text.last == 0x0D { text.removeLast() }
    return String(decoding: text, as: UTF8.self)
  }

  static func words(_ text: Substring) -> [Substring] { text.split(whereSeparator: \.isWhitespace) }

  /// The file that a header names, which lies beside it unless the name says otherwise.
  static func dataFile(_ name: String, besides header: URL) -> URL {
    name.hasPrefix("/") ? URL(fileURLWithPath: name) : header.deletingLastPathComponent().appendingPathComponent(name)
  }

  /// Numbers written as text, from `offset` of the file on, as `[C, Z, Y, X]` voxels.
  static func voxels(_ file: URL, offset: Int, shape: [Int]) throws -> VoxelGrid<Float> {
    let reader = try FileByteReader(file, offset: offset, packing: .none)
    let stored = max(0, reader.fileSize - offset)
    // Every number takes a digit and all but one a separator.
    var count = 1
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, product <= stored / 2 + 1 else {
        throw ImageError.badHeader(
          file: file.path, field: "sizes", found: "\(Array(shape.reversed()))",
          expected: "what \(stored) bytes of text can hold")
      }
      count = product
    }
    let text = try [UInt8](unsafeUninitializedCapacity: stored) { buffer, filled in
      filled = try reader.read(into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: stored))
    }
    var values: [Float] = []
    values.reserveCapacity(count)
    for word in text.split(whereSeparator: { $0 <= 0x20 || $0 == UInt8(ascii: ",") }) where values.count < count {
      guard let value = Double(String(decoding: word, as: UTF8.self)) else {
        throw ImageError.corrupt(file: file.path, reason: "a voxel that is no number")
      }
      values.append(Float(value))
    }
    guard values.count == count else {
      throw ImageError.corrupt(file: file.path, reason: "\(values.count) numbers for \(count) voxels")
    }
    return VoxelGrid(shape: shape, elements: values)
  }
}
