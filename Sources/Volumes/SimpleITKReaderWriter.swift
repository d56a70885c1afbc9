import Foundation

/// NIfTI, NRRD and MetaImage files as nnU-Net sees them through SimpleITK: voxels in the file's order, never reoriented,
/// with the direction matrix travelling along to the output.
///
/// nnU-Net: `SimpleITKIO`.
public struct SimpleITKReaderWriter: ImageReaderWriter {
  public let name = "SimpleITKIO"
  public static let fileEndings = [".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"]

  private let warn: @Sendable (String) -> Void

  /// - Parameter warn: is told where the channels of an image lie differently in space, which nnU-Net accepts.
  public init(warn: @escaping @Sendable (String) -> Void = printWarning) {
    self.warn = warn
  }

  public func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties) {
    let images = try files.map { file in
      let (grid, header) = try ITKImageFile(file).read(file)
      return (file: file, grid: grid, geometry: header.geometry)
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
    let header = try ITKImageFile(file).readHeader(file)
    return (
      header.gridShape,
      ImageProperties(spacing: Self.arraySpacing(header.geometry.spacing), sitkStuff: header.geometry)
    )
  }

  public func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties) {
    let (grid, properties) = try readImages([file])
    return (try labels(grid, file: file), properties)
  }

  public func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws {
    let (geometry, sizes) = try place(segmentation.spatialShape, file, properties)
    try LabelEncoding(segmentation, file: file).withBytes { bytes, type in
      try ITKImageFile(file).write(bytes, type: type, sizes: sizes, geometry: geometry, to: file)
    }
  }

  /// Writes one channel as a float32 image.
  public func writeImage(_ image: VoxelGrid<Float>, channel: Int = 0, to file: URL, properties: ImageProperties) throws
  {
    let (geometry, sizes) = try place(image.spatialShape, file, properties)
    try image.elements.withUnsafeBufferPointer { elements in
      let voxels = UnsafeBufferPointer(
        rebasing: elements[channel * image.voxelCount..<(channel + 1) * image.voxelCount])
      try ITKImageFile(file).write(
        UnsafeRawBufferPointer(voxels), type: .float32, sizes: sizes, geometry: geometry, to: file)
    }
  }

  /// Where an image of shape `[Z, Y, X]` lies, and its sizes along x, y and, unless it is two-dimensional, z.
  private func place(
    _ shape: [Int], _ file: URL, _ properties: ImageProperties
  ) throws -> (geometry: SimpleITKGeometry, sizes: [Int]) {
    guard let geometry = properties.sitkStuff, case let axes = geometry.spacing.count, (2...4).contains(axes),
      geometry.origin.count == axes, geometry.direction.count == axes * axes
    else {
      throw ImageError.missingGeometry(file: file.path, expected: "sitk_stuff with spacing, origin and direction")
    }
    var sizes = Array(shape.reversed())
    if geometry.spacing.count == 2 && sizes[2] == 1 { sizes.removeLast() }
    guard sizes.count <= geometry.spacing.count else {
      throw ImageError.cannotWrite(
        file: file.path, reason: "the image has \(geometry.spacing.count) axes, these voxels have shape \(shape)")
    }
    return (geometry, sizes)
  }

  /// Spacing in array order; a missing z axis is made the coarsest, an axis of channels is left out.
  private static func arraySpacing(_ spacing: [Double]) -> [Double] {
    let positive = spacing.map { abs($0) }
    if positive.count == 2 { return [max(positive[0], positive[1]) * 999, positive[1], positive[0]] }
    return Array(positive[0..<3].reversed())
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
