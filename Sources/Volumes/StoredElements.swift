/// The number types that image files hold.
enum StoredElementType: CaseIterable, Hashable {
  case uint8, int8, uint16, int16, uint32, int32, uint64, int64, float32, float64

  var byteCount: Int {
    switch self {
    case .uint8, .int8: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    }
  }
}

/// How the numbers in a file become voxel values.
struct StoredElements: Hashable {
  var type: StoredElementType
  /// Whether they are stored in the other byte order.
  var isByteSwapped = false
  var slope = 1.0
  var intercept = 0.0

  /// ITK rescales only where that changes anything.
  var mustRescale: Bool { abs(slope - 1) > Double.ulpOfOne || abs(intercept) > Double.ulpOfOne }

  /// Turns `count` numbers into values, in the precision that ITK uses.
  /// - Parameter bytes: aligned for the numbers' type.
  func decode(_ bytes: UnsafeRawBufferPointer, _ count: Int, to target: UnsafeMutablePointer<Float>) {
    switch type {
    case .uint8: decodeIntegers(bytes, as: UInt8.self, count, target)
    case .int8: decodeIntegers(bytes, as: Int8.self, count, target)
    case .int16: decodeIntegers(bytes, as: Int16.self, count, target)
    case .uint16: decodeIntegers(bytes, as: UInt16.self, count, target)
    case .int32: decodeIntegers(bytes, as: Int32.self, count, target)
    case .uint32: decodeIntegers(bytes, as: UInt32.self, count, target)
    case .int64: decodeIntegers(bytes, as: Int64.self, count, target)
    case .uint64: decodeIntegers(bytes, as: UInt64.self, count, target)
    case .float32:
      let source = bytes.bindMemory(to: UInt32.self)
      for i in 0..<count {
        target[i] = Float(bitPattern: isByteSwapped ? source[i].byteSwapped : source[i])
      }
      if mustRescale { rescale(target, count) }
    case .float64:
      let source = bytes.bindMemory(to: UInt64.self)
      // Without rescaling slope and intercept are 1 and 0 to within rounding.
      let (slope, intercept) = mustRescale ? (slope, intercept) : (1, 0)
      for i in 0..<count {
        let value = Double(bitPattern: isByteSwapped ? source[i].byteSwapped : source[i])
        target[i] = Float(value * slope + intercept)
      }
    }
  }

  @inline(__always)
  private func decodeIntegers<T: FixedWidthInteger>(
    _ bytes: UnsafeRawBufferPointer, as type: T.Type, _ count: Int, _ target: UnsafeMutablePointer<Float>
  ) {
    let source = bytes.bindMemory(to: T.self)
    if isByteSwapped {
      for i in 0..<count { target[i] = Float(source[i].byteSwapped) }
    } else {
      for i in 0..<count { target[i] = Float(source[i]) }
    }
    if mustRescale { rescale(target, count) }
  }

  /// ITK turns integers into float32 first and scales them in double precision.
  private func rescale(_ target: UnsafeMutablePointer<Float>, _ count: Int) {
    for i in 0..<count { target[i] = Float(Double(target[i]) * slope + intercept) }
  }
}
