import Foundation

/// The header of a MetaImage, with its voxels (`.mha`) or apart from them (`.mhd`), as ITK understands it.
///
/// ITK 5.4: `MetaImageIO` and MetaIO's `MetaImage`.
enum MetaImageHeader {
  private static let longestHeader = 1 << 20

  /// The fields of the header, not yet understood.
  struct Text: ImageHeaderText {
    let file: URL
    private var fields: [String: String] = [:]
    /// Where the data begin if they follow the header.
    private var end = 0

    init(_ file: URL) throws {
      self.file = file
      let bytes = try TextHeader.prefix(of: file, limit: MetaImageHeader.longestHeader)
      var position = 0
      while position < bytes.count, fields["ElementDataFile"] == nil {
        let line = TextHeader.line(bytes, &position)
        guard let separator = line.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
          if line.allSatisfy(\.isWhitespace) { continue }
          break
        }
        let name = line[..<separator].trimmingCharacters(in: .whitespaces)
        fields[name] = line[line.index(after: separator)...].trimmingCharacters(in: .whitespaces)
      }
      end = position
      guard fields["NDims"] != nil, fields["ElementDataFile"] != nil else {
        throw ImageError.wrongFormat(
          file: file.path, expected: "a MetaImage with the fields NDims and ElementDataFile",
          found: "a file that starts with \(bytes.prefix(8))")
      }
    }

    private func bad(_ field: String, _ expected: String) -> ImageError {
      .badHeader(
        file: file.path, field: field, found: fields[field].map { "'\($0.prefix(80))'" } ?? "missing",
        expected: expected)
    }

    /// The numbers in the first of the fields that is there.
    private func numbers(_ names: [String], count: Int) throws -> [Double]? {
      guard let name = names.first(where: { fields[$0] != nil }), let text = fields[name] else { return nil }
      let words = TextHeader.words(text[...])
      let values = words.compactMap { Double($0) }
      guard values.count == count, words.count == count else { throw bad(name, "\(count) numbers") }
      return values
    }

    private func integer(_ name: String, in range: ClosedRange<Int>, absent: Int) throws -> Int {
      guard let text = fields[name] else { return absent }
      guard let value = Int(text), range.contains(value) else {
        throw bad(name, "an integer from \(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }

    private func flag(_ names: [String]) -> Bool {
      guard let text = names.compactMap({ fields[$0] }).first else { return false }
      return ["t", "y", "1"].contains(text.prefix(1).lowercased())
    }

    func image() throws -> ITKImageHeader {
      let axes = try integer("NDims", in: 1...10, absent: 3)
      guard let sizes = fields["DimSize"].map({ TextHeader.words($0[...]).compactMap { Int($0) } }), sizes.count == axes
      else { throw bad("DimSize", "\(axes) integers") }
      let components = try integer("ElementNumberOfChannels", in: 1...(1 << 20), absent: 1)
      guard components == 1 else {
        throw ImageError.unsupported(
          file: file.path, found: "\(components) components per voxel", supported: "one file per channel")
      }
      // Each row of the matrix is the direction of an axis.
      let matrix = try numbers(["TransformMatrix", "Rotation", "Orientation"], count: axes * axes)
      let direction = (0..<axes * axes).map { index in
        let (row, axis) = (index / axes, index % axes)
        return matrix?[axis * axes + row] ?? (row == axis ? 1 : 0)
      }
      let geometry = SimpleITKGeometry(
        spacing: try numbers(["ElementSpacing", "ElementSize"], count: axes) ?? Array(repeating: 1, count: axes),
        origin: try numbers(["Offset", "Position", "Origin"], count: axes) ?? Array(repeating: 0, count: axes),
        direction: direction)
      return try ITKImageHeader(sizes: sizes, geometry: geometry, file: file)
    }

    private static let types: [String: StoredElementType] = [
      "MET_CHAR": .int8, "MET_UCHAR": .uint8, "MET_SHORT": .int16, "MET_USHORT": .uint16, "MET_INT": .int32,
      "MET_UINT": .uint32, "MET_LONG": .int32, "MET_ULONG": .uint32, "MET_LONG_LONG": .int64,
      "MET_ULONG_LONG": .uint64, "MET_FLOAT": .float32, "MET_DOUBLE": .float64,
    ]

    /// MetaImage's name for a type.
    static func name(of type: StoredElementType) -> String? {
      // MET_LONG is another name for a 32-bit integer.
      types.first { $0.value == type && $0.key != "MET_LONG" && $0.key != "MET_ULONG" }?.key
    }

    func voxels(sizes: [Int]) throws -> TextOrBinaryVoxels {
      guard let type = fields["ElementType"].flatMap({ Self.types[$0] }) else {
        throw ImageError.unsupported(
          file: file.path, found: "voxels of type '\(fields["ElementType"] ?? "")'",
          supported: "integers of 8 to 64 bits or floats of 32 or 64 bits")
      }
      let isBigEndian = flag(["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
      let elements = StoredElements(type: type, isByteSwapped: isBigEndian != (1.bigEndian == 1))
      let (dataFile, start) = try dataFile()
      // Counted from the beginning of the file, also behind a header; -1 stands for 'the voxels are the last bytes'.
      let headerSize = try integer("HeaderSize", in: -1...(1 << 30), absent: 0)
      let offset = headerSize > 0 ? headerSize : start
      let isText = fields["BinaryData"] != nil && !flag(["BinaryData"])
      if flag(["CompressedData"]) {
        guard headerSize >= 0, !isText else { throw bad("CompressedData", "False beside such a HeaderSize or text") }
        return .binary(VoxelSource(file: dataFile, offset: offset, packing: .deflated, elements: elements))
      }
      if isText { return .text(dataFile, offset: offset) }
      guard headerSize < 0 else { return .binary(VoxelSource(file: dataFile, offset: offset, elements: elements)) }
      return .binary(try TextOrBinaryVoxels.last(of: dataFile, elements, sizes: sizes, notBefore: start))
    }

    /// The file of the voxels, and where they begin in it.
    private func dataFile() throws -> (URL, Int) {
      let name = fields["ElementDataFile"] ?? ""
      if ["LOCAL", "local", "Local"].contains(name) { return (file, end) }
      guard !name.hasPrefix("LIST"), !name.contains("%") else {
        throw ImageError.unsupported(
          file: file.path, found: "voxels in several files", supported: "voxels in one file")
      }
      guard !name.isEmpty else { throw bad("ElementDataFile", "LOCAL or the name of a file") }
      return (TextHeader.dataFile(name, besides: file), 0)
    }
  }

  /// Writes as ITK does: packed with zlib.
  static func write(
    _ voxels: UnsafeRawBufferPointer, type: StoredElementType, sizes: [Int], geometry: SimpleITKGeometry, to file: URL
  ) throws {
    let (axes, count) = (geometry.spacing.count, sizes.count)
    guard let typeName = Text.name(of: type) else {
      throw ImageError.cannotWrite(file: file.path, reason: "MetaImage has no type \(type)")
    }
    let packed = try Deflating.zlib.packed(voxels, file: file)
    func list<Value>(_ values: some Sequence<Value>) -> String { values.map { "\($0)" }.joined(separator: " ") }
    // Each row of the matrix is the direction of an axis.
    let matrix = (0..<count).flatMap { axis in (0..<count).map { geometry.direction[$0 * axes + axis] } }
    var dataFile: URL?
    if file.pathExtension.lowercased() == "mhd" {
      dataFile = file.deletingPathExtension().appendingPathExtension("zraw")
    }
    let lines = [
      "ObjectType = Image", "NDims = \(count)", "BinaryData = True",
      "BinaryDataByteOrderMSB = \(1.bigEndian == 1 ? "True" : "False")", "CompressedData = True",
      "CompressedDataSize = \(packed.count)", "TransformMatrix = " + list(matrix),
      "Offset = " + list(geometry.origin.prefix(count)), "CenterOfRotation = " + list(repeatElement(0, count: count)),
      "ElementSpacing = " + list(geometry.spacing.prefix(count)), "DimSize = " + list(sizes),
      "ElementType = \(typeName)", "ElementDataFile = \(dataFile?.lastPathComponent ?? "LOCAL")",
    ]
    try ITKImageFile.write(
      header: lines.joined(separator: "\n") + "\n", packedVoxels: packed, to: file, dataFile: dataFile)
  }
}
