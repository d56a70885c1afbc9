extension JSONValue {
  /// How deep arrays and objects may be nested.
  package static let maximumDepth = 256

  /// Parses UTF-8 text.
  /// - Parameter file: the name used in errors.
  /// - Throws: ``JSONSyntaxError``.
  public init(parsing bytes: [UInt8], file: String? = nil) throws {
    self = try bytes.withUnsafeBufferPointer { bytes in
      var parser = JSONParser(bytes: bytes, file: file)
      return try parser.parseText()
    }
  }

  /// Parses text.
  /// - Throws: ``JSONSyntaxError``.
  public init(parsing text: String, file: String? = nil) throws {
    try self.init(parsing: [UInt8](text.utf8), file: file)
  }
}

private struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  let file: String?
  var position = 0

  init(bytes: UnsafeBufferPointer<UInt8>, file: String?) {
    self.bytes = bytes
    self.file = file
  }

  mutating func parseText() throws -> JSONValue {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    let value = try parseValue(depth: 0)
    skipSpace()
    guard position == bytes.count else { throw failure("expected the end of the text, found \(found)") }
    return value
  }

  // MARK: Values

  private mutating func parseValue(depth: Int) throws -> JSONValue {
    skipSpace()
    guard position < bytes.count else { throw failure("expected a value, found \(found)") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try parseObject(depth: depth + 1)
    case UInt8(ascii: "["): return try parseArray(depth: depth + 1)
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "-") where matches("-Infinity"): return .number(-.infinity)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try parseNumber()
    case UInt8(ascii: "t") where matches("true"): return .bool(true)
    case UInt8(ascii: "f") where matches("false"): return .bool(false)
    case UInt8(ascii: "n") where matches("null"): return .null
    case UInt8(ascii: "N") where matches("NaN"): return .number(.nan)
    case UInt8(ascii: "I") where matches("Infinity"): return .number(.infinity)
    default: throw failure("expected a value, found \(found)")
    }
  }

  private mutating func parseObject(depth: Int) throws -> JSONValue {
    try checkDepth(depth)
    position += 1
    var object = JSONValue.Object()
    skipSpace()
    if consume("}") { return .object(object) }
    while true {
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
        throw failure("expected a key in quotation marks, found \(found)")
      }
      let key = try parseString()
      skipSpace()
      guard consume(":") else { throw failure("expected ':' after the key \"\(key.prefix(40))\", found \(found)") }
      object[key] = try parseValue(depth: depth)
      skipSpace()
      if consume("}") { return .object(object) }
      guard consume(",") else { throw failure("expected ',' or '}', found \(found)") }
    }
  }

  private mutating func parseArray(depth: Int) throws -> JSONValue {
    try checkDepth(depth)
    position += 1
    var array: [JSONValue] = []
    skipSpace()
    if consume("]") { return .array(array) }
    while true {
      array.append(try parseValue(depth: depth))
      skipSpace()
      if consume("]") { return .array(array) }
      guard consume(",") else { throw failure("expected ',' or ']', found \(found)") }
    }
  }

  private mutating func parseNumber() throws -> JSONValue {
    let start = position
    var isInteger = true
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    let integerStart = position
    guard skipDigits() > 0 else { throw failure("expected a digit, found \(found)") }
    if bytes[integerStart] == UInt8(ascii: "0"), position > integerStart + 1 {
      position = integerStart
      throw failure("a number can't begin with 0 followed by more digits")
    }
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      position += 1
      isInteger = false
      guard skipDigits() > 0 else { throw failure("expected a digit after '.', found \(found)") }
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      isInteger = false
      if position < bytes.count, bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-") {
        position += 1
      }
      guard skipDigits() > 0 else { throw failure("expected a digit in the exponent, found \(found)") }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let integer = Int(text) { return .integer(integer) }
    guard let number = Double(text) else { throw failure("'\(text.prefix(40))' is not a number") }
    return .number(number)
  }

  // MARK: Strings

  private mutating func parseString() throws -> String {
    position += 1
    let start = position
    // Most strings have no escapes: their bytes are taken as they are.
    while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\") {
      guard bytes[position] >= 0x20 else { throw failure("a control character in a string must be escaped") }
      position += 1
    }
    var text = try decode(start..<position)
    while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
      guard bytes[position] >= 0x20 else { throw failure("a control character in a string must be escaped") }
      if bytes[position] == UInt8(ascii: "\\") {
        position += 1
        text.unicodeScalars.append(try parseEscape())
      } else {
        let run = position
        while position < bytes.count, bytes[position] >= 0x20, bytes[position] != UInt8(ascii: "\""),
          bytes[position] != UInt8(ascii: "\\")
        {
          position += 1
        }
        text += try decode(run..<position)
      }
    }
    guard consume("\"") else { throw failure("the text ends inside a string") }
    return text
  }

  private mutating func parseEscape() throws -> Unicode.Scalar {
    guard position < bytes.count else { throw failure("the text ends inside a string") }
    let escaped = bytes[position]
    position += 1
    switch escaped {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(escaped)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      var code = UInt32(try parseHexadecimalQuad())
      if (0xD800..<0xDC00).contains(code), matches("\\u") {
        let low = UInt32(try parseHexadecimalQuad())
        guard (0xDC00..<0xE000).contains(low) else { throw failure("an unpaired surrogate in a string") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("an unpaired surrogate in a string") }
      return scalar
    default:
      position -= 1
      throw failure("unknown escape in a string: '\\' followed by \(found)")
    }
  }

  private mutating func parseHexadecimalQuad() throws -> UInt16 {
    var code: UInt16 = 0
    for _ in 0..<4 {
      guard position < bytes.count, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue,
        bytes[position] < 0x80
      else { throw failure("expected four hexadecimal digits after '\\u', found \(found)") }
      code = code << 4 | UInt16(digit)
      position += 1
    }
    return code
  }

  private func decode(_ range: Range<Int>) throws -> String {
    guard let text = String(validating: bytes[range], as: UTF8.self) else {
      throw failure("a string that isn't UTF-8")
    }
    return text
  }

  // MARK: Bytes

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while position < bytes.count, bytes[position] >= 0x30, bytes[position] <= 0x39 { position += 1 }
    return position - start
  }

  private mutating func consume(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func matches(_ word: StaticString) -> Bool {
    let count = word.utf8CodeUnitCount
    guard position + count <= bytes.count else { return false }
    for index in 0..<count where bytes[position + index] != word.utf8Start[index] { return false }
    position += count
    return true
  }

  private func checkDepth(_ depth: Int) throws {
    guard depth <= JSONValue.maximumDepth else {
      throw failure("lists and objects are nested deeper than \(JSONValue.maximumDepth)")
    }
  }

  private var found: String {
    guard position < bytes.count else { return "the end of the text" }
    let byte = bytes[position]
    return byte >= 0x20 && byte < 0x7F ? "'\(Character(Unicode.Scalar(byte)))'" : "the byte \(byte)"
  }

  private func failure(_ problem: String) -> JSONSyntaxError {
    let before = bytes[..<min(position, bytes.count)]
    let line = before.count { $0 == 0x0A } + 1
    let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    return JSONSyntaxError(file: file, line: line, column: position - lineStart + 1, problem: problem)
  }
}
