import CNIfTI
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

  /// Writes voxels `[Z, Y, X]`; packed with gzip if the file's name ends in `.gz`. The file appears
  /// whole or not at all.
  /// - Parameter sizes: along x, y and z; two sizes make a two-dimensional file.
  static func write(
    _ voxels: UnsafeRawBufferPointer, type: StoredElementType, sizes: [Int], orientation: Orientation, to file: URL
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
    image.pointee.datatype = Int32(NIfTIHeader.DataType(type).rawValue)
    image.pointee.nbyper = Int32(type.byteCount)
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

extension NIfTIFile {
  /// libnifti's matrix of four rows of four.
  static func matrix(_ rows: [[Float]]) -> mat44 {
    var result = mat44()
    withUnsafeMutableBytes(of: &result) { bytes in
      let values = bytes.bindMemory(to: Float.self)
      for row in 0..<4 {
        for column in 0..<4 { values[4 * row + column] = rows[row][column] }
      }
    }
    return result
  }
}

extension NIfTIFile.Orientation {
  /// The place of an image in ITK's terms.
  ///
  /// ITK 5.4: `NiftiImageIO::SetNIfTIOrientationFromImageIO`.
  init(_ geometry: SimpleITKGeometry) {
    let axes = geometry.spacing.count
    let spatial = min(axes, 3)
    // columns[axis][row], in RAS; a missing third axis points to the head.
    var columns: [[Float]] = (0..<3).map { axis in (0..<3).map { $0 == axis ? 1 : 0 } }
    for axis in 0..<spatial {
      for row in 0..<spatial {
        let cosine = Float(geometry.direction[row * axes + axis])
        columns[axis][row] = row < 2 ? -cosine : cosine
      }
    }
    // libnifti takes rows; ITK gives it the columns and transposes the result.
    let rows = NIfTIHeader.rows(
      nifti_make_orthog_mat44(
        columns[0][0], columns[0][1], columns[0][2], columns[1][0], columns[1][1], columns[1][2], columns[2][0],
        columns[2][1], columns[2][2]))
    var axesMatrix = (0..<4).map { row in (0..<4).map { rows[$0][row] } }
    for row in 0..<3 {
      let origin = row < spatial ? geometry.origin[row] : 0
      axesMatrix[row][3] = Float(row < 2 ? -origin : origin)
    }
    var scaled = axesMatrix
    for row in 0..<spatial {
      for column in 0..<spatial { scaled[row][column] *= Float(geometry.spacing[column]) }
    }
    self.init(
      spacing: (0..<3).map { $0 < spatial ? Float(geometry.spacing[$0]) : 1 }, qform: NIfTIFile.matrix(axesMatrix),
      sform: NIfTIFile.matrix(scaled), qformCode: 1, sformCode: 1, namesUnits: true)
  }
}
