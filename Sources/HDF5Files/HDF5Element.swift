import CHDF5

/// The number types that datasets and attributes are read into and written from.
public enum HDF5ElementKind: String, Sendable, Equatable {
  case float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64

  var cKind: chdf5_kind {
    switch self {
    case .float32: CHDF5_FLOAT32
    case .float64: CHDF5_FLOAT64
    case .int8: CHDF5_INT8
    case .int16: CHDF5_INT16
    case .int32: CHDF5_INT32
    case .int64: CHDF5_INT64
    case .uint8: CHDF5_UINT8
    case .uint16: CHDF5_UINT16
    case .uint32: CHDF5_UINT32
    case .uint64: CHDF5_UINT64
    }
  }

  var isFloatingPoint: Bool { self == .float32 || self == .float64 }

  /// Must be called under the library's lock.
  var nativeType: hid_t { chdf5_native_type(cKind) }
  /// Must be called under the library's lock.
  var fileType: hid_t { chdf5_file_type(cKind) }
}

/// A Swift number type that HDF5 reads into and writes from.
public protocol HDF5Element: Sendable, BitwiseCopyable {
  static var hdf5Kind: HDF5ElementKind { get }
  /// Zero, with which buffers start.
  static var hdf5Zero: Self { get }
}

extension Float: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .float32 }
  public static var hdf5Zero: Float { 0 }
}
extension Double: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .float64 }
  public static var hdf5Zero: Double { 0 }
}
extension Int8: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .int8 }
  public static var hdf5Zero: Int8 { 0 }
}
extension Int16: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .int16 }
  public static var hdf5Zero: Int16 { 0 }
}
extension Int32: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .int32 }
  public static var hdf5Zero: Int32 { 0 }
}
extension Int64: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .int64 }
  public static var hdf5Zero: Int64 { 0 }
}
extension Int: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .int64 }
  public static var hdf5Zero: Int { 0 }
}
extension UInt8: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .uint8 }
  public static var hdf5Zero: UInt8 { 0 }
}
extension UInt16: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .uint16 }
  public static var hdf5Zero: UInt16 { 0 }
}
extension UInt32: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .uint32 }
  public static var hdf5Zero: UInt32 { 0 }
}
extension UInt64: HDF5Element {
  public static var hdf5Kind: HDF5ElementKind { .uint64 }
  public static var hdf5Zero: UInt64 { 0 }
}

/// An array with its shape, row-major: the last axis is the fastest.
public struct HDF5Array<Element: HDF5Element>: Sendable {
  public var shape: [Int]
  public var elements: [Element]

  public init(shape: [Int], elements: [Element]) {
    self.shape = shape
    self.elements = elements
  }
}

/// What a file says about the type of a dataset's or attribute's elements.
struct HDF5FileType {
  enum Class { case integer, floatingPoint, string, other }

  let elementClass: Class
  /// Bytes of one element in the file.
  let size: Int
  let isVariableLength: Bool
  let description: String

  /// Must be called under the library's lock; does not close `type`.
  init(_ type: hid_t) {
    size = Int(clamping: H5Tget_size(type))
    let found = H5Tget_class(type)
    var variable = false
    switch found {
    case H5T_INTEGER:
      elementClass = .integer
      description = (H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int") + "\(size * 8)"
    case H5T_ENUM:
      elementClass = .integer
      description = "enumeration of \(size) bytes"
    case H5T_FLOAT:
      elementClass = .floatingPoint
      description = "float\(size * 8)"
    case H5T_STRING:
      elementClass = .string
      variable = H5Tis_variable_str(type) > 0
      description = variable ? "string" : "string of \(size) bytes"
    case H5T_COMPOUND:
      elementClass = .other
      description = "compound"
    case H5T_REFERENCE:
      elementClass = .other
      description = "reference"
    case H5T_VLEN:
      elementClass = .other
      description = "sequences of variable length"
    default:
      elementClass = .other
      description = "another type"
    }
    isVariableLength = variable
  }

  /// Whether its numbers may be read into `kind`: every number into a floating-point type, integers into integers.
  func converts(to kind: HDF5ElementKind) -> Bool {
    switch elementClass {
    case .integer: true
    case .floatingPoint: kind.isFloatingPoint
    case .string, .other: false
    }
  }
}
