import Foundation

extension SimpleITKReaderWriter {
  /// The number of volumes along the fourth axis of a NIfTI file; 1 for an image of three dimensions.
  package static func volumeCount(of file: URL) throws -> Int {
    let sizes = try NIfTIFile.readHeader(file).sizes
    guard sizes.count >= 3 else {
      throw ImageError.unsupported(
        file: file.path, found: "an image of \(sizes.count) axes", supported: "images of three or four axes")
    }
    return sizes.count == 4 ? sizes[3] : 1
  }

  /// Writes each volume along the fourth axis of a NIfTI file into a file of its own, as SimpleITK does it: voxels keep
  /// their type (scaled integers become float32), the geometry is that of the first three axes.
  ///
  /// nnU-Net: `split_4d_nifti` of dataset_conversion/convert_MSD_dataset.py.
  /// - Parameter files: one for each volume, in order.
  package static func splitVolumes(of source: URL, into files: [URL]) throws {
    let header = try NIfTIFile.readHeader(source)
    guard header.sizes.count == 4, header.sizes[3] == files.count else {
      throw ImageError.unsupported(
        file: source.path, found: "an image of sizes \(header.sizes)", supported: "four axes, \(files.count) volumes")
    }
    let whole = try header.simpleITKGeometry(file: source.path)
    let orientation = NIfTIFile.Orientation(
      SimpleITKGeometry(
        spacing: Array(whole.spacing[0..<3]), origin: Array(whole.origin[0..<3]),
        direction: (0..<3).flatMap { row in whole.direction[4 * row..<4 * row + 3] }))
    let sizes = Array(header.sizes[0..<3])
    let voxels = NIfTIFile.voxels(header, source)
    if voxels.elements.mustRescale {
      let grid = try voxels.read(shape: header.gridShape)
      try grid.elements.withUnsafeBufferPointer { elements in
        for (channel, file) in files.enumerated() {
          let voxels = UnsafeBufferPointer(
            rebasing: elements[channel * grid.voxelCount..<(channel + 1) * grid.voxelCount])
          try NIfTIFile.write(
            UnsafeRawBufferPointer(voxels), type: .float32, sizes: sizes, orientation: orientation, to: file)
        }
      }
      return
    }
    try voxels.forEachStoredPart(shape: header.gridShape) { volume, bytes in
      try NIfTIFile.write(
        bytes, type: voxels.elements.type, sizes: sizes, orientation: orientation, to: files[volume])
    }
  }
}
