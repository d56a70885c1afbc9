import CHDF5

/// An open dataset. It closes when released, or earlier by `close()`, or with its file.
///
/// A dataset that is written slab by slab should be kept open between slabs: chunks that a slab covers in part wait in
/// memory (up to 16 MiB) for the rest.
public final class HDF5Dataset: @unchecked Sendable, HDF5Object {
  public let file: HDF5File
  public let path: String
  /// Lengths of the axes, the slowest first; empty for a single number.
  public let shape: [Int]
  /// How many elements there are.
  public let count: Int
  /// Lengths of a chunk's axes, or `nil` where the data lie in one run.
  public let chunk: [Int]?
  let fileType: HDF5FileType
  /// Guarded by the library's lock; negative once closed.
  private var handle: hid_t
  private let isCompressed: Bool
  private var storedBytes: Int?

  private struct Layout {
    var shape: [Int] = []
    var count = 0
    var chunk: [Int]?
    var isCompressed = false
    var fileType: HDF5FileType
  }

  private init(file: HDF5File, path: String, handle: hid_t, layout: Layout) {
    self.file = file
    self.path = path
    self.handle = handle
    shape = layout.shape
    count = layout.count
    chunk = layout.chunk
    isCompressed = layout.isCompressed
    fileType = layout.fileType
  }

  deinit {
    HDF5Library.locked { if handle >= 0 && file.isOpen { _ = H5Dclose(handle) } }
  }

  convenience init(opening path: String, in group: HDF5Group) throws {
    let file = group.file
    let (handle, layout) = try file.locked { fileHandle in
      try group.requireExistence(path, in: fileHandle, expected: "a dataset")
      let handle = H5Dopen2(fileHandle, path, chdf5_default_properties())
      guard handle >= 0 else {
        let message = HDF5Library.lastMessage()
        let isGroup = group.isGroup(path, in: fileHandle)
        throw file.error(
          isGroup ? .wrongType : .damaged, path, expected: "a dataset", found: isGroup ? "a group" : message)
      }
      do {
        return (handle, try Self.layout(of: handle, file: file, path: path))
      } catch {
        _ = H5Dclose(handle)
        throw error
      }
    }
    self.init(file: file, path: path, handle: handle, layout: layout)
  }

  convenience init(
    creating path: String, in group: HDF5Group, kind: HDF5ElementKind, shape: [Int], storage: HDF5Storage
  ) throws {
    let file = group.file
    func failure(_ found: String) -> HDF5Error {
      file.error(.cannotWrite, path, expected: "to make a dataset of shape \(shape)", found: found)
    }
    guard HDF5Shape.elementCount(shape) != nil, shape.count <= 32 else {
      throw file.error(.wrongShape, path, expected: "at most 32 axes of sensible lengths", found: "\(shape)")
    }
    if let chunk = storage.chunk, chunk.count != shape.count || chunk.contains(where: { $0 < 1 }) {
      throw file.error(.wrongShape, path, expected: "a chunk length per axis of \(shape)", found: "\(chunk)")
    }
    if let level = storage.compression, !(0...9).contains(level) {
      throw failure("the gzip level \(level), which is not in 0...9")
    }
    let (handle, layout) = try file.locked { fileHandle in
      let lengths = shape.map { hsize_t($0) }
      let space = shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), lengths, nil)
      guard space >= 0 else { throw failure(HDF5Library.lastMessage()) }
      defer { _ = H5Sclose(space) }
      let creation = chdf5_dataset_creation()
      defer { _ = H5Pclose(creation) }
      var status = H5Pset_obj_track_times(creation, false)
      // Filters need chunks, and chunks need axes with something on them.
      if storage.needsChunks, !shape.isEmpty, !shape.contains(0) {
        let chunk = storage.chunkLengths(shape: shape, elementSize: H5Tget_size(kind.fileType))
        status |= H5Pset_chunk(creation, Int32(chunk.count), chunk.map { hsize_t($0) })
        if storage.shuffle { status |= H5Pset_shuffle(creation) }
        if let level = storage.compression, level > 0 { status |= H5Pset_deflate(creation, UInt32(level)) }
        if storage.checksum { status |= H5Pset_fletcher32(creation) }
      }
      let access = chdf5_dataset_access()
      defer { _ = H5Pclose(access) }
      status |= H5Pset_chunk_cache(access, 4099, 16 << 20, 1)
      guard status >= 0 else { throw failure(HDF5Library.lastMessage()) }
      let handle = H5Dcreate2(
        fileHandle, path, kind.fileType, space, chdf5_default_properties(), creation, access)
      guard handle >= 0 else { throw failure(HDF5Library.lastMessage()) }
      do {
        return (handle, try Self.layout(of: handle, file: file, path: path))
      } catch {
        _ = H5Dclose(handle)
        throw error
      }
    }
    self.init(file: file, path: path, handle: handle, layout: layout)
  }

  /// Closes the dataset and reports what could not be written.
  public func close() throws {
    try HDF5Library.locked {
      guard handle >= 0 else { return }
      let closed = file.isOpen ? H5Dclose(handle) : 0
      handle = -1
      guard closed >= 0 else {
        throw file.error(
          .cannotWrite, path, expected: "to write and close the dataset", found: HDF5Library.lastMessage())
      }
    }
  }

  /// The element type in the file, in words such as `float32`.
  public var elementDescription: String { fileType.description }

  private func locked<Result>(_ body: (hid_t) throws -> Result) throws -> Result {
    try file.locked { _ in
      guard handle >= 0 else {
        throw file.error(.closed, path, expected: "an open dataset", found: "that it was closed before")
      }
      return try body(handle)
    }
  }

  /// Reads what the header says, and refuses filters and layouts that are not ours to follow.
  private static func layout(of handle: hid_t, file: HDF5File, path: String) throws -> Layout {
    func damaged(_ expected: String) -> HDF5Error {
      file.error(.damaged, path, expected: expected, found: HDF5Library.lastMessage())
    }
    let type = H5Dget_type(handle)
    guard type >= 0 else { throw damaged("an element type") }
    defer { _ = H5Tclose(type) }
    var layout = Layout(fileType: HDF5FileType(type))

    let space = H5Dget_space(handle)
    guard space >= 0 else { throw damaged("a shape") }
    defer { _ = H5Sclose(space) }
    if H5Sget_simple_extent_type(space) == H5S_NULL {
      layout.shape = [0]
    } else {
      let rank = H5Sget_simple_extent_ndims(space)
      guard (0...32).contains(rank) else { throw damaged("a shape") }
      var lengths = [hsize_t](repeating: 0, count: Int(rank) + 1)
      guard H5Sget_simple_extent_dims(space, &lengths, nil) >= 0 else { throw damaged("a shape") }
      layout.shape = lengths.prefix(Int(rank)).map { Int(clamping: $0) }
    }
    guard let count = HDF5Shape.elementCount(layout.shape) else {
      throw file.error(
        .implausibleSize, path, expected: "a shape that a file can hold", found: "\(layout.shape)")
    }
    layout.count = count

    let creation = H5Dget_create_plist(handle)
    guard creation >= 0 else { throw damaged("a storage layout") }
    defer { _ = H5Pclose(creation) }
    switch H5Pget_layout(creation) {
    case H5D_CONTIGUOUS, H5D_COMPACT:
      guard H5Pget_external_count(creation) == 0 else {
        throw file.error(.unsupported, path, expected: "data in this file", found: "data in other files")
      }
    case H5D_CHUNKED:
      var lengths = [hsize_t](repeating: 0, count: 33)
      let rank = H5Pget_chunk(creation, 33, &lengths)
      guard rank >= 0, Int(rank) == layout.shape.count else { throw damaged("a chunk shape") }
      layout.chunk = lengths.prefix(Int(rank)).map { Int(clamping: $0) }
    default:
      throw file.error(.unsupported, path, expected: "contiguous or chunked data", found: "another layout")
    }
    let filterCount = H5Pget_nfilters(creation)
    guard filterCount >= 0 else { throw damaged("a list of filters") }
    for index in 0..<UInt32(filterCount) {
      var flags: UInt32 = 0
      var valueCount = 0
      let filter = H5Pget_filter2(creation, index, &flags, &valueCount, nil, 0, nil, nil)
      switch filter {
      case H5Z_FILTER_DEFLATE: layout.isCompressed = true
      case H5Z_FILTER_SHUFFLE, H5Z_FILTER_FLETCHER32: break
      default:
        throw file.error(
          .unsupported, path, expected: "the filters gzip, shuffle or fletcher32", found: "filter number \(filter)")
      }
    }
    return layout
  }

  /// Refuses what the stored bytes cannot expand to. Must be called under the library's lock.
  private func checkPlausibility(bytes: Int, handle: hid_t) throws {
    var largest = bytes
    if let chunk, let elements = HDF5Shape.elementCount(chunk) {
      let (chunkBytes, overflow) = elements.multipliedReportingOverflow(by: max(1, fileType.size))
      largest = max(largest, overflow ? Int.max : chunkBytes)
    }
    guard !file.isWritable, largest > HDF5Plausibility.allowance else { return }
    let stored: Int
    if let storedBytes {
      stored = storedBytes
    } else {
      stored = min(Int(clamping: H5Dget_storage_size(handle)), file.size)
      storedBytes = stored
    }
    let limit = HDF5Plausibility.limit(storedBytes: stored, isCompressed: isCompressed)
    guard largest <= limit else {
      throw file.error(
        .implausibleSize, path, expected: "at most \(limit) bytes, as it stores \(stored)",
        found: "shape \(shape)" + (chunk.map { " in chunks of \($0)" } ?? "") + ", \(largest) bytes")
    }
  }
}

// MARK: - Reading

extension HDF5Dataset {
  /// Reads everything, converting numbers to `Element`.
  public func read<Element: HDF5Element>(as type: Element.Type = Element.self) throws -> HDF5Array<Element> {
    try read(as: type, offset: shape.map { _ in 0 }, count: shape)
  }

  /// Reads the box that starts at `offset` and has the lengths `count`, both with one number per axis.
  public func read<Element: HDF5Element>(
    as type: Element.Type = Element.self, offset: [Int], count: [Int]
  ) throws -> HDF5Array<Element> {
    let total = try checkedCount(offset: offset, count: count)
    try checkType(of: Element.hdf5Kind)
    try locked { handle in
      let (bytes, overflow) = total.multipliedReportingOverflow(by: max(fileType.size, 1))
      try checkPlausibility(bytes: overflow ? Int.max : bytes, handle: handle)
    }
    let elements = try [Element](unsafeUninitializedCapacity: total) { buffer, initialized in
      try transferIn(UnsafeMutableRawPointer(buffer.baseAddress), kind: Element.hdf5Kind, offset: offset, count: count)
      initialized = total
    }
    return HDF5Array(shape: count, elements: elements)
  }

  /// Reads a box straight into the caller's memory, row-major without gaps.
  public func read<Element: HDF5Element>(
    into buffer: UnsafeMutableBufferPointer<Element>, offset: [Int], count: [Int]
  ) throws {
    let total = try checkedCount(offset: offset, count: count)
    guard total == buffer.count else {
      throw file.error(.wrongShape, path, expected: "a buffer of \(total) elements", found: "\(buffer.count)")
    }
    try checkType(of: Element.hdf5Kind)
    try transferIn(UnsafeMutableRawPointer(buffer.baseAddress), kind: Element.hdf5Kind, offset: offset, count: count)
  }

  private func transferIn(
    _ memory: UnsafeMutableRawPointer?, kind: HDF5ElementKind, offset: [Int], count: [Int]
  ) throws {
    try withSelection(offset: offset, count: count) { handle, memorySpace, fileSpace in
      guard let memory else { return }
      try checkPlausibility(bytes: 0, handle: handle)
      let transfer = chdf5_strict_transfer()
      guard transfer >= 0 else {
        throw file.error(.damaged, path, expected: "to read", found: HDF5Library.lastMessage())
      }
      defer { _ = H5Pclose(transfer) }
      guard H5Dread(handle, kind.nativeType, memorySpace, fileSpace, transfer, memory) >= 0 else {
        let message = HDF5Library.lastMessage()
        let isRange = message.contains("can't handle conversion exception")
        throw file.error(
          isRange ? .outOfRange : .damaged, path,
          expected: isRange ? "numbers that fit \(kind.rawValue)" : "whole, uncorrupted data",
          found: isRange ? "larger ones of type \(fileType.description)" : message)
      }
    }
  }

  private func checkType(of kind: HDF5ElementKind) throws {
    guard fileType.converts(to: kind) else {
      throw file.error(
        .wrongType, path, expected: "numbers that convert to \(kind.rawValue)", found: fileType.description)
    }
  }
}

// MARK: - Writing

extension HDF5Dataset {
  /// Writes the box that starts at `offset` and has the lengths `count`. Slabs that end where chunks end are fastest.
  public func write<Element: HDF5Element>(
    _ elements: UnsafeBufferPointer<Element>, offset: [Int], count: [Int]
  ) throws {
    let total = try checkedCount(offset: offset, count: count)
    guard total == elements.count else {
      throw file.error(.wrongShape, path, expected: "\(total) elements for \(count)", found: "\(elements.count)")
    }
    try checkType(of: Element.hdf5Kind)
    try withSelection(offset: offset, count: count) { handle, memorySpace, fileSpace in
      guard let memory = elements.baseAddress else { return }
      let none = chdf5_default_properties()
      guard H5Dwrite(handle, Element.hdf5Kind.nativeType, memorySpace, fileSpace, none, memory) >= 0 else {
        throw file.error(
          .cannotWrite, path, expected: "to write \(count) at \(offset)", found: HDF5Library.lastMessage())
      }
    }
  }

  /// Writes a box from an array.
  public func write<Element: HDF5Element>(_ elements: [Element], offset: [Int], count: [Int]) throws {
    try elements.withUnsafeBufferPointer { try write($0, offset: offset, count: count) }
  }
}

// MARK: - Boxes

extension HDF5Dataset {
  /// The number of elements of a box that lies inside the shape.
  private func checkedCount(offset: [Int], count: [Int]) throws -> Int {
    var isInside = offset.count == shape.count && count.count == shape.count
    if isInside {
      for axis in shape.indices {
        let (end, overflow) = offset[axis].addingReportingOverflow(count[axis])
        if offset[axis] < 0 || count[axis] < 0 || overflow || end > shape[axis] { isInside = false }
      }
    }
    guard isInside, let total = HDF5Shape.elementCount(count) else {
      throw file.error(
        .wrongShape, path, expected: "a box inside the shape \(shape)", found: "\(count) at offset \(offset)")
    }
    return total
  }

  /// Calls `body` under the lock with the dataset, the space of the memory and that of the box; not for an empty box.
  private func withSelection(
    offset: [Int], count: [Int], _ body: (_ dataset: hid_t, _ memory: hid_t, _ file: hid_t) throws -> Void
  ) throws {
    if count.contains(0) { return }
    try locked { handle in
      if count == shape {
        return try body(handle, chdf5_whole_space(), chdf5_whole_space())
      }
      let space = H5Dget_space(handle)
      defer { if space >= 0 { _ = H5Sclose(space) } }
      let memory = H5Screate_simple(Int32(count.count), count.map { hsize_t($0) }, nil)
      defer { if memory >= 0 { _ = H5Sclose(memory) } }
      let start = offset.map { hsize_t($0) }
      let lengths = count.map { hsize_t($0) }
      guard space >= 0, memory >= 0, H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nil, lengths, nil) >= 0 else {
        throw file.error(
          .damaged, path, expected: "to select \(count) at \(offset)", found: HDF5Library.lastMessage())
      }
      try body(handle, memory, space)
    }
  }
}
