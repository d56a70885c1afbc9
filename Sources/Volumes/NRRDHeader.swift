import Foundation

/// The header of an NRRD image, attached (`.nrrd`) or detached (`.nhdr`), as ITK understands it.
///
/// The format: teem.sourceforge.net/nrrd/format.html; ITK 5.4: `NrrdImageIO`.
enum NRRDHeader {
  /// Larger headers are refused; Slicer's segmentations reach some hundred kilobytes.
  private static let longestHeader = 1 << 24

  /// The fields of the header, not yet understood.
  struct Text: ImageHeaderText {
    let file: URL
    /// By name, in lower case and without spaces.
    private var fields: [String: String] = [:]
    /// Where the data begin if they follow the header.
    private var end = 0
    /// Whether an empty line ended the header.
    private var hasEnd = false

    init(_ file: URL) throws {
      self.file = file
      var limit = 1 << 16
      // Nearly all headers are short.
      while try !read(limit: limit), limit < NRRDHeader.longestHeader { limit <<= 4 }
    }

    /// Reads the fields in the first bytes of the file; false where there may be more.
    private mutating func read(limit: Int) throws -> Bool {
      let bytes = try TextHeader.prefix(of: file, limit: limit)
      var position = 0
      let magic = bytes.starts(with: Array("NRRD000".utf8)) ? TextHeader.line(bytes, &position) : ""
      guard let version = magic.last?.wholeNumberValue, magic.count == 8, (1...5).contains(version) else {
        throw ImageError.wrongFormat(
          file: file.path, expected: "an NRRD image of version 1 to 5",
          found: "a file that starts with \(bytes.prefix(8))")
      }
      while position < bytes.count {
        let line = TextHeader.line(bytes, &position)
        if line.isEmpty {
          hasEnd = true
          break
        }
        // A comment, or a key with a value that is not a field.
        guard !line.hasPrefix("#"), let colon = line.firstIndex(of: ":") else { continue }
        let rest = line[line.index(after: colon)...]
        guard rest.first != "=" else { continue }
        let name = line[..<colon].lowercased().filter { $0 != " " }
        fields[name == "centerings" ? "centers" : name] = rest.trimmingCharacters(in: .whitespaces)
      }
      end = position
      return hasEnd || bytes.count < limit
    }

    private func bad(_ field: String, _ expected: String) -> ImageError {
      .badHeader(file: file.path, field: field, found: "'\(fields[field]?.prefix(80) ?? "")'", expected: expected)
    }

    private func require(_ field: String) throws -> String {
      guard let value = fields[field] else {
        throw ImageError.badHeader(file: file.path, field: field, found: "missing", expected: "a value")
      }
      return value
    }

    private func words(_ field: String) -> [Substring]? {
      fields[field].map { TextHeader.words($0[...]) }
    }

    /// One number per axis; `nil` where the field is missing.
    private func numbers(_ field: String, count: Int) throws -> [Double]? {
      guard let words = words(field) else { return nil }
      let values = words.compactMap { Double($0) }
      guard values.count == count, words.count == count else { throw bad(field, "\(count) numbers") }
      return values
    }

    /// Vectors such as `(1,0,0) none (0,0,2)`.
    private func vectors(_ field: String, dimension: Int) throws -> [[Double]?]? {
      guard var rest = fields[field]?[...] else { return nil }
      var result: [[Double]?] = []
      while let start = rest.firstIndex(where: { !$0.isWhitespace }) {
        rest = rest[start...]
        if rest.hasPrefix("none") {
          result.append(nil)
          rest = rest.dropFirst(4)
          continue
        }
        guard rest.first == "(", let close = rest.firstIndex(of: ")") else { throw bad(field, "vectors (a,b,c)") }
        let parts = rest[rest.index(after: rest.startIndex)..<close].split(separator: ",")
        let values = parts.compactMap { Double($0.trimmingCharacters(in: .whitespaces)) }
        guard parts.count == dimension, values.count == dimension, result.count < 16 else {
          throw bad(field, "vectors of \(dimension) numbers")
        }
        // A vector of NaN is how some programs write that there is none.
        result.append(values.contains(where: \.isNaN) ? nil : values)
        rest = rest[rest.index(after: close)...]
      }
      return result
    }

    func image() throws -> ITKImageHeader {
      guard let dimension = Int(try require("dimension")), (1...16).contains(dimension) else {
        throw bad("dimension", "1 to 16")
      }
      guard let sizes = words("sizes")?.compactMap({ Int($0) }), sizes.count == dimension else {
        throw bad("sizes", "\(dimension) integers")
      }
      try requireScalarVoxels(dimension, sizes)
      let spaceDimension = try spaceDimension()
      let spacings = try numbers("spacings", count: dimension)
      let directions = try vectors("spacedirections", dimension: spaceDimension)
      guard directions == nil || directions?.count == dimension else {
        throw bad("spacedirections", "\(dimension) vectors")
      }
      if spaceDimension > 0, spacings?.contains(where: { !$0.isNaN }) ?? false {
        throw bad("spacings", "no spacings beside a space, which has directions")
      }
      var spacing = Array(repeating: 1.0, count: dimension)
      var direction = (0..<dimension * dimension).map { $0 % (dimension + 1) == 0 ? 1.0 : 0.0 }
      var origin = Array(repeating: 0.0, count: dimension)
      for axis in 0..<dimension {
        if let value = spacings?[axis], !value.isNaN { spacing[axis] = value }
        guard let vector = directions?[axis] else { continue }
        let length = vector.reduce(0) { $0 + $1 * $1 }.squareRoot()
        spacing[axis] = length
        for row in 0..<dimension {
          direction[row * dimension + axis] = row < vector.count ? Self.flip(space, row, vector[row] / length) : 0
        }
      }
      if let vector = try vectors("spaceorigin", dimension: spaceDimension)?.first ?? nil {
        for row in 0..<min(dimension, vector.count) { origin[row] = Self.flip(space, row, vector[row]) }
      } else if spaceDimension == 0 {
        origin = try origins(dimension, spacings, sizes) ?? origin
      }
      return try ITKImageHeader(
        sizes: sizes, geometry: SimpleITKGeometry(spacing: spacing, origin: origin, direction: direction), file: file)
    }

    private var space: String { (fields["space"] ?? "").lowercased() }

    /// A coordinate in ITK's space, left-posterior-superior.
    private static func flip(_ space: String, _ row: Int, _ value: Double) -> Double {
      switch space {
      case "right-anterior-superior", "ras": row < 2 ? -value : value
      case "left-anterior-superior", "las": row == 1 ? -value : value
      default: value
      }
    }

    private func spaceDimension() throws -> Int {
      switch space {
      case "": break
      case "right-anterior-superior", "ras", "left-anterior-superior", "las", "left-posterior-superior", "lps",
        "scanner-xyz", "3d-right-handed", "3d-left-handed":
        return 3
      case "right-anterior-superior-time", "rast", "left-anterior-superior-time", "last",
        "left-posterior-superior-time", "lpst", "scanner-xyz-time", "3d-right-handed-time", "3d-left-handed-time":
        return 4
      default: throw bad("space", "a space that the format knows")
      }
      guard let text = fields["spacedimension"] else { return 0 }
      guard let dimension = Int(text), (1...8).contains(dimension) else { throw bad("spacedimension", "1 to 8") }
      return dimension
    }

    /// Where the first voxel's centre is if the axes say where they begin.
    ///
    /// teem: `nrrdOriginCalculate`.
    private func origins(_ dimension: Int, _ spacings: [Double]?, _ sizes: [Int]) throws -> [Double]? {
      guard let minima = try numbers("axismins", count: dimension), !minima.contains(where: \.isNaN) else { return nil }
      let maxima = try numbers("axismaxs", count: dimension)
      let centers = words("centers")
      var result: [Double] = []
      for axis in 0..<dimension {
        let isCell = centers.map { axis < $0.count ? $0[axis].lowercased() != "node" : true } ?? true
        let stored = spacings?[axis] ?? .nan
        let maximum = maxima?[axis] ?? .nan
        guard !stored.isNaN || !maximum.isNaN else { return nil }
        let intervals = isCell ? sizes[axis] : sizes[axis] - 1
        let spacing = stored.isNaN ? (maximum - minima[axis]) / Double(intervals) : stored
        result.append(minima[axis] + (isCell ? spacing / 2 : 0))
      }
      return result
    }

    /// Refuses colours, vectors and matrices: nnU-Net would take their components for an axis of the image.
    private func requireScalarVoxels(_ dimension: Int, _ sizes: [Int]) throws {
      guard let kinds = words("kinds") else { return }
      guard kinds.count == dimension else { throw bad("kinds", "\(dimension) words") }
      for (axis, kind) in kinds.enumerated() {
        guard !["domain", "space", "time", "???", "none"].contains(kind.lowercased()) else { continue }
        throw ImageError.unsupported(
          file: file.path, found: "\(sizes[axis]) components per voxel (axis kind \(kind))",
          supported: "one file per channel")
      }
    }

    private static let types: [String: StoredElementType] = {
      var types: [String: StoredElementType] = [
        "signedchar": .int8, "int8": .int8, "int8_t": .int8, "uchar": .uint8, "unsignedchar": .uint8, "uint8": .uint8,
        "uint8_t": .uint8, "float": .float32, "double": .float64,
      ]
      for (names, signed, unsigned) in [
        (["short", "shortint", "int16", "int16_t"], StoredElementType.int16, StoredElementType.uint16),
        (["int", "int32", "int32_t"], .int32, .uint32),
        (["longlong", "longlongint", "int64", "int64_t"], .int64, .uint64),
      ] {
        for name in names {
          types[name] = signed
          types["signed" + name] = signed
          types["u" + name] = unsigned
          types["unsigned" + name] = unsigned
        }
      }
      return types
    }()

    func voxels(sizes: [Int]) throws -> TextOrBinaryVoxels {
      guard let type = Self.types[try require("type").lowercased().filter { $0 != " " }] else {
        throw ImageError.unsupported(
          file: file.path, found: "voxels of type '\(fields["type"] ?? "")'",
          supported: "integers of 8 to 64 bits or floats of 32 or 64 bits")
      }
      let encoding = try require("encoding").lowercased()
      var elements = StoredElements(type: type)
      if type.byteCount > 1, ["raw", "gz", "gzip"].contains(encoding) {
        switch try require("endian").lowercased() {
        case "little": elements.isByteSwapped = 1.littleEndian != 1
        case "big": elements.isByteSwapped = 1.bigEndian != 1
        default: throw bad("endian", "little or big")
        }
      }
      let (dataFile, start) = try dataFile()
      let lineSkip = try skip("lineskip", lowest: 0)
      let byteSkip = try skip("byteskip", lowest: -1)
      let offset = try lineSkip == 0 ? start : TextOrBinaryVoxels.position(afterLines: lineSkip, in: dataFile, start)
      switch encoding {
      case "raw":
        guard byteSkip < 0 else {
          return .binary(VoxelSource(file: dataFile, offset: offset + byteSkip, elements: elements))
        }
        return .binary(try TextOrBinaryVoxels.last(of: dataFile, elements, sizes: sizes, notBefore: offset))
      case "gz", "gzip":
        guard byteSkip >= 0 else { throw bad("byteskip", "0 or more for packed data") }
        return .binary(
          VoxelSource(
            file: dataFile, offset: offset, packing: .deflated, skippedByteCount: byteSkip, elements: elements))
      case "ascii", "text", "txt": return .text(dataFile, offset: offset + max(0, byteSkip))
      default:
        throw ImageError.unsupported(
          file: file.path, found: "encoding '\(encoding)'", supported: "raw, gzip or ascii encoding")
      }
    }

    private func skip(_ field: String, lowest: Int) throws -> Int {
      guard let text = fields[field] else { return 0 }
      // As for a data offset, a gigabyte is beyond reason.
      guard let value = Int(text), value >= lowest, value < 1 << 30 else { throw bad(field, "\(lowest) or more") }
      return value
    }

    /// The file of the voxels, and where they begin in it.
    private func dataFile() throws -> (URL, Int) {
      guard let name = fields["datafile"] else {
        guard hasEnd else {
          throw ImageError.badHeader(
            file: file.path, field: "datafile", found: "missing", expected: "data after an empty line")
        }
        return (file, end)
      }
      let words = TextHeader.words(name[...])
      guard words.first != "LIST", !(words.count > 1 && name.contains("%")) else {
        throw ImageError.unsupported(
          file: file.path, found: "voxels in several files", supported: "voxels in one file")
      }
      return (TextHeader.dataFile(name, besides: file), 0)
    }
  }

  /// Writes as ITK does: packed with gzip, in the space left-posterior-superior.
  static func write(
    _ voxels: UnsafeRawBufferPointer, type: StoredElementType, sizes: [Int], geometry: SimpleITKGeometry, to file: URL
  ) throws {
    let (axes, count) = (geometry.spacing.count, sizes.count)
    func vector(_ values: [Double]) -> String { "(" + values.map { "\($0)" }.joined(separator: ",") + ")" }
    let directions = (0..<count).map { axis in
      vector((0..<count).map { geometry.direction[$0 * axes + axis] * geometry.spacing[axis] })
    }
    var lines = ["NRRD0004", "type: \(type)", "dimension: \(count)"]
    lines.append(count == 3 ? "space: left-posterior-superior" : "space dimension: \(count)")
    lines.append("sizes: " + sizes.map(String.init).joined(separator: " "))
    lines.append("space directions: " + directions.joined(separator: " "))
    lines.append("kinds: " + Array(repeating: "domain", count: count).joined(separator: " "))
    if type.byteCount > 1 { lines.append("endian: " + (1.littleEndian == 1 ? "little" : "big")) }
    lines.append("encoding: gzip")
    lines.append("space origin: " + vector(Array(geometry.origin.prefix(count))))
    var dataFile: URL?
    if file.pathExtension.lowercased() == "nhdr" {
      let name = file.deletingPathExtension().lastPathComponent + ".raw.gz"
      dataFile = file.deletingLastPathComponent().appendingPathComponent(name)
      lines.append("data file: \(name)")
    }
    try ITKImageFile.write(
      header: lines.joined(separator: "\n") + "\n\n", packedVoxels: Deflating.gzip.packed(voxels, file: file), to: file,
      dataFile: dataFile)
  }
}

/// Voxels as numbers in binary or in text.
enum TextOrBinaryVoxels {
  case binary(VoxelSource)
  case text(URL, offset: Int)

  func read(shape: [Int]) throws -> VoxelGrid<Float> {
    switch self {
    case .binary(let source): try source.read(shape: shape)
    case .text(let file, let offset): try TextHeader.voxels(file, offset: offset, shape: shape)
    }
  }

  /// The voxels that are the last bytes of a file.
  static func last(of file: URL, _ elements: StoredElements, sizes: [Int], notBefore start: Int) throws -> VoxelSource {
    let fileSize = try FileByteReader(file, packing: .none).fileSize
    var count = elements.type.byteCount
    for size in sizes {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      guard !overflow, product <= fileSize - start else {
        throw ImageError.badHeader(
          file: file.path, field: "sizes", found: "\(sizes)", expected: "what a file of \(fileSize) bytes can hold")
      }
      count = product
    }
    return VoxelSource(file: file, offset: fileSize - count, elements: elements)
  }

  /// The position behind `count` lines that begin at `start`.
  static func position(afterLines count: Int, in file: URL, _ start: Int) throws -> Int {
    let reader = try FileByteReader(file, offset: start, packing: .none)
    var (position, lines) = (start, 0)
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let found = try block.withUnsafeMutableBytes { try reader.read(into: $0) }
      for byte in block[..<found] {
        position += 1
        if byte == 0x0A { lines += 1 }
        if lines == count { return position }
      }
      guard found == block.count else {
        throw ImageError.badHeader(
          file: file.path, field: "lineskip", found: "\(count)", expected: "at most the \(lines) lines of the file")
      }
    }
  }
}
