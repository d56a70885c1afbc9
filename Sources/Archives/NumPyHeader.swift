/// The header of an `.npy` file: a Python dictionary of element type, order and shape.
package struct NumPyHeader: Sendable, Equatable {
  package var shape: [Int]
  package var kind: NumPyElementKind
  package var isFortranOrder: Bool
  package var isBigEndian: Bool
  /// Bytes before the elements.
  package var length: Int
  /// Bytes of all elements.
  package var byteCount: Int

  static let magic: [UInt8] = [0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]

  /// How many bytes the parts before and including the header's text take; `prefix` holds at least 12 bytes.
  package static func fullLength(_ prefix: [UInt8], name: String) throws -> Int {
    guard prefix.count >= 10, Array(prefix.prefix(6)) == magic else {
      throw ArchiveError(.damaged, name, expected: "an .npy header", found: "other bytes")
    }
    guard (1...3).contains(prefix[6]), prefix[6] == 1 || prefix.count >= 12 else {
      throw ArchiveError(.refused, name, expected: "an .npy version from 1 to 3", found: "version \(prefix[6])")
    }
    let textLength =
      prefix[6] == 1
      ? Int(prefix[8]) | Int(prefix[9]) << 8
      : Int(prefix[8]) | Int(prefix[9]) << 8 | Int(prefix[10]) << 16 | Int(prefix[11]) << 24
    guard textLength <= 1 << 20 else {
      throw ArchiveError(.refused, name, expected: "an .npy header of at most 1 MiB", found: "\(textLength) bytes")
    }
    return textLength + (prefix[6] == 1 ? 10 : 12)
  }
}

extension NumPyHeader {
  package init(parsing bytes: [UInt8], name: String) throws {
    length = try Self.fullLength(bytes, name: name)
    guard bytes.count >= length else {
      throw ArchiveError(.damaged, name, expected: "an .npy header of \(length) bytes", found: "\(bytes.count)")
    }
    var parser = HeaderParser(Array(bytes[(bytes[6] == 1 ? 10 : 12)..<length]), name: name)
    let fields = try parser.parse()
    guard let descriptor = fields.descriptor, let fortran = fields.isFortranOrder, let shape = fields.shape else {
      throw parser.failure("the keys descr, fortran_order and shape")
    }
    let order = descriptor.first
    guard let order, "<>|=".contains(order),
      let kind = NumPyElementKind(rawValue: String(descriptor.dropFirst())), order != "|" || kind.size == 1
    else {
      throw ArchiveError(
        .refused, name, expected: "an element type such as '<f4', '|u1' or '<i8'", found: "'\(descriptor)'")
    }
    let (byteCount, overflow) = (Self.elementCount(shape) ?? .max).multipliedReportingOverflow(by: kind.size)
    guard !overflow, shape.count <= 64 else {
      throw ArchiveError(.damaged, name, expected: "a shape that fits in memory", found: "\(shape)")
    }
    self.shape = shape
    self.kind = kind
    self.byteCount = byteCount
    isFortranOrder = fortran
    isBigEndian = order == ">" && kind.size > 1
  }

  package static func elementCount(_ shape: [Int]) -> Int? {
    var count = 1
    for length in shape {
      guard length >= 0 else { return nil }
      if length == 0 { return 0 }
    }
    for length in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: length)
      if overflow { return nil }
      count = product
    }
    return count
  }

  /// A header in version 1 (2 where the text is long), padded so that elements start at a multiple of 64 bytes.
  package static func bytes(shape: [Int], kind: NumPyElementKind) -> [UInt8] {
    let lengths = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let text = Array("{'descr': '\(kind.descriptor)', 'fortran_order': False, 'shape': (\(lengths)), }".utf8)
    let isLong = text.count + 1 + 10 + 63 > 65535
    let prefix = isLong ? 12 : 10
    let padding = (64 - (prefix + text.count + 1) % 64) % 64
    var bytes = magic
    bytes.append(isLong ? 2 : 1)
    bytes.append(0)
    if isLong {
      bytes.append(littleEndian: UInt32(text.count + padding + 1))
    } else {
      bytes.append(littleEndian: UInt16(text.count + padding + 1))
    }
    bytes += text
    bytes += [UInt8](repeating: 0x20, count: padding)
    bytes.append(0x0A)
    return bytes
  }

  /// Elements in row-major order and little endian.
  func normalized(_ payload: ArraySlice<UInt8>) -> [UInt8] {
    var bytes = Array(payload)
    let size = kind.size
    if isBigEndian {
      bytes.withUnsafeMutableBufferPointer { buffer in
        for start in stride(from: 0, to: buffer.count, by: size) {
          for offset in 0..<size / 2 { buffer.swapAt(start + offset, start + size - 1 - offset) }
        }
      }
    }
    guard isFortranOrder, shape.count > 1, !bytes.isEmpty else { return bytes }
    var result = [UInt8](repeating: 0, count: bytes.count)
    var strides = [Int](repeating: size, count: shape.count)
    for axis in 1..<shape.count { strides[axis] = strides[axis - 1] * shape[axis - 1] }
    var position = [Int](repeating: 0, count: shape.count)
    var from = 0
    bytes.withUnsafeBytes { source in
      result.withUnsafeMutableBytes { target in
        for to in stride(from: 0, to: target.count, by: size) {
          for offset in 0..<size { target[to + offset] = source[from + offset] }
          var axis = shape.count - 1
          while axis >= 0 {
            position[axis] += 1
            from += strides[axis]
            if position[axis] < shape[axis] { break }
            from -= strides[axis] * shape[axis]
            position[axis] = 0
            axis -= 1
          }
        }
      }
    }
    return result
  }
}

/// Parses the one form of Python literal that an `.npy` header may have.
private struct HeaderParser {
  struct Fields {
    var descriptor: String?
    var isFortranOrder: Bool?
    var shape: [Int]?
  }

  private let text: [UInt8]
  private let name: String
  private var position = 0

  init(_ text: [UInt8], name: String) {
    self.text = text
    self.name = name
  }

  mutating func parse() throws -> Fields {
    var fields = Fields()
    try expect("{")
    while !skip("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr": fields.descriptor = try string()
      case "fortran_order": fields.isFortranOrder = try boolean()
      case "shape": fields.shape = try tuple()
      default: throw failure("the keys descr, fortran_order and shape")
      }
      if !skip(",") {
        try expect("}")
        break
      }
    }
    skipSpace()
    guard position == text.count else { throw failure("nothing after the dictionary") }
    return fields
  }

  func failure(_ expected: String) -> ArchiveError {
    ArchiveError(
      .damaged, name, expected: "an .npy header with " + expected,
      found: "'" + String(decoding: text.prefix(200), as: UTF8.self) + "'")
  }

  private mutating func skipSpace() {
    while position < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[position]) { position += 1 }
  }

  private mutating func skip(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func expect(_ character: Unicode.Scalar) throws {
    guard skip(character) else { throw failure("'\(character)' at \(position)") }
  }

  private mutating func string() throws -> String {
    skipSpace()
    guard position < text.count, text[position] == 0x27 || text[position] == 0x22 else {
      throw failure("a string at \(position)")
    }
    let quote = text[position]
    position += 1
    let start = position
    while position < text.count, text[position] != quote, text[position] != 0x5C { position += 1 }
    guard position < text.count, text[position] == quote else { throw failure("a plain string at \(start)") }
    defer { position += 1 }
    return String(decoding: text[start..<position], as: UTF8.self)
  }

  private mutating func word() -> String {
    skipSpace()
    let start = position
    while position < text.count, isWordByte(text[position]) { position += 1 }
    return String(decoding: text[start..<position], as: UTF8.self)
  }

  private func isWordByte(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
  }

  private mutating func boolean() throws -> Bool {
    switch word() {
    case "True": true
    case "False": false
    default: throw failure("True or False at \(position)")
    }
  }

  private mutating func tuple() throws -> [Int] {
    try expect("(")
    var lengths: [Int] = []
    while !skip(")") {
      var digits = word()
      // Python 2 wrote long integers with an L.
      if digits.hasSuffix("L") { digits.removeLast() }
      guard let length = Int(digits), length >= 0 else { throw failure("axis lengths") }
      lengths.append(length)
      if !skip(",") {
        try expect(")")
        break
      }
    }
    return lengths
  }
}
