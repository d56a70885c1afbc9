extension JSONValue {
  /// The text that Python's `json.dumps` gives for the same value.
  /// - Parameters:
  ///   - indent: spaces per level, or `nil` for one line.
  ///   - sortKeys: sorts the keys of all objects by code point.
  ///   - ensureASCII: writes everything outside ASCII as `\u` escapes.
  public func text(indent: Int? = 4, sortKeys: Bool = false, ensureASCII: Bool = true) -> String {
    var writer = JSONWriter(indent: indent, sortKeys: sortKeys, ensureASCII: ensureASCII)
    writer.write(self, level: 0)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

private struct JSONWriter {
  let indent: Int?
  let sortKeys: Bool
  let ensureASCII: Bool
  var bytes: [UInt8] = []

  init(indent: Int?, sortKeys: Bool, ensureASCII: Bool) {
    self.indent = indent
    self.sortKeys = sortKeys
    self.ensureASCII = ensureASCII
  }

  mutating func write(_ value: JSONValue, level: Int) {
    switch value {
    case .null: append("null")
    case .bool(let bool): append(bool ? "true" : "false")
    case .integer(let integer): append(String(integer))
    case .number(let number): append(pythonDescription(of: number))
    case .string(let string): write(string)
    case .array(let array):
      if array.isEmpty { return append("[]") }
      append("[")
      for (index, element) in array.enumerated() {
        separate(index, level + 1)
        write(element, level: level + 1)
      }
      close("]", level)
    case .object(let object):
      if object.isEmpty { return append("{}") }
      append("{")
      let keys = sortKeys ? object.keys.sorted(by: precedesByCodePoint) : Array(object.keys)
      for (index, key) in keys.enumerated() {
        separate(index, level + 1)
        write(key)
        append(": ")
        write(object[key] ?? .null, level: level + 1)
      }
      close("}", level)
    }
  }

  private mutating func separate(_ index: Int, _ level: Int) {
    if index > 0 { append(indent == nil ? ", " : ",") }
    newLine(level)
  }

  private mutating func close(_ bracket: String, _ level: Int) {
    newLine(level)
    append(bracket)
  }

  private mutating func newLine(_ level: Int) {
    guard let indent else { return }
    bytes.append(0x0A)
    bytes.append(contentsOf: repeatElement(0x20, count: indent * level))
  }

  private mutating func append(_ text: String) {
    bytes.append(contentsOf: text.utf8)
  }

  private mutating func write(_ string: String) {
    append("\"")
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": append("\\\"")
      case "\\": append("\\\\")
      case "\n": append("\\n")
      case "\r": append("\\r")
      case "\t": append("\\t")
      case "\u{8}": append("\\b")
      case "\u{c}": append("\\f")
      default:
        if scalar.value < 0x20 || (ensureASCII && scalar.value > 0x7E) {
          for unit in String(scalar).utf16 {
            let digits = String(unit, radix: 16)
            append("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
          }
        } else {
          bytes.append(contentsOf: String(scalar).utf8)
        }
      }
    }
    append("\"")
  }
}

/// Order by code point: what Python's `sorted` and NumPy's `sort` do, and `String.<` doesn't.
package func precedesByCodePoint(_ a: String, _ b: String) -> Bool {
  // The bytes of UTF-8 have the order of the code points.
  a.utf8.lexicographicallyPrecedes(b.utf8)
}

/// Python's `repr` of a float as its `json` module writes it: the shortest digits that read back equal, a point always,
/// an exponent of at least two digits below 1e-4 and from 1e16 on.
package func pythonDescription(of number: Double) -> String {
  if number.isNaN { return "NaN" }
  if number.isInfinite { return number < 0 ? "-Infinity" : "Infinity" }
  // Swift finds the same digits, but sets the exponent's bounds elsewhere.
  var digits: [UInt8] = []
  var pointPosition: Int?
  var exponent = 0
  let text = Array(number.magnitude.description.utf8)
  for (index, byte) in text.enumerated() {
    if byte == UInt8(ascii: ".") {
      pointPosition = digits.count
    } else if byte == UInt8(ascii: "e") {
      exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0
      break
    } else {
      digits.append(byte)
    }
  }
  // The value is 0.d1d2d3... times 10 to the power `scale`.
  var scale = (pointPosition ?? digits.count) + exponent
  let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
  digits.removeFirst(leadingZeros)
  scale -= leadingZeros
  while digits.last == UInt8(ascii: "0") { digits.removeLast() }
  let sign = number.sign == .minus ? "-" : ""
  if digits.isEmpty { return sign + "0.0" }
  func string(_ range: Range<Int>) -> String { String(decoding: digits[range], as: UTF8.self) }
  func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }
  let count = digits.count
  if scale > 16 || scale < -3 {
    let power = scale - 1
    let size = String(power.magnitude)
    return sign + string(0..<1) + (count > 1 ? "." + string(1..<count) : "") + (power < 0 ? "e-" : "e+")
      + (size.utf8.count < 2 ? "0" : "") + size
  }
  if scale <= 0 { return sign + "0." + zeros(-scale) + string(0..<count) }
  if scale >= count { return sign + string(0..<count) + zeros(scale - count) + ".0" }
  return sign + string(0..<scale) + "." + string(scale..<count)
}
