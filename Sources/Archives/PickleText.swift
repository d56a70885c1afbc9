/// The textual forms of the older protocols, integers of any length, and the names of opcodes.
enum PickleText {
  static func latin1(_ bytes: ArraySlice<UInt8>) -> String {
    var text = String.UnicodeScalarView()
    for byte in bytes { text.append(Unicode.Scalar(byte)) }
    return String(text)
  }

  static func decimal(_ line: ArraySlice<UInt8>, name: String) throws -> Int {
    guard let value = Int(String(decoding: line, as: UTF8.self)), value >= 0 else {
      throw ArchiveError(.damaged, name, expected: "a number", found: "other text")
    }
    return value
  }

  /// A Python 2 string literal with quotes and escapes.
  static func quoted(_ line: ArraySlice<UInt8>, name: String) throws -> String {
    func damaged() -> ArchiveError {
      ArchiveError(.damaged, name, expected: "a quoted string", found: "other text")
    }
    guard line.count >= 2, let quote = line.first, quote == line.last, quote == 0x27 || quote == 0x22 else {
      throw damaged()
    }
    var rest = line.dropFirst().dropLast()
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      guard byte == 0x5C else {
        bytes.append(byte)
        continue
      }
      guard let escape = rest.popFirst() else { throw damaged() }
      switch escape {
      case UInt8(ascii: "n"): bytes.append(0x0A)
      case UInt8(ascii: "t"): bytes.append(0x09)
      case UInt8(ascii: "r"): bytes.append(0x0D)
      case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): bytes.append(escape)
      case UInt8(ascii: "x"):
        guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
          throw damaged()
        }
        rest = rest.dropFirst(2)
        bytes.append(value)
      default: throw damaged()
      }
    }
    return latin1(bytes[...])
  }

  /// Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
  static func rawUnicodeEscape(_ line: ArraySlice<UInt8>, name: String) throws -> String {
    var rest = line
    var text = String.UnicodeScalarView()
    while let byte = rest.popFirst() {
      if byte == 0x5C, let kind = rest.first, kind == UInt8(ascii: "u") || kind == UInt8(ascii: "U") {
        let length = kind == UInt8(ascii: "u") ? 4 : 8
        rest = rest.dropFirst()
        guard rest.count >= length, let value = UInt32(String(decoding: rest.prefix(length), as: UTF8.self), radix: 16)
        else { throw ArchiveError(.damaged, name, expected: "\(length) hexadecimal digits", found: "other text") }
        rest = rest.dropFirst(length)
        // Lone surrogates have no place in Swift strings.
        text.append(Unicode.Scalar(value) ?? "\u{FFFD}")
      } else {
        text.append(Unicode.Scalar(byte))
      }
    }
    return String(text)
  }

  /// A little-endian integer in two's complement.
  static func integer(twosComplement digits: [UInt8]) -> PickleValue {
    guard let last = digits.last else { return .integer(0) }
    let isNegative = last >= 0x80
    if digits.count <= 8 {
      var value: UInt64 = isNegative ? .max : 0
      for (index, byte) in digits.enumerated() {
        value = value & ~(0xFF << UInt64(8 * index)) | UInt64(byte) << UInt64(8 * index)
      }
      return .integer(Int(Int64(bitPattern: value)))
    }
    var magnitude = digits
    if isNegative {
      var carry = true
      for index in magnitude.indices {
        magnitude[index] = ~magnitude[index]
        if carry { (magnitude[index], carry) = magnitude[index].addingReportingOverflow(1) }
      }
    }
    // Repeated division by 10^9, from the most significant byte down.
    var groups: [UInt32] = [0]
    for byte in magnitude.reversed() {
      var carry = UInt64(byte)
      for index in groups.indices {
        carry += UInt64(groups[index]) << 8
        groups[index] = UInt32(carry % 1_000_000_000)
        carry /= 1_000_000_000
      }
      if carry > 0 { groups.append(UInt32(carry)) }
    }
    var text = String(groups[groups.count - 1])
    for group in groups.dropLast().reversed() {
      let part = String(group)
      text += String(repeating: "0", count: 9 - part.count) + part
    }
    let signed = isNegative ? "-" + text : text
    return Int(signed).map { .integer($0) } ?? .bigInteger(signed)
  }

  static func opcodeName(_ opcode: UInt8) -> String {
    let names: [UInt8: String] = [
      0x69: "INST", 0x6F: "OBJ", 0x82: "EXT1", 0x83: "EXT2", 0x84: "EXT4", 0x97: "NEXT_BUFFER",
      0x98: "READONLY_BUFFER",
    ]
    let hex = "0x" + String(opcode, radix: 16)
    return names[opcode].map { "\($0) (\(hex))" } ?? hex
  }
}
