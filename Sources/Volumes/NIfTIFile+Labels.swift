import CNIfTI
import Foundation

extension NIfTIFile {
  /// Writes labels as uint8 if all are below 255, otherwise as uint16.
  static func writeLabels(
    _ segmentation: VoxelGrid<Int16>, isTwoDimensional: Bool, orientation: Orientation, to file: URL
  ) throws {
    guard segmentation.channelCount == 1 else {
      throw ImageError.cannotWrite(
        file: file.path, reason: "a segmentation has one channel, this one has shape \(segmentation.shape)")
    }
    var sizes = Array(segmentation.spatialShape.reversed())
    if isTwoDimensional && sizes[2] == 1 { sizes.removeLast() }
    let labels = segmentation.elements
    if let index = labels.firstIndex(where: { $0 < 0 }) {
      let (height, width) = (segmentation.shape[2], segmentation.shape[3])
      throw ImageError.badLabel(
        file: file.path, value: Float(labels[index]),
        index: [index / (height * width), index / width % height, index % width])
    }
    if (labels.max() ?? 0) < 255 {
      try labels.map { UInt8($0) }.withUnsafeBytes {
        try write($0, dataType: .uint8, sizes: sizes, orientation: orientation, to: file)
      }
    } else {
      // The same bits: no label is negative.
      try labels.withUnsafeBytes {
        try write($0, dataType: .uint16, sizes: sizes, orientation: orientation, to: file)
      }
    }
  }

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
