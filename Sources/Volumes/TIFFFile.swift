import CTIFF
import Foundation

/// TIFF files as tifffile presents them: the pages of one file, all alike, make one array.
///
/// Samples are taken as they are: palettes are not looked up, and white may be 0.
struct TIFFFile {
  /// What `tifffile.imread` would say: `[Y, X]`, `[Y, X, samples]` or `[samples, Y, X]`, after the number of pages where
  /// there are several. tifffile's own files name their shape.
  let shape: [Int]
  private let file: URL
  private let page: Page
  private let pageCount: Int
  private let fileSize: Int

  /// Reads what the file says about its pages.
  init(_ file: URL) throws {
    self.file = file
    let reader = try Reader(file)
    fileSize = reader.fileSize
    let first = try Page(reader.describe(), file)
    let description = reader.description
    var count = 1
    while try reader.moveToNext() {
      guard try Page(reader.describe(), file) == first else {
        throw ImageError.unsupported(
          file: file.path, found: "pages of different shapes or types", supported: "a file of equal pages")
      }
      count += 1
    }
    page = first
    let pageShape = first.shape
    if let named = Self.namedShape(description) {
      let (elements, perPage) = (clampedProduct(named), clampedProduct(pageShape))
      guard named.allSatisfy({ $0 > 0 }), elements % perPage == 0, elements / perPage <= count else {
        throw ImageError.badHeader(
          file: file.path, field: "shape", found: "\(named)", expected: "the shape of \(count) pages of \(pageShape)")
      }
      pageCount = elements / perPage
      shape = named
    } else {
      try Self.checkAxes(description, pageCount: count, file)
      pageCount = count
      shape = count > 1 ? [count] + pageShape : pageShape
    }
  }

  /// Reads the samples, row-major in `shape`.
  func read() throws -> [Float] {
    let total = try plausibleByteCount()
    // A promise far beyond the usual compression is unpacked for a trial before memory is asked for.
    if total > max(1 << 26, 16 * fileSize) { try forEachPart { _, _, _ in } }
    let pageElements = page.shape.reduce(1, *)
    return try [Float](unsafeUninitializedCapacity: pageElements * pageCount) { buffer, initialized in
      guard let target = buffer.baseAddress else { return }
      try forEachPart { pageIndex, part, bytes in
        page.place(part, bytes, in: target + pageIndex * pageElements)
      }
      initialized = pageElements * pageCount
    }
  }

  /// Bytes of all pages, unless the file is too short for them however well it is packed.
  private func plausibleByteCount() throws -> Int {
    let expansion = try page.largestExpansion(file)
    let (limit, overflow) = fileSize.multipliedReportingOverflow(by: expansion)
    let (total, tooLarge) = page.byteCount.multipliedReportingOverflow(by: pageCount)
    let largestPart = max(page.info.part_size, page.info.part_row_size)
    // 65536: tiles may be larger than a small image.
    guard !tooLarge, total < Int.max / 8, overflow || max(total, Int(clamping: largestPart)) <= limit + 65536 else {
      throw ImageError.truncated(file: file.path, expectedBytes: total, foundBytes: fileSize)
    }
    return total
  }

  /// Unpacks all strips or tiles, one after the other.
  private func forEachPart(_ body: (_ page: Int, _ part: Int, _ bytes: UnsafeRawBufferPointer) -> Void) throws {
    let reader = try Reader(file)
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(page.info.part_size), alignment: 64)
    defer { bytes.deallocate() }
    for index in 0..<pageCount {
      if index > 0 {
        guard try reader.moveToNext() else {
          throw ImageError.corrupt(file: file.path, reason: "\(index) pages instead of \(pageCount)")
        }
      }
      // The file may have changed since it was described.
      guard try Page(reader.describe(), file) == page else {
        throw ImageError.corrupt(file: file.path, reason: "page \(index) changed")
      }
      for part in 0..<page.partCount {
        let size = page.byteCount(ofPart: part)
        try reader.read(part, isTile: page.isTiled, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<size]))
        body(index, part, UnsafeRawBufferPointer(rebasing: bytes[..<size]))
      }
    }
  }

  /// The shape in tifffile's JSON description, such as `{"shape": [3, 4, 5]}`.
  private static func namedShape(_ description: String) -> [Int]? {
    guard description.hasPrefix("{"), let key = description.range(of: "\"shape\": ["),
      let end = description[key.upperBound...].firstIndex(of: "]")
    else { return nil }
    let words = description[key.upperBound..<end].split(separator: ",")
    let sizes = words.compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    return sizes.count == words.count && (2...8).contains(sizes.count) ? sizes : nil
  }

  /// Refuses files of ImageJ and OME whose pages are more than one axis.
  private static func checkAxes(_ description: String, pageCount: Int, _ file: URL) throws {
    let sizes: [Int]
    if description.hasPrefix("ImageJ=") {
      let values = description.split(whereSeparator: \.isNewline).map { $0.split(separator: "=", maxSplits: 1) }
      func value(_ key: Substring) -> Int {
        values.first { $0.first == key && $0.count == 2 }.flatMap { Int($0[1]) } ?? 1
      }
      sizes = [value("channels"), value("slices"), value("frames")]
      guard value("images") <= pageCount else {
        throw ImageError.unsupported(
          file: file.path, found: "\(value("images")) ImageJ images in \(pageCount) page", supported: "one page each")
      }
    } else if description.contains("<OME") {
      sizes = ["SizeC", "SizeZ", "SizeT"].map { key in
        guard let start = description.range(of: key + "=\"") else { return 1 }
        return Int(description[start.upperBound...].prefix { $0.isNumber }) ?? 1
      }
    } else {
      return
    }
    guard sizes.filter({ $0 > 1 }).count < 2 else {
      throw ImageError.unsupported(
        file: file.path, found: "channels, slices and frames \(sizes)", supported: "pages along one axis")
    }
  }
}

extension TIFFFile {
  /// One page, checked: its parts have the sizes that its description promises.
  private struct Page: Equatable {
    let info: ctiff_page
    let elements: StoredElements
    let isTiled: Bool

    static func == (a: Page, b: Page) -> Bool {
      a.elements == b.elements && a.isTiled == b.isTiled && a.info.width == b.info.width
        && a.info.height == b.info.height && a.info.samples_per_pixel == b.info.samples_per_pixel
        && a.info.bits_per_sample == b.info.bits_per_sample
        && a.info.planar_configuration == b.info.planar_configuration && a.info.compression == b.info.compression
        && a.info.part_width == b.info.part_width && a.info.part_height == b.info.part_height
    }

    init(_ description: (info: ctiff_page, isTiled: Bool), _ file: URL) throws {
      let info = description.info
      self.info = info
      isTiled = description.isTiled
      func unsupported(_ found: String, _ supported: String) -> ImageError {
        .unsupported(file: file.path, found: found, supported: supported)
      }
      let types: [UInt16: [StoredElementType]] = [
        1: [.uint8, .uint16, .uint32, .uint64], 2: [.int8, .int16, .int32, .int64], 3: [.float32, .float64],
      ]
      let type = types[info.sample_format]?.first { $0.byteCount * 8 == info.bits_per_sample }
      // A single bit is unpacked to a byte.
      guard let type = info.bits_per_sample == 1 && info.samples_per_pixel == 1 ? .uint8 : type else {
        throw unsupported(
          "samples of \(info.bits_per_sample) bits (format \(info.sample_format))",
          "1 bit, integers of 8 to 64 bits or floats of 32 or 64 bits")
      }
      elements = StoredElements(type: type)
      guard info.samples_per_pixel > 0, (1...2).contains(info.planar_configuration) else {
        throw unsupported("a planar configuration \(info.planar_configuration)", "samples side by side or in planes")
      }
      let rowBits = UInt64(info.part_width) * UInt64(samplesInPart) * UInt64(info.bits_per_sample)
      let (partSize, overflow) = ((rowBits + 7) / 8).multipliedReportingOverflow(by: UInt64(info.part_height))
      guard info.part_width > 0, info.part_height > 0, info.part_row_size == (rowBits + 7) / 8, !overflow,
        info.part_size == partSize, partSize < 1 << 40, partCount == Int(info.part_count), partsAcross > 0
      else {
        throw unsupported("strips or tiles of an unusual size (subsampled colours?)", "whole samples")
      }
    }

    var isPlanar: Bool { info.planar_configuration == 2 && info.samples_per_pixel > 1 }
    private var samplesInPart: Int { isPlanar ? 1 : Int(info.samples_per_pixel) }
    private var width: Int { Int(info.width) }
    private var height: Int { Int(info.height) }
    private var partsAcross: Int { (width - 1) / max(1, Int(info.part_width)) + 1 }
    private var partsDown: Int { (height - 1) / max(1, Int(info.part_height)) + 1 }
    var partCount: Int { clampedProduct([partsAcross, partsDown, isPlanar ? Int(info.samples_per_pixel) : 1]) }

    /// tifffile's shape of the page.
    var shape: [Int] {
      let samples = Int(info.samples_per_pixel)
      if samples == 1 { return [height, width] }
      return isPlanar ? [samples, height, width] : [height, width, samples]
    }

    /// Bytes of the unpacked samples; `Int.max` where that is no number.
    var byteCount: Int { clampedProduct(shape + [elements.type.byteCount]) }

    /// Strips at the lower end have fewer rows; tiles are all of one size.
    func byteCount(ofPart part: Int) -> Int { rows(ofPart: part, cut: !isTiled) * Int(info.part_row_size) }

    private func rows(ofPart part: Int, cut: Bool) -> Int {
      let top = part / partsAcross % partsDown * Int(info.part_height)
      return cut ? min(Int(info.part_height), height - top) : Int(info.part_height)
    }

    /// How many bytes one packed byte can stand for at most.
    func largestExpansion(_ file: URL) throws -> Int {
      // Tag values of the schemes; lossy ones and fax codes are left out.
      switch info.compression {
      case 1: return 1
      case 5 where info.is_decodable != 0: return 1400
      case 8 where info.is_decodable != 0, 32946 where info.is_decodable != 0: return 1032
      case 32773 where info.is_decodable != 0: return 64
      case 34925 where info.is_decodable != 0, 50000 where info.is_decodable != 0: return 40000
      default:
        throw ImageError.unsupported(
          file: file.path, found: "TIFF compression scheme \(info.compression)",
          supported: "no compression, LZW, deflate, PackBits, LZMA or Zstandard")
      }
    }

    /// Puts an unpacked part into its place in the page, whose elements are row-major in `shape`.
    func place(_ part: Int, _ bytes: UnsafeRawBufferPointer, in target: UnsafeMutablePointer<Float>) {
      let plane = part / (partsAcross * partsDown)
      let top = part / partsAcross % partsDown * Int(info.part_height)
      let left = part % partsAcross * Int(info.part_width)
      let count = min(Int(info.part_width), width - left) * samplesInPart
      let rowSize = Int(info.part_row_size)
      for row in 0..<rows(ofPart: part, cut: true) {
        let source = UnsafeRawBufferPointer(rebasing: bytes[row * rowSize..<(row + 1) * rowSize])
        let destination = target + ((plane * height + top + row) * width + left) * samplesInPart
        if info.bits_per_sample == 1 {
          for x in 0..<count { destination[x] = Float(source[x >> 3] >> (7 - UInt8(x & 7)) & 1) }
        } else {
          elements.decode(source, count, to: destination)
        }
      }
    }
  }

  /// An open file and its current page.
  private final class Reader {
    let fileSize: Int
    private let path: String
    private let handle: OpaquePointer

    init(_ file: URL) throws {
      path = file.path
      let descriptor: Int32
      (descriptor, fileSize) = try FileByteReader.openRegularFile(path)
      var signature = [UInt8](repeating: 0, count: 4)
      let isTIFF =
        pread(descriptor, &signature, 4, 0) == 4
        && [[0x49, 0x49, 42, 0], [0x4D, 0x4D, 0, 42], [0x49, 0x49, 43, 0], [0x4D, 0x4D, 0, 43]].contains(signature)
      guard isTIFF else {
        close(descriptor)
        throw ImageError.wrongFormat(
          file: path, expected: "a TIFF image", found: "a file that starts with \(signature)")
      }
      var opened: OpaquePointer?
      let limit = Int64(1 << 24) + 16 * Int64(min(fileSize, 1 << 48))
      let reason = cMessage(size: CTIFF_MESSAGE_SIZE) { message in
        opened = ctiff_open(descriptor, limit, message)
        return opened == nil ? -1 : 0
      }
      guard let opened else {
        close(descriptor)
        throw ImageError.corrupt(file: path, reason: reason ?? "libtiff refused it")
      }
      handle = opened
    }

    deinit { ctiff_close(handle) }

    func describe() throws -> (info: ctiff_page, isTiled: Bool) {
      var page = ctiff_page()
      try check { ctiff_describe(handle, &page, $0) }
      return (page, ctiff_is_tiled(handle) != 0)
    }

    var description: String { ctiff_description(handle).map { String(cString: $0) } ?? "" }

    /// Moves to the next page; false where there is none.
    func moveToNext() throws -> Bool {
      var result: Int32 = 0
      try check { message in
        result = ctiff_next(handle, message)
        return result < 0 ? -1 : 0
      }
      return result == 1
    }

    func read(_ part: Int, isTile: Bool, into buffer: UnsafeMutableRawBufferPointer) throws {
      try check {
        ctiff_read_part(handle, UInt32(part), isTile ? 1 : 0, buffer.baseAddress, UInt64(buffer.count), $0)
      }
    }

    private func check(_ body: (UnsafeMutablePointer<CChar>) -> Int32) throws {
      if let reason = cMessage(size: CTIFF_MESSAGE_SIZE, body) { throw ImageError.corrupt(file: path, reason: reason) }
    }
  }

  /// Writes labels as grey pages, packed with deflate.
  /// - Parameter namesShape: tells tifffile the shape `[Z, Y, X]`, without which one page would be a flat image.
  static func write(_ segmentation: VoxelGrid<Int16>, namesShape: Bool, to file: URL) throws {
    let shape = segmentation.spatialShape
    guard shape.allSatisfy({ $0 <= Int(UInt32.max) && $0 > 0 }) else {
      throw ImageError.cannotWrite(file: file.path, reason: "TIFF has no room for the shape \(shape)")
    }
    let description = namesShape ? "{\"shape\": \(shape)}" : ""
    try LabelEncoding(segmentation, file: file).withBytes { bytes, type in
      try AtomicFile.write(to: file) { descriptor in
        let reason = cMessage(size: CTIFF_MESSAGE_SIZE) { message in
          ctiff_write(
            descriptor, bytes.baseAddress, UInt32(shape[2]), UInt32(shape[1]), UInt32(shape[0]),
            UInt16(type.byteCount), description, message)
        }
        if let reason { throw ImageError.cannotWrite(file: file.path, reason: reason) }
      }
    }
  }
}

/// The product of positive numbers, `Int.max` where it is larger.
private func clampedProduct(_ values: [Int]) -> Int {
  values.reduce(1) {
    let (product, overflow) = $0.multipliedReportingOverflow(by: $1)
    return overflow ? Int.max : product
  }
}

/// The message that a C function left if it did not return 0.
func cMessage(size: Int32, _ body: (UnsafeMutablePointer<CChar>) -> Int32) -> String? {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(size)) { buffer in
    buffer.initialize(repeating: 0)
    guard let message = buffer.baseAddress, body(message) != 0 else { return nil }
    return String(cString: message)
  }
}
