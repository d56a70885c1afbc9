import CNIfTI
import Foundation

/// NIfTI images as nnU-Net sees them through SimpleITK: voxels in the file's order, never reoriented, with the
/// direction matrix travelling along to the output.
///
/// nnU-Net: `SimpleITKIO`; ITK 5.4: `NiftiImageIO`.
public struct SimpleITKReaderWriter: ImageReaderWriter {
  public static let name = "SimpleITKIO"
  public static let fileEndings = [".nii.gz"]

  private let warn: @Sendable (String) -> Void

  /// - Parameter warn: is told where the channels of an image lie differently in space, which nnU-Net accepts.
  public init(warn: @escaping @Sendable (String) -> Void = printWarning) {
    self.warn = warn
  }

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { file in
      let (grid, header) = try NIfTIFile.read(file)
      return (file: file, grid: grid, geometry: try header.simpleITKGeometry(file: file.path))
    }
    guard let first = images.first else { throw ImageError.noFiles }
    for other in images.dropFirst() {
      func mismatch(_ property: String, _ value: String, _ otherValue: String) -> ImageError {
        .mismatch(
          property: property, file: first.file.path, value: value, otherFile: other.file.path, otherValue: otherValue)
      }
      guard first.grid.spatialShape == other.grid.spatialShape else {
        throw mismatch("shape", "\(first.grid.spatialShape)", "\(other.grid.spatialShape)")
      }
      let (geometry, otherGeometry) = (first.geometry, other.geometry)
      guard allClose(geometry.spacing, otherGeometry.spacing) else {
        throw mismatch("spacing", "\(geometry.spacing)", "\(otherGeometry.spacing)")
      }
      for (property, value, otherValue) in [
        ("origin", geometry.origin, otherGeometry.origin), ("direction", geometry.direction, otherGeometry.direction),
      ] where !allClose(value, otherValue) {
        warn(
          "channels of one image differ in their \(property): \(first.file.path) has \(value), "
            + "\(other.file.path) has \(otherValue); the first is used")
      }
    }
    let grid = VoxelGrid.stacking(images.map(\.grid))
    return (grid, ImageProperties(spacing: Self.arraySpacing(first.geometry.spacing), sitkStuff: first.geometry))
  }

  public func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties) {
    let header = try NIfTIFile.readHeader(file)
    let geometry = try header.simpleITKGeometry(file: file.path)
    return (
      header.gridShape, ImageProperties(spacing: Self.arraySpacing(geometry.spacing), sitkStuff: geometry)
    )
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    let (grid, properties) = try readImages([file])
    return (try labels(grid, file: file), properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    guard let geometry = properties.sitkStuff else {
      throw ImageError.missingGeometry(file: file.path, expected: "sitk_stuff")
    }
    let orientation = Self.orientation(geometry)
    try NIfTIFile.writeLabels(
      segmentation, isTwoDimensional: geometry.spacing.count == 2, orientation: orientation, to: file)
  }

  /// Writes one channel as a float32 image.
  public func writeImage(_ image: VoxelGrid<Float>, channel: Int = 0, to file: URL, properties: ImageProperties) throws
  {
    guard let geometry = properties.sitkStuff else {
      throw ImageError.missingGeometry(file: file.path, expected: "sitk_stuff")
    }
    var sizes = Array(image.spatialShape.reversed())
    if geometry.spacing.count == 2 && sizes[2] == 1 { sizes.removeLast() }
    try image.elements.withUnsafeBufferPointer { elements in
      let voxels = UnsafeBufferPointer(
        rebasing: elements[channel * image.voxelCount..<(channel + 1) * image.voxelCount])
      try NIfTIFile.write(
        UnsafeRawBufferPointer(voxels), dataType: .float32, sizes: sizes, orientation: Self.orientation(geometry),
        to: file)
    }
  }

  /// Spacing in array order; a missing z axis is made the coarsest, an axis of channels is left out.
  private static func arraySpacing(_ spacing: [Double]) -> [Double] {
    let positive = spacing.map { abs($0) }
    if positive.count == 2 { return [max(positive[0], positive[1]) * 999, positive[1], positive[0]] }
    return Array(positive[0..<3].reversed())
  }

  /// ITK: `NiftiImageIO::SetNIfTIOrientationFromImageIO`.
  static func orientation(_ geometry: SimpleITKGeometry) -> NIfTIFile.Orientation {
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
    return NIfTIFile.Orientation(
      spacing: (0..<3).map { $0 < spatial ? Float(geometry.spacing[$0]) : 1 }, qform: NIfTIFile.matrix(axesMatrix),
      sform: NIfTIFile.matrix(scaled), qformCode: 1, sformCode: 1, namesUnits: true)
  }
}

/// Prints a warning on standard error.
@Sendable
public func printWarning(_ message: String) {
  FileHandle.standardError.write(Data("warning: \(message)\n".utf8))
}

/// The label map in a grid of floats; every value must be an integer that Int16 holds.
func labels(_ grid: VoxelGrid<Float>, file: URL) throws -> VoxelGrid<Int16> {
  guard grid.channelCount == 1 else {
    throw ImageError.unsupported(
      file: file.path, found: "\(grid.channelCount) volumes", supported: "a segmentation of one volume")
  }
  return try VoxelGrid<Int16>(shape: grid.shape) { target in
    try grid.elements.withUnsafeBufferPointer { source in
      for i in 0..<source.count {
        let value = source[i]
        // NaN fails this too.
        guard abs(value) <= 32767, let label = Int16(exactly: value) else {
          let (height, width) = (grid.shape[2], grid.shape[3])
          throw ImageError.badLabel(
            file: file.path, value: value, index: [i / (height * width), i / width % height, i % width])
        }
        target[i] = label
      }
    }
  }
}
