import Foundation

/// Windows bitmaps as Pillow presents them: unpacked ones of 1 to 32 bits a pixel.
///
/// The format is a table of numbers and rows of pixels, too little for a library.
struct BMPFile {
  let width: Int
  let height: Int
  /// 1 grey, 3 RGB, 4 RGBA.
  let channels: Int
  private let bitsPerPixel: Int
  private let isTopDown: Bool
  private let rowSize: Int
  private let pixelOffset: Int
  private let colours: Colours
  private let bytes: [UInt8]

  /// What a pixel's number means.
  private enum Colours {
    /// A value for each number.
    case grey([UInt8])
    /// Red, green and blue for each number.
    case palette([[UInt8]])
    /// Bits of the number, from red to alpha.
    case masks([UInt32])
  }

  /// Reads the file and understands its header.
  init(_ file: URL) throws {
    let bytes = try wholeFile(file)
    func integer<T: FixedWidthInteger>(_ offset: Int, as type: T.Type) throws -> T {
      guard offset >= 0, offset + MemoryLayout<T>.size <= bytes.count else {
        throw ImageError.truncated(file: file.path, expectedBytes: offset + 4, foundBytes: bytes.count)
      }
      return T(littleEndian: bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) })
    }
    func bad(_ field: String, _ found: String, _ expected: String) -> ImageError {
      .badHeader(file: file.path, field: field, found: found, expected: expected)
    }
    guard bytes.starts(with: Array("BM".utf8)) else {
      throw ImageError.wrongFormat(
        file: file.path, expected: "a BMP image", found: "a file that starts with \(bytes.prefix(2))")
    }
    let headerSize = Int(try integer(14, as: UInt32.self))
    guard [12, 40, 52, 56, 64, 108, 124].contains(headerSize) else {
      throw bad("size of the header", "\(headerSize)", "12, 40, 52, 56, 64, 108 or 124")
    }
    let isOld = headerSize == 12
    let storedHeight = isOld ? Int(try integer(20, as: UInt16.self)) : Int(try integer(22, as: Int32.self))
    width = isOld ? Int(try integer(18, as: UInt16.self)) : Int(try integer(18, as: Int32.self))
    height = abs(storedHeight)
    isTopDown = storedHeight < 0
    bitsPerPixel = Int(try integer(isOld ? 24 : 28, as: UInt16.self))
    let compression = isOld ? 0 : try integer(30, as: UInt32.self)
    guard width > 0, height > 0 else { throw bad("size", "\(width) x \(storedHeight)", "a positive size") }
    guard [1, 4, 8, 16, 24, 32].contains(bitsPerPixel) else {
      throw bad("bits per pixel", "\(bitsPerPixel)", "1, 4, 8, 16, 24 or 32")
    }
    // 3: the bits of the colours are named; anything else is packed.
    guard compression == 0 || compression == 3 && bitsPerPixel >= 16 else {
      throw ImageError.unsupported(
        file: file.path, found: "BMP compression \(compression)", supported: "an unpacked bitmap or PNG")
    }
    pixelOffset = Int(try integer(10, as: UInt32.self))
    // At most 2^31 times 32 bits: no overflow.
    rowSize = (width * bitsPerPixel + 31) / 32 * 4
    let (size, overflow) = rowSize.multipliedReportingOverflow(by: height)
    guard !overflow, pixelOffset <= bytes.count, size <= bytes.count - pixelOffset else {
      throw ImageError.truncated(
        file: file.path, expectedBytes: overflow ? Int.max : pixelOffset + size, foundBytes: bytes.count)
    }
    let paletteOffset = 14 + headerSize
    if bitsPerPixel <= 8 {
      let used = isOld ? 0 : Int(try integer(46, as: UInt32.self))
      let count = used == 0 ? 1 << bitsPerPixel : used
      let entrySize = isOld ? 3 : 4
      guard count <= 1 << bitsPerPixel, paletteOffset + count * entrySize <= bytes.count else {
        throw bad("number of colours", "\(count)", "a palette in the file")
      }
      let palette = (0..<count).map { index in
        let offset = paletteOffset + index * entrySize
        return [bytes[offset + 2], bytes[offset + 1], bytes[offset]]
      }
      // Black and white become 0 and 1, a ramp its greys, everything else colours.
      if count == 2, palette == [[0, 0, 0], [255, 255, 255]] {
        colours = .grey([0, 1])
      } else if palette.enumerated().allSatisfy({ index, colour in colour.allSatisfy { Int($0) == index } }) {
        colours = .grey(palette.map { $0[0] })
      } else {
        colours = .palette(palette)
      }
    } else {
      colours = .masks(
        try Self.masks(bitsPerPixel, named: compression == 3, hasAlpha: headerSize >= 56) {
          try integer(54 + 4 * $0, as: UInt32.self)
        })
      guard case .masks(let masks) = colours, masks[..<3].allSatisfy({ Self.isRun($0) }),
        masks.count == 3 || Self.isRun(masks[3])
      else { throw bad("colour masks", "\(colours)", "up to 8 bits side by side for each colour") }
    }
    channels =
      switch colours {
      case .grey: 1
      case .palette: 3
      case .masks(let masks): masks.count
      }
    self.bytes = bytes
  }

  private static func masks(
    _ bits: Int, named: Bool, hasAlpha: Bool, _ stored: (Int) throws -> UInt32
  ) throws -> [UInt32] {
    let usual: [UInt32] = bits == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF0000, 0xFF00, 0xFF]
    guard named, bits != 24 else { return usual }
    var masks = try (0..<3).map(stored)
    if hasAlpha {
      let alpha = try stored(3)
      if alpha != 0 { masks.append(alpha) }
    }
    return masks.allSatisfy { $0 == 0 } ? usual : masks
  }

  /// Whether the set bits are one to eight neighbours.
  private static func isRun(_ mask: UInt32) -> Bool {
    guard mask != 0 else { return false }
    let run = mask >> UInt32(mask.trailingZeroBitCount)
    return run & (run &+ 1) == 0 && run <= 0xFF
  }

  /// The values of a pixel side by side, from the upper left corner on.
  func read() -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(width * height * channels)
    for y in 0..<height {
      let row = pixelOffset + (isTopDown ? y : height - 1 - y) * rowSize
      for x in 0..<width {
        let number = pixel(row, x)
        switch colours {
        // A number beyond the palette is black, as in Pillow.
        case .grey(let greys): values.append(number < greys.count ? Float(greys[Int(number)]) : 0)
        case .palette(let palette):
          let colour = number < palette.count ? palette[Int(number)] : [0, 0, 0]
          for value in colour { values.append(Float(value)) }
        case .masks(let masks):
          for mask in masks {
            let shift = UInt32(mask.trailingZeroBitCount)
            values.append(Float((number & mask) >> shift * 255 / (mask >> shift)))
          }
        }
      }
    }
    return values
  }

  /// The number of pixel `x` of the row that begins at byte `row`.
  private func pixel(_ row: Int, _ x: Int) -> UInt32 {
    let size = bitsPerPixel / 8
    if size == 0 {
      let perByte = 8 / bitsPerPixel
      let shift = (perByte - 1 - x % perByte) * bitsPerPixel
      return UInt32(bytes[row + x / perByte]) >> UInt32(shift) & (1 << UInt32(bitsPerPixel) - 1)
    }
    return (0..<size).reduce(UInt32(0)) { $0 | UInt32(bytes[row + x * size + $1]) << UInt32(8 * $1) }
  }

  /// Writes one slice of labels as a grey image of eight bits.
  static func write(_ segmentation: VoxelGrid<Int16>, to file: URL) throws {
    let (height, width) = (segmentation.shape[2], segmentation.shape[3])
    try LabelEncoding(segmentation, file: file).withBytes { labels, type in
      guard type == .uint8, let fileSize = UInt32(exactly: 1078 + (width + 3) / 4 * 4 * height) else {
        throw ImageError.cannotWrite(
          file: file.path, reason: "a BMP file holds labels below 255 and at most 4 GB; use png or tif")
      }
      var image: [UInt8] = Array("BM".utf8)
      image.reserveCapacity(Int(fileSize))
      func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { image += $0 } }
      for value in [fileSize, 0, 1078, 40, UInt32(width), UInt32(height)] { put(value) }
      for value in [UInt16(1), 8] { put(value) }
      for value in [UInt32(0), fileSize - 1078, 0, 0, 256, 0] { put(value) }
      for grey in UInt8.min...UInt8.max { image += [grey, grey, grey, 0] }
      for y in stride(from: height - 1, through: 0, by: -1) {
        image += labels[y * width..<(y + 1) * width]
        image += repeatElement(0, count: (4 - width % 4) % 4)
      }
      try image.withUnsafeBytes { try AtomicFile.write(to: file, parts: [$0], compressing: false) }
    }
  }
}
