import Foundation

/// Where the voxels of an image lie in a file.
struct VoxelSource {
  var file: URL
  /// Where the stored bytes begin.
  var offset = 0
  var packing = FileByteReader.Packing.none
  /// How many bytes come before the voxels, counted after unpacking.
  var skippedByteCount = 0
  var elements: StoredElements

  /// Reads `[C, Z, Y, X]` voxels. What the file cannot hold is refused before anything of its size is allocated.
  /// - Parameter shape: positive sizes from a header that need not be true.
  func read(shape: [Int]) throws -> VoxelGrid<Float> {
    let (reader, required) = try open(shape: shape)
    return try VoxelGrid<Float>(shape: shape) { try fill($0, reader, required) }
  }

  /// Reads the numbers as they are stored, but in native byte order, and hands them over in equal parts.
  /// - Parameter shape: of all parts together; the first size is the number of parts.
  func forEachStoredPart(shape: [Int], _ body: (_ part: Int, UnsafeRawBufferPointer) throws -> Void) throws {
    let (reader, required) = try open(shape: shape)
    let width = elements.type.byteCount
    let size = (required - skippedByteCount) / shape[0]
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
    defer { bytes.deallocate() }
    for part in 0..<shape[0] {
      let found = try reader.read(into: bytes)
      guard found == size else { throw truncated(required, found: skippedByteCount + part * size + found) }
      if elements.isByteSwapped && width > 1 {
        for start in stride(from: 0, to: size, by: width) { bytes[start..<start + width].reverse() }
      }
      try body(part, UnsafeRawBufferPointer(bytes))
    }
  }

  /// Opens the file at its first voxel.
  private func open(shape: [Int]) throws -> (reader: FileByteReader, requiredByteCount: Int) {
    let required = try requiredByteCount(shape)
    let reader = try FileByteReader(file, offset: offset, packing: packing)
    try checkSize(required, reader)
    let skipped = try reader.skip(skippedByteCount)
    guard skipped == skippedByteCount else { throw truncated(required, found: skipped) }
    return (reader, required)
  }

  /// How long the file must be at least, unpacked and from `offset` on.
  private func requiredByteCount(_ shape: [Int]) throws -> Int {
    var count = elements.type.byteCount
    for size in shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: size)
      // Room for float32 values and the position of the voxels.
      guard !overflow, size > 0, product < Int.max / 8 else {
        throw ImageError.badHeader(
          file: file.path, field: "sizes", found: "\(Array(shape.reversed()))", expected: "what a file can hold")
      }
      count = product
    }
    return skippedByteCount + count
  }

  private func checkSize(_ required: Int, _ reader: FileByteReader) throws {
    let stored = max(0, reader.fileSize - offset)
    if !reader.isCompressed {
      guard stored >= required else { throw truncated(required, found: stored) }
      return
    }
    // A promise far beyond the usual compression is counted first. Label maps do reach a thousandfold.
    guard required > max(1 << 26, 16 * stored) else { return }
    let found = try FileByteReader(file, offset: offset, packing: packing).skip(required)
    guard found == required else { throw truncated(required, found: found) }
  }

  private func fill(
    _ destination: UnsafeMutableBufferPointer<Float>, _ reader: FileByteReader, _ required: Int
  ) throws {
    guard let target = destination.baseAddress else { return }
    let size = elements.type.byteCount
    let chunk = min(destination.count, 1 << 16)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: chunk * size, alignment: 64)
    defer { bytes.deallocate() }
    var done = 0
    while done < destination.count {
      let count = min(chunk, destination.count - done)
      let found = try reader.read(into: UnsafeMutableRawBufferPointer(rebasing: bytes[0..<count * size]))
      guard found == count * size else {
        throw truncated(required, found: skippedByteCount + done * size + found)
      }
      elements.decode(UnsafeRawBufferPointer(bytes), count, to: target + done)
      done += count
    }
  }

  private func truncated(_ required: Int, found: Int) -> ImageError {
    .truncated(file: file.path, expectedBytes: offset + required, foundBytes: offset + found)
  }
}
