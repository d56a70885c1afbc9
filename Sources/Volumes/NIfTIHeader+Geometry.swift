import Foundation

extension NIfTIHeader {
  /// The geometry as ITK 5.4 derives it: of `qform` and `sform` it takes the one it trusts, divides its columns by
  /// their lengths, and always takes the spacing from `pixdim`.
  ///
  /// ITK: `NiftiImageIO::SetImageIOOrientationFromNIfTI`.
  func simpleITKGeometry(file: String) throws -> SimpleITKGeometry {
    let axes = sizes.count
    let spatial = min(axes, 3)
    var spacing = pixelSizes[0..<spatial].map { Double($0) * millimetresPerUnit }
    if axes == 4 { spacing.append(Double(pixelSizes[3])) }
    var origin = Array(repeating: 0.0, count: axes)
    var direction = Array(repeating: 0.0, count: axes * axes)
    for axis in 0..<axes { direction[axis * axes + axis] = 1 }
    if qformCode != 0 || sformCode != 0 {
      let matrix = try trustedMatrix(file: file)
      for row in 0..<spatial {
        // NIfTI's coordinates are RAS, ITK's LPS.
        origin[row] = Double(row < 2 ? -matrix[row][3] : matrix[row][3]) * millimetresPerUnit
      }
      for column in 0..<spatial {
        var cosines = (0..<spatial).map { row in
          row < 2 ? -Double(matrix[row][column]) : Double(matrix[row][column])
        }
        let length = cosines.reduce(0) { $0 + $1 * $1 }.squareRoot()
        if length > 0 { cosines = cosines.map { $0 / length } }
        for row in 0..<spatial { direction[row * axes + column] = cosines[row] }
      }
    }
    // ITK turns an axis of negative spacing around.
    for axis in 0..<spatial where spacing[axis] < 0 {
      spacing[axis] = -spacing[axis]
      for row in 0..<axes { direction[row * axes + axis] = -direction[row * axes + axis] }
    }
    return SimpleITKGeometry(spacing: spacing, origin: origin, direction: direction)
  }

  private func trustedMatrix(file: String) throws -> [[Float]] {
    if prefersSform { return sform }
    if qformCode != 0 { return qform }
    throw ImageError.badHeader(
      file: file, field: "srow_x, srow_y, srow_z", found: "\(sform[0..<3])",
      expected: "orthogonal axes, because there is no qform to use instead")
  }

  private var prefersSform: Bool {
    let areSimilar =
      (0..<3).allSatisfy { row in (0..<3).allSatisfy { abs(sform[row][$0] - qform[row][$0]) <= 1e-5 } }
      && (0..<3).reduce(Float(0)) { $0 + abs(sform[$1][3] - qform[$1][3]) } <= 1e-7
    let normalizedSform = Self.normalizedColumns(sform)
    guard sformCode != 0 || !areSimilar, Self.isIdentity(Self.timesTransposed(normalizedSform, normalizedSform)) else {
      return areSimilar
    }
    if qformCode == 0 { return sformCode != 0 }
    // 1 is NIFTI_XFORM_SCANNER_ANAT.
    if sformCode == 1 { return true }
    guard sformCode != 0 else { return areSimilar }
    let sameRotation = Self.isIdentity(Self.timesTransposed(normalizedSform, Self.normalizedColumns(qform)))
    let sameScale = (0..<3).allSatisfy { abs(Self.columnLength(sform, $0) - Self.columnLength(qform, $0)) <= 1e-4 }
    let sameOffset = (0..<3).allSatisfy { abs(sform[$0][3] - qform[$0][3]) <= 1e-4 }
    return sameRotation && sameScale && sameOffset
  }

  private static func columnLength(_ matrix: [[Float]], _ column: Int) -> Float {
    (0..<3).reduce(Float(0)) { $0 + matrix[$1][column] * matrix[$1][column] }.squareRoot()
  }

  private static func normalizedColumns(_ matrix: [[Float]]) -> [[Float]] {
    let lengths = (0..<3).map { columnLength(matrix, $0) }
    return (0..<3).map { row in (0..<3).map { lengths[$0] > 0 ? matrix[row][$0] / lengths[$0] : 0 } }
  }

  private static func timesTransposed(_ a: [[Float]], _ b: [[Float]]) -> [[Float]] {
    (0..<3).map { i in (0..<3).map { j in (0..<3).reduce(Float(0)) { $0 + a[i][$1] * b[j][$1] } } }
  }

  private static func isIdentity(_ matrix: [[Float]]) -> Bool {
    (0..<3).allSatisfy { i in (0..<3).allSatisfy { abs(matrix[i][$0] - (i == $0 ? 1 : 0)) <= 1e-4 } }
  }

  /// The affine matrix as nibabel derives it: `sform` if its code is set, else `qform`, else one from the spacing with
  /// x flipped and the origin in the image's middle.
  ///
  /// nibabel: `Nifti1Header.get_best_affine`.
  func nibabelAffine() -> [[Double]] {
    if sformCode > 0 { return sform.map { $0.map(Double.init) } }
    if qformCode > 0 { return qform.map { $0.map(Double.init) } }
    var affine = (0..<4).map { row in (0..<4).map { row == $0 ? 1.0 : 0.0 } }
    for axis in 0..<min(3, sizes.count) {
      affine[axis][axis] = (axis == 0 ? -1 : 1) * Double(abs(pixelSizes[axis]))
      affine[axis][3] = -Double(sizes[axis] - 1) / 2 * affine[axis][axis]
    }
    return affine
  }
}
