import Foundation

/// NIfTI-1 images in one file, plain or packed with gzip (told apart by their content, not by their name).
enum NIfTIFile {
  /// Reads the header alone.
  static func readHeader(_ file: URL) throws -> NIfTIHeader {
    let reader = try FileByteReader(file, packing: .gzipIfSigned)
    var bytes = [UInt8](repeating: 0, count: NIfTIHeader.byteCount)
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0) }
    return try NIfTIHeader(Array(bytes[0..<count]), file: reader.path)
  }

  /// Reads the voxels as float32 `[C, Z, Y, X]`, where a fourth axis of the file counts channels, scaled by the
  /// header's slope and intercept in the precision that ITK uses.
  /// - Parameter ignoresLoneIntercept: leaves values alone where the header has an intercept but no slope.
  static func read(_ file: URL, ignoresLoneIntercept: Bool = false) throws -> (VoxelGrid<Float>, NIfTIHeader) {
    var header = try readHeader(file)
    if ignoresLoneIntercept && !header.hasSlope { header.intercept = 0 }
    return (try voxels(header, file).read(shape: header.gridShape), header)
  }

  /// Where a file's voxels are.
  static func voxels(_ header: NIfTIHeader, _ file: URL) -> VoxelSource {
    VoxelSource(
      file: file, packing: .gzipIfSigned, skippedByteCount: header.dataOffset,
      elements: StoredElements(
        type: header.elementType, isByteSwapped: header.isByteSwapped, slope: header.slope,
        intercept: header.intercept))
  }
}
