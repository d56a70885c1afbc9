/// How a dataset lies in the file.
public struct HDF5Storage: Sendable, Equatable {
  /// Lengths of a chunk's axes; `nil` leaves the choice to the writer (about 256 KiB a chunk).
  /// Chunks are the unit of compression, of checksums and of reading.
  public var chunk: [Int]?
  /// gzip level 1...9, or `nil` for none.
  public var compression: Int?
  /// Whether bytes are reordered by significance before compression.
  public var shuffle: Bool
  /// Whether every chunk carries a Fletcher-32 checksum that reading verifies.
  public var checksum: Bool

  /// Shuffling defaults to on where there is compression.
  public init(chunk: [Int]? = nil, compression: Int? = nil, shuffle: Bool? = nil, checksum: Bool = false) {
    self.chunk = chunk
    self.compression = compression
    self.shuffle = shuffle ?? (compression != nil)
    self.checksum = checksum
  }

  /// One contiguous run of bytes.
  public static let plain = HDF5Storage()

  var needsChunks: Bool { chunk != nil || compression != nil || shuffle || checksum }

  /// The chunk lengths for an array: the given ones, or halves of the longest axes until a chunk is at most 256 KiB.
  func chunkLengths(shape: [Int], elementSize: Int) -> [Int] {
    if let chunk { return zip(chunk, shape).map { max(1, min($0, max(1, $1))) } }
    var lengths = shape.map { max(1, $0) }
    while true {
      var bytes = elementSize
      for length in lengths { bytes = bytes.multipliedReportingOverflow(by: length).partialValue }
      guard bytes > 256 << 10 else { return lengths }
      var longest = 0
      for axis in lengths.indices where lengths[axis] > lengths[longest] { longest = axis }
      guard lengths[longest] > 1 else { return lengths }
      lengths[longest] = (lengths[longest] + 1) / 2
    }
  }
}

/// Arithmetic on shapes that come from files.
enum HDF5Shape {
  /// The product of the lengths, or `nil` where it overflows or a length is negative.
  static func elementCount(_ shape: [Int]) -> Int? {
    var count = 1
    var isEmpty = false
    for length in shape {
      if length < 0 { return nil }
      if length == 0 {
        isEmpty = true
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: length)
      if overflow { return nil }
      count = product
    }
    return isEmpty ? 0 : count
  }
}

/// What a header may declare: more than the stored bytes can expand to is refused before memory is allocated.
enum HDF5Plausibility {
  /// Parts that were never written take no space in the file and read as 0; up to this many bytes of them are fine.
  static let allowance = 16 << 20
  /// A deflate stream expands at most 1032-fold.
  static let gzipExpansion = 1032

  static func limit(storedBytes: Int, isCompressed: Bool) -> Int {
    let (expanded, overflow) = storedBytes.multipliedReportingOverflow(by: isCompressed ? gzipExpansion : 1)
    let (limit, overflowAgain) = (overflow ? Int.max / 2 : expanded).addingReportingOverflow(allowance)
    return overflowAgain ? Int.max : limit
  }
}
