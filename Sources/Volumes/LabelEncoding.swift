import Foundation

/// A label map as numbers for a file: uint8 if all labels are below 255, otherwise uint16, as nnU-Net writes them.
struct LabelEncoding {
  /// The labels, none of them negative.
  private let labels: [Int16]
  let type: StoredElementType

  /// - Parameter file: for which they are; named in errors.
  /// - Throws: ``ImageError`` for several channels or a negative label.
  init(_ segmentation: VoxelGrid<Int16>, file: URL) throws {
    guard segmentation.channelCount == 1 else {
      throw ImageError.cannotWrite(
        file: file.path, reason: "a segmentation has one channel, this one has shape \(segmentation.shape)")
    }
    labels = segmentation.elements
    if let index = labels.firstIndex(where: { $0 < 0 }) {
      let (height, width) = (segmentation.shape[2], segmentation.shape[3])
      throw ImageError.badLabel(
        file: file.path, value: Float(labels[index]),
        index: [index / (height * width), index / width % height, index % width])
    }
    type = (labels.max() ?? 0) < 255 ? .uint8 : .uint16
  }

  /// Calls `body` with the numbers in native byte order.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer, StoredElementType) throws -> Result) rethrows -> Result {
    if type == .uint8 {
      return try labels.map { UInt8($0) }.withUnsafeBytes { try body($0, type) }
    }
    // The same bits: no label is negative.
    return try labels.withUnsafeBytes { try body($0, type) }
  }
}
