import CNIfTI
import CZlib
import Foundation

extension NIfTIFile {
  /// Where the axes of a file to be written lie.
  struct Orientation {
    /// Millimetres along x, y and z.
    var spacing: [Float]
    /// Orthonormal axes and the origin, in RAS coordinates.
    var qform: mat44
    /// The affine matrix from voxel indices to RAS coordinates.
    var sform: mat44
    var qformCode: Int32
    var sformCode: Int32
    /// Whether the units are named (millimetres and seconds).
    var namesUnits: Bool
  }

  /// Writes voxels `[Z, Y, X]` of one NIfTI type; packed with gzip if the file's name ends in `.gz`. The file appears
  /// whole or not at all.
  /// - Parameter sizes: along x, y and z; two sizes make a two-dimensional file.
  static func write(
    _ voxels: UnsafeRawBufferPointer, dataType: NIfTIHeader.DataType, sizes: [Int], orientation: Orientation,
    to file: URL
  ) throws {
    guard sizes.allSatisfy({ $0 <= Int(Int16.max) }) else {
      throw ImageError.cannotWrite(file: file.path, reason: "NIfTI-1 has no room for sizes \(sizes) (at most 32767)")
    }
    _ = NIfTIHeader.silenceLibrary
    guard let image = nifti_simple_init_nim() else {
      throw ImageError.cannotWrite(file: file.path, reason: "libnifti has no memory")
    }
    defer { nifti_image_free(image) }
    let count = Int32(sizes.count)
    var dimensions = [count] + sizes.map(Int32.init)
    dimensions += Array(repeating: 1, count: 8 - dimensions.count)
    withUnsafeMutableBytes(of: &image.pointee.dim) { $0.copyBytes(from: dimensions.withUnsafeBytes { Array($0) }) }
    image.pointee.ndim = count
    (image.pointee.nx, image.pointee.ny) = (dimensions[1], dimensions[2])
    (image.pointee.nz, image.pointee.nt) = (dimensions[3], dimensions[4])
    image.pointee.nvox = Int(sizes.reduce(1, *))
    image.pointee.datatype = Int32(dataType.rawValue)
    image.pointee.nbyper = Int32(dataType.byteCount)
    image.pointee.nifti_type = NIFTI_FTYPE_NIFTI1_1
    image.pointee.iname_offset = 352
    image.pointee.scl_slope = 1
    image.pointee.scl_inter = 0
    if orientation.namesUnits {
      image.pointee.xyz_units = NIFTI_UNITS_MM
      image.pointee.time_units = NIFTI_UNITS_SEC
    }
    image.pointee.qform_code = orientation.qformCode
    image.pointee.sform_code = orientation.sformCode
    image.pointee.sto_xyz = orientation.sform
    image.pointee.qto_xyz = orientation.qform
    nifti_mat44_to_quatern(
      orientation.qform, &image.pointee.quatern_b, &image.pointee.quatern_c, &image.pointee.quatern_d,
      &image.pointee.qoffset_x, &image.pointee.qoffset_y, &image.pointee.qoffset_z, nil, nil, nil,
      &image.pointee.qfac)
    (image.pointee.dx, image.pointee.dy) = (orientation.spacing[0], orientation.spacing[1])
    image.pointee.dz = sizes.count > 2 ? orientation.spacing[2] : 1
    let pixelSizes: [Float] = [
      image.pointee.qfac, image.pointee.dx, image.pointee.dy, image.pointee.dz, 1, 1, 1, 1,
    ]
    withUnsafeMutableBytes(of: &image.pointee.pixdim) { $0.copyBytes(from: pixelSizes.withUnsafeBytes { Array($0) }) }
    var header = nifti_convert_nim2nhdr(image)
    // libnifti leaves these to a qform of positive code, and other programs expect them.
    header.pixdim.0 = image.pointee.qfac
    (header.quatern_b, header.quatern_c) = (image.pointee.quatern_b, image.pointee.quatern_c)
    (header.quatern_d, header.qoffset_x) = (image.pointee.quatern_d, image.pointee.qoffset_x)
    (header.qoffset_y, header.qoffset_z) = (image.pointee.qoffset_y, image.pointee.qoffset_z)
    // The four bytes after the header say that no extension follows.
    let head = withUnsafeBytes(of: header) { Array($0) } + [0, 0, 0, 0]
    try head.withUnsafeBytes { head in
      try AtomicFile.write(
        to: file, parts: [head, voxels], compressing: file.pathExtension.lowercased() == "gz")
    }
  }
}

/// Writes files that appear whole or not at all.
enum AtomicFile {
  /// Writes the parts one after the other to a temporary file beside `file`, syncs it, and renames it.
  static func write(to file: URL, parts: [UnsafeRawBufferPointer], compressing: Bool) throws {
    let temporary = file.deletingLastPathComponent().appendingPathComponent(
      ".\(file.lastPathComponent).\(UUID().uuidString).tmp")
    let descriptor = open(temporary.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw ImageError.cannotWrite(file: file.path, reason: String(cString: strerror(errno)))
    }
    do {
      defer { close(descriptor) }
      if compressing {
        try writeCompressed(parts, to: descriptor, file)
      } else {
        for part in parts { try writeAll(part, to: descriptor, file) }
      }
      guard fsync(descriptor) == 0 else {
        throw ImageError.cannotWrite(file: file.path, reason: String(cString: strerror(errno)))
      }
    } catch {
      unlink(temporary.path)
      throw error
    }
    guard rename(temporary.path, file.path) == 0 else {
      let reason = String(cString: strerror(errno))
      unlink(temporary.path)
      throw ImageError.cannotWrite(file: file.path, reason: reason)
    }
  }

  private static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ file: URL) throws {
    var rest = bytes
    while !rest.isEmpty {
      let count = Foundation.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else {
        throw ImageError.cannotWrite(file: file.path, reason: String(cString: strerror(errno)))
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  private static func writeCompressed(
    _ parts: [UnsafeRawBufferPointer], to descriptor: Int32, _ file: URL
  ) throws {
    var stream = z_stream()
    // 16 selects the gzip wrapper, 8 the usual memory.
    let status = deflateInit2_(
      &stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      throw ImageError.cannotWrite(file: file.path, reason: "zlib refused to start (\(status))")
    }
    defer { deflateEnd(&stream) }
    let capacity = 1 << 17
    let output = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
    defer { output.deallocate() }
    func pump(_ flush: Int32) throws {
      repeat {
        stream.next_out = output
        stream.avail_out = UInt32(capacity)
        let result = deflate(&stream, flush)
        guard result != Z_STREAM_ERROR else {
          throw ImageError.cannotWrite(file: file.path, reason: "zlib error \(result)")
        }
        try writeAll(
          UnsafeRawBufferPointer(start: output, count: capacity - Int(stream.avail_out)), to: descriptor, file)
      } while stream.avail_out == 0
    }
    for part in parts {
      var position = 0
      while position < part.count {
        // zlib counts in 32 bits.
        let count = min(part.count - position, 1 << 30)
        stream.next_in = UnsafeMutablePointer(
          mutating: part.baseAddress?.advanced(by: position).assumingMemoryBound(to: UInt8.self))
        stream.avail_in = UInt32(count)
        try pump(Z_NO_FLUSH)
        position += count
      }
    }
    stream.avail_in = 0
    try pump(Z_FINISH)
  }
}
