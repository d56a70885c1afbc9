import Foundation

/// NIfTI-1 images in one file, plain or packed with gzip (told apart by their content, not by their name).
enum NIfTIFile {
  /// Reads the header alone.
  static func readHeader(_ file: URL) throws -> NIfTIHeader {
    try readHeader(from: FileByteReader(file))
  }

  private static func readHeader(from reader: FileByteReader) throws -> NIfTIHeader {
    var bytes = [UInt8](repeating: 0, count: NIfTIHeader.byteCount)
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0) }
    return try NIfTIHeader(Array(bytes[0..<count]), file: reader.path)
  }

  /// Reads the voxels as float32 `[C, Z, Y, X]`, where a fourth axis of the file counts channels, scaled by the
  /// header's slope and intercept in the precision that ITK uses.
  /// - Parameter ignoresLoneIntercept: leaves values alone where the header has an intercept but no slope.
  static func read(_ file: URL, ignoresLoneIntercept: Bool = false) throws -> (VoxelGrid<Float>, NIfTIHeader) {
    let reader = try FileByteReader(file)
    var header = try readHeader(from: reader)
    if ignoresLoneIntercept && !header.hasSlope { header.intercept = 0 }
    try checkSize(header, reader, file)
    let skip = header.dataOffset - NIfTIHeader.byteCount
    let skipped = try reader.skip(skip)
    guard skipped == skip else {
      throw ImageError.truncated(
        file: reader.path, expectedBytes: header.requiredByteCount, foundBytes: NIfTIHeader.byteCount + skipped)
    }
    let grid = try VoxelGrid<Float>(shape: header.gridShape) { destination in
      try fill(destination, header, reader)
    }
    return (grid, header)
  }

  /// Refuses a file that cannot hold what its header promises, before anything of that size is allocated.
  static func checkSize(_ header: NIfTIHeader, _ reader: FileByteReader, _ file: URL) throws {
    let required = header.requiredByteCount
    if !reader.isCompressed {
      guard reader.fileSize >= required else {
        throw ImageError.truncated(file: reader.path, expectedBytes: required, foundBytes: reader.fileSize)
      }
      return
    }
    // A promise far beyond the usual compression is counted first. Label maps do reach a thousandfold.
    guard required > max(1 << 26, 16 * reader.fileSize) else { return }
    let found = try FileByteReader(file).skip(required)
    guard found == required else {
      throw ImageError.truncated(file: reader.path, expectedBytes: required, foundBytes: found)
    }
  }

  private static func fill(
    _ destination: UnsafeMutableBufferPointer<Float>, _ header: NIfTIHeader, _ reader: FileByteReader
  ) throws {
    guard let target = destination.baseAddress else { return }
    let size = header.dataType.byteCount
    let chunk = min(destination.count, 1 << 16)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk * size, alignment: 64)
    defer { bytes.deallocate() }
    var done = 0
    while done < destination.count {
      let count = min(chunk, destination.count - done)
      let found = try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[0..<count * size]))
      guard found == count * size else {
        throw ImageError.truncated(
          file: reader.path, expectedBytes: header.requiredByteCount,
          foundBytes: header.dataOffset + done * size + found)
      }
      convert(UnsafeRawBufferPointer(bytes), count, header, to: target + done)
      done += count
    }
  }

  private static func convert(
    _ bytes: UnsafeRawBufferPointer, _ count: Int, _ header: NIfTIHeader, to target: UnsafeMutablePointer<Float>
  ) {
    switch header.dataType {
    case .uint8: convertIntegers(bytes, as: UInt8.self, count, header, target)
    case .int8: convertIntegers(bytes, as: Int8.self, count, header, target)
    case .int16: convertIntegers(bytes, as: Int16.self, count, header, target)
    case .uint16: convertIntegers(bytes, as: UInt16.self, count, header, target)
    case .int32: convertIntegers(bytes, as: Int32.self, count, header, target)
    case .uint32: convertIntegers(bytes, as: UInt32.self, count, header, target)
    case .int64: convertIntegers(bytes, as: Int64.self, count, header, target)
    case .uint64: convertIntegers(bytes, as: UInt64.self, count, header, target)
    case .float32:
      let source = bytes.bindMemory(to: UInt32.self)
      let swapped = header.isByteSwapped
      for i in 0..<count {
        target[i] = Float(bitPattern: swapped ? source[i].byteSwapped : source[i])
      }
      if header.mustRescale { rescale(target, count, header) }
    case .float64:
      let source = bytes.bindMemory(to: UInt64.self)
      let swapped = header.isByteSwapped
      // Without rescaling slope and intercept are 1 and 0 to within rounding.
      let (slope, intercept) = header.mustRescale ? (header.slope, header.intercept) : (1, 0)
      for i in 0..<count {
        let value = Double(bitPattern: swapped ? source[i].byteSwapped : source[i])
        target[i] = Float(value * slope + intercept)
      }
    }
  }

  @inline(__always)
  private static func convertIntegers<T: FixedWidthInteger>(
    _ bytes: UnsafeRawBufferPointer, as type: T.Type, _ count: Int, _ header: NIfTIHeader,
    _ target: UnsafeMutablePointer<Float>
  ) {
    let source = bytes.bindMemory(to: T.self)
    if header.isByteSwapped {
      for i in 0..<count { target[i] = Float(source[i].byteSwapped) }
    } else {
      for i in 0..<count { target[i] = Float(source[i]) }
    }
    if header.mustRescale { rescale(target, count, header) }
  }

  /// ITK turns integers into float32 first and scales them in double precision.
  private static func rescale(_ target: UnsafeMutablePointer<Float>, _ count: Int, _ header: NIfTIHeader) {
    for i in 0..<count { target[i] = Float(Double(target[i]) * header.slope + header.intercept) }
  }
}
