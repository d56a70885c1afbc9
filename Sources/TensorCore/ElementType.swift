/// What a tensor's elements are. Computation is in float32; the integer types carry labels, masks and random states.
public enum ElementType: String, Hashable, Sendable, Codable {
  case float32, int16, uint8, uint64

  public var byteCount: Int {
    switch self {
    case .float32: 4
    case .int16: 2
    case .uint8: 1
    case .uint64: 8
    }
  }
}

/// A Swift type that a tensor can hold.
public protocol TensorElement: Sendable {
  static var elementType: ElementType { get }
}

extension Float: TensorElement { public static var elementType: ElementType { .float32 } }
extension Int16: TensorElement { public static var elementType: ElementType { .int16 } }
extension UInt8: TensorElement { public static var elementType: ElementType { .uint8 } }
extension UInt64: TensorElement { public static var elementType: ElementType { .uint64 } }
