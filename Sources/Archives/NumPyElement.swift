/// The element types of NumPy arrays that are read and written, named as NumPy names them.
public enum NumPyElementKind: String, Sendable, Equatable, CaseIterable {
  case bool = "b1"
  case int8 = "i1"
  case int16 = "i2"
  case int32 = "i4"
  case int64 = "i8"
  case uint8 = "u1"
  case uint16 = "u2"
  case uint32 = "u4"
  case uint64 = "u8"
  case float16 = "f2"
  case float32 = "f4"
  case float64 = "f8"

  /// Bytes of one element.
  public var size: Int {
    switch self {
    case .bool, .int8, .uint8: 1
    case .int16, .uint16, .float16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64: 8
    }
  }

  /// The type with its byte order, as headers write it (`<f4`, `|u1`).
  package var descriptor: String { (size == 1 ? "|" : "<") + rawValue }
}

/// A Swift number that NumPy arrays are converted to and made from.
public protocol NumPyElement: Sendable, BitwiseCopyable {
  static var numPyKind: NumPyElementKind { get }
  /// The value as this type: integers must fit, floating-point numbers are rounded to nearest.
  static func converted(from value: Int64) -> Self?
  static func converted(from value: UInt64) -> Self?
  static func converted(from value: Double) -> Self?
}

extension NumPyElement where Self: BinaryFloatingPoint {
  public static func converted(from value: Int64) -> Self? { Self(value) }
  public static func converted(from value: UInt64) -> Self? { Self(value) }
  public static func converted(from value: Double) -> Self? { Self(value) }
}

extension NumPyElement where Self: FixedWidthInteger {
  public static func converted(from value: Int64) -> Self? { Self(exactly: value) }
  public static func converted(from value: UInt64) -> Self? { Self(exactly: value) }
  public static func converted(from value: Double) -> Self? { Self(exactly: value) }
}

extension Float: NumPyElement { public static var numPyKind: NumPyElementKind { .float32 } }
extension Double: NumPyElement { public static var numPyKind: NumPyElementKind { .float64 } }
extension Int8: NumPyElement { public static var numPyKind: NumPyElementKind { .int8 } }
extension Int16: NumPyElement { public static var numPyKind: NumPyElementKind { .int16 } }
extension Int32: NumPyElement { public static var numPyKind: NumPyElementKind { .int32 } }
extension Int64: NumPyElement { public static var numPyKind: NumPyElementKind { .int64 } }
extension Int: NumPyElement { public static var numPyKind: NumPyElementKind { .int64 } }
extension UInt8: NumPyElement { public static var numPyKind: NumPyElementKind { .uint8 } }
extension UInt16: NumPyElement { public static var numPyKind: NumPyElementKind { .uint16 } }
extension UInt32: NumPyElement { public static var numPyKind: NumPyElementKind { .uint32 } }
extension UInt64: NumPyElement { public static var numPyKind: NumPyElementKind { .uint64 } }

/// Conversions from the 16-bit floating-point formats, which Swift does not have on every platform.
package enum HalfPrecision {
  /// The value of an IEEE half-precision number.
  @inline(__always)
  package static func float(binary16 bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 0x1F
    let mantissa = UInt32(bits & 0x3FF)
    if exponent == 0x1F { return Float(bitPattern: sign | 0x7F80_0000 | mantissa << 13) }
    if exponent == 0 {
      let magnitude = Float(mantissa) * 0x1p-24
      return sign == 0 ? magnitude : -magnitude
    }
    return Float(bitPattern: sign | (exponent + 112) << 23 | mantissa << 13)
  }

  /// The nearest IEEE half-precision number, ties to even.
  package static func binary16(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let magnitude = bits & 0x7FFF_FFFF
    if magnitude > 0x7F80_0000 { return sign | 0x7E00 }
    // 65520 and above round to infinity.
    if magnitude >= 0x477F_F000 { return sign | 0x7C00 }
    if magnitude < 0x3880_0000 {
      // Subnormal: the sum aligns the last half-precision bit with the last bit of a float, which rounds correctly.
      let aligned = Float(bitPattern: magnitude) + 0.5
      return sign | UInt16(truncatingIfNeeded: aligned.bitPattern &- (0.5 as Float).bitPattern)
    }
    let rounded = magnitude &+ 0xFFF &+ ((magnitude >> 13) & 1)
    return sign | UInt16(truncatingIfNeeded: (rounded >> 13) &- (112 << 10))
  }

  /// The value of a bfloat16 number.
  @inline(__always)
  package static func float(brain16 bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }
}
