extension Pickle {
  /// The bytes of a pickle of protocol 4, which Python 3.4 and later load.
  ///
  /// Persistent references cannot be written.
  public static func write(_ value: PickleValue) throws -> [UInt8] {
    var writer = PickleWriter()
    writer.bytes += [0x80, 4]
    try writer.write(value, depth: 0)
    writer.bytes.append(UInt8(ascii: "."))
    return writer.bytes
  }

  /// Writes a file with one pickle; it appears whole or not at all.
  public static func write(_ value: PickleValue, atomicallyAt path: String) throws {
    let bytes = try write(value)
    try AtomicFile.write(to: path) { try $0.write(bytes) }
  }
}

private struct PickleWriter {
  var bytes: [UInt8] = []

  mutating func write(_ value: PickleValue, depth: Int) throws {
    guard depth < 200 else {
      throw ArchiveError(.cannotWrite, "pickle", expected: "at most 200 levels of nesting", found: "more")
    }
    switch value {
    case .none: bytes.append(UInt8(ascii: "N"))
    case .bool(let value): bytes.append(value ? 0x88 : 0x89)
    case .integer(let value): write(value)
    case .bigInteger(let digits):
      // The textual form, which every protocol knows.
      bytes.append(UInt8(ascii: "L"))
      bytes += digits.utf8
      bytes += [UInt8(ascii: "L"), 0x0A]
    case .float(let value):
      bytes.append(UInt8(ascii: "G"))
      bytes.append(littleEndian: value.bitPattern.byteSwapped)
    case .string(let value): write(value)
    case .bytes(let value): write(value)
    case .list(let values):
      bytes.append(UInt8(ascii: "]"))
      try write(items: values, append: UInt8(ascii: "e"), depth: depth)
    case .tuple(let values): try write(tuple: values, depth: depth)
    case .set(let values):
      bytes.append(0x8F)
      try write(items: values, append: 0x90, depth: depth)
    case .dictionary(let dictionary):
      bytes.append(UInt8(ascii: "}"))
      try write(
        items: zip(dictionary.keys, dictionary.values).flatMap { [$0, $1] }, append: UInt8(ascii: "u"), depth: depth)
    case .object(let object):
      try write(.classReference(object.className), depth: depth + 1)
      try write(tuple: object.arguments, depth: depth)
      bytes.append(UInt8(ascii: "R"))
      if let state = object.state {
        try write(state, depth: depth + 1)
        bytes.append(UInt8(ascii: "b"))
      }
    case .classReference(let name):
      guard let dot = name.lastIndex(of: ".") else {
        throw ArchiveError(.cannotWrite, "pickle", expected: "a class as module.name", found: "'\(name)'")
      }
      write(String(name[..<dot]))
      write(String(name[name.index(after: dot)...]))
      bytes.append(0x93)
    case .persistent:
      throw ArchiveError(.cannotWrite, "pickle", expected: "plain values", found: "a persistent reference")
    }
  }

  private mutating func write(_ value: Int) {
    if let small = UInt8(exactly: value) {
      bytes += [UInt8(ascii: "K"), small]
    } else if let medium = Int32(exactly: value) {
      bytes.append(UInt8(ascii: "J"))
      bytes.append(littleEndian: medium)
    } else {
      bytes += [0x8A, 8]
      bytes.append(littleEndian: Int64(value))
    }
  }

  private mutating func write(_ value: String) {
    let text = Array(value.utf8)
    if text.count < 256 {
      bytes += [0x8C, UInt8(text.count)]
    } else if let length = UInt32(exactly: text.count) {
      bytes.append(UInt8(ascii: "X"))
      bytes.append(littleEndian: length)
    } else {
      bytes.append(0x8D)
      bytes.append(littleEndian: UInt64(text.count))
    }
    bytes += text
  }

  private mutating func write(_ value: [UInt8]) {
    if value.count < 256 {
      bytes += [UInt8(ascii: "C"), UInt8(value.count)]
    } else {
      bytes.append(0x8E)
      bytes.append(littleEndian: UInt64(value.count))
    }
    bytes += value
  }

  private mutating func write(tuple values: [PickleValue], depth: Int) throws {
    if values.isEmpty { return bytes.append(UInt8(ascii: ")")) }
    let isShort = values.count <= 3
    if !isShort { bytes.append(UInt8(ascii: "(")) }
    for value in values { try write(value, depth: depth + 1) }
    bytes.append(isShort ? 0x84 + UInt8(values.count) : UInt8(ascii: "t"))
  }

  private mutating func write(items: [PickleValue], append opcode: UInt8, depth: Int) throws {
    guard !items.isEmpty else { return }
    bytes.append(UInt8(ascii: "("))
    for item in items { try write(item, depth: depth + 1) }
    bytes.append(opcode)
  }
}
