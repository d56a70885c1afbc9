import CNIfTI
import Foundation

/// The checked header of a single-file NIfTI-1 image: the sizes it promises are plausible, and everything libnifti
/// derives from it is in native byte order.
struct NIfTIHeader {
  /// The sizes of the axes x, y, z, then any others; trailing axes of size 1 beyond the third are dropped, as ITK does.
  var sizes: [Int]
  var elementType: StoredElementType
  /// Whether voxels are stored in the other byte order.
  var isByteSwapped: Bool
  /// Where the voxels start, in bytes from the (unpacked) beginning.
  var dataOffset: Int
  /// The file's `scl_slope`, 1 where the file has 0, and its `scl_inter`.
  var slope: Double
  /// Whether `scl_slope` asks for scaling; ITK applies the intercept even where it does not, nibabel leaves it out.
  var hasSlope: Bool
  var intercept: Double
  /// Distances along x, y, z and further axes in the file's units.
  var pixelSizes: [Float]
  /// What one of the file's spatial units is in millimetres.
  var millimetresPerUnit: Double
  var qformCode: Int
  var sformCode: Int
  /// Voxel indices to RAS coordinates by the quaternion, four rows of four.
  var qform: [[Float]]
  /// Voxel indices to RAS coordinates by the `srow` fields.
  var sform: [[Float]]

  /// NIfTI's numbers for the voxel types that this program reads.
  enum DataType: Int {
    case uint8 = 2
    case int16 = 4
    case int32 = 8
    case float32 = 16
    case float64 = 64
    case int8 = 256
    case uint16 = 512
    case uint32 = 768
    case int64 = 1024
    case uint64 = 1280

    init(_ type: StoredElementType) {
      switch type {
      case .uint8: self = .uint8
      case .int8: self = .int8
      case .uint16: self = .uint16
      case .int16: self = .int16
      case .uint32: self = .uint32
      case .int32: self = .int32
      case .uint64: self = .uint64
      case .int64: self = .int64
      case .float32: self = .float32
      case .float64: self = .float64
      }
    }
  }

  static let byteCount = 348

  /// The shape `[C, Z, Y, X]` of the grid that the voxels make.
  var gridShape: [Int] { (sizes + Array(repeating: 1, count: 4 - sizes.count)).reversed() }

  /// - Parameter bytes: the first `byteCount` bytes of the unpacked file.
  init(_ bytes: [UInt8], file: String) throws {
    guard bytes.count >= Self.byteCount else {
      throw ImageError.truncated(file: file, expectedBytes: Self.byteCount, foundBytes: bytes.count)
    }
    func integer<T: FixedWidthInteger>(_ offset: Int, as type: T.Type, swapped: Bool) -> T {
      let value = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
      return swapped ? value.byteSwapped : value
    }
    // The size of the header is its first field and tells the byte order.
    let headerSize = integer(0, as: Int32.self, swapped: false)
    switch headerSize {
    case 348: isByteSwapped = false
    case Int32(348).byteSwapped: isByteSwapped = true
    case 540, Int32(540).byteSwapped:
      throw ImageError.unsupported(file: file, found: "a NIfTI-2 header", supported: "NIfTI-1")
    default:
      throw ImageError.wrongFormat(
        file: file, expected: "a NIfTI-1 image (header size 348)", found: "header size \(headerSize)")
    }
    let magic = Array(bytes[344..<348])
    guard magic == [0x6E, 0x2B, 0x31, 0] else {
      let found = magic == [0x6E, 0x69, 0x31, 0] ? "a header whose voxels are in another file" : "magic \(magic)"
      throw ImageError.wrongFormat(file: file, expected: "a single-file NIfTI-1 image (magic n+1)", found: found)
    }
    let swapped = isByteSwapped
    let dimensions = (0..<8).map { Int(integer(40 + 2 * $0, as: Int16.self, swapped: swapped)) }
    guard (2...7).contains(dimensions[0]) else {
      throw ImageError.badHeader(file: file, field: "dim[0]", found: "\(dimensions[0])", expected: "2 to 7")
    }
    var sizes = Array(dimensions[1...dimensions[0]])
    guard sizes.allSatisfy({ $0 > 0 }) else {
      throw ImageError.badHeader(file: file, field: "dim", found: "\(dimensions)", expected: "positive sizes")
    }
    while sizes.count > 3 && sizes.last == 1 { sizes.removeLast() }
    guard sizes.count <= 4 else {
      throw ImageError.unsupported(file: file, found: "\(sizes.count) axes of sizes \(sizes)", supported: "3-D images")
    }
    self.sizes = sizes
    let code = Int(integer(70, as: Int16.self, swapped: swapped))
    guard let type = StoredElementType.allCases.first(where: { DataType($0).rawValue == code }) else {
      throw ImageError.unsupported(
        file: file, found: "voxels of NIfTI data type \(code)",
        supported: "integers of 8 to 64 bits or floats of 32 or 64 bits")
    }
    elementType = type
    let offset = Float(bitPattern: integer(108, as: UInt32.self, swapped: swapped))
    guard offset.isFinite, offset >= 0, offset < 1e9 else {
      throw ImageError.badHeader(file: file, field: "vox_offset", found: "\(offset)", expected: "at least 352")
    }
    dataOffset = max(Self.byteCount, Int(offset))

    // libnifti derives the matrices; what it is given has been checked above.
    _ = Self.silenceLibrary
    var header = nifti_1_header()
    withUnsafeMutableBytes(of: &header) { $0.copyBytes(from: bytes[0..<Self.byteCount]) }
    guard let image = nifti_convert_nhdr2nim(header, "image.nii") else {
      throw ImageError.badHeader(file: file, field: "(several)", found: "a header", expected: "one libnifti accepts")
    }
    defer { nifti_image_free(image) }
    let nifti = image.pointee
    let storedSlope = Double(nifti.scl_slope)
    slope = abs(storedSlope) < Double.ulpOfOne ? 1 : storedSlope
    hasSlope = storedSlope != 0
    intercept = Double(nifti.scl_inter)
    pixelSizes = [nifti.dx, nifti.dy, nifti.dz, nifti.dt]
    switch nifti.xyz_units {
    case NIFTI_UNITS_METER: millimetresPerUnit = 1e3
    case NIFTI_UNITS_MICRON: millimetresPerUnit = 1e-3
    default: millimetresPerUnit = 1
    }
    qformCode = Int(nifti.qform_code)
    sformCode = Int(nifti.sform_code)
    qform = Self.rows(nifti.qto_xyz)
    sform = Self.rows(nifti.sto_xyz)
  }

  static let silenceLibrary: Void = nifti_set_debug_level(0)

  static func rows(_ matrix: mat44) -> [[Float]] {
    withUnsafeBytes(of: matrix) { bytes in
      let values = bytes.bindMemory(to: Float.self)
      return (0..<4).map { row in (0..<4).map { values[4 * row + $0] } }
    }
  }
}
