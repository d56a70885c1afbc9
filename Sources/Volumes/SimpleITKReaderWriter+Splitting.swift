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
    let orientation = orientation(
      SimpleITKGeometry(
        spacing: Array(whole.spacing[0..<3]), origin: Array(whole.origin[0..<3]),
        direction: (0..<3).flatMap { row in whole.direction[4 * row..<4 * row + 3] }))
    let sizes = Array(header.sizes[0..<3])
    if header.mustRescale {
      let (grid, _) = try NIfTIFile.read(source)
      try grid.elements.withUnsafeBufferPointer { elements in
        for (channel, file) in files.enumerated() {
          let voxels = UnsafeBufferPointer(
            rebasing: elements[channel * grid.voxelCount..<(channel + 1) * grid.voxelCount])
          try NIfTIFile.write(
            UnsafeRawBufferPointer(voxels), dataType: .float32, sizes: sizes, orientation: orientation, to: file)
        }
      }
      return
    }
    let reader = try FileByteReader(source)
    try NIfTIFile.checkSize(header, reader, source)
    let skipped = try reader.skip(header.dataOffset)
    let width = header.dataType.byteCount
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: sizes.reduce(width, *), alignment: 64)
    defer { bytes.deallocate() }
    for (volume, file) in files.enumerated() {
      let count = try reader.read(into: bytes)
      guard skipped == header.dataOffset, count == bytes.count else {
        throw ImageError.truncated(
          file: source.path, expectedBytes: header.requiredByteCount, foundBytes: skipped + volume * bytes.count + count
        )
      }
      if header.isByteSwapped && width > 1 {
        for start in stride(from: 0, to: bytes.count, by: width) { bytes[start..<start + width].reverse() }
      }
      try NIfTIFile.write(
        UnsafeRawBufferPointer(bytes), dataType: header.dataType, sizes: sizes, orientation: orientation, to: file)
    }
  }
}
