import Archives
import Synchronization

/// A file that `torch.save` wrote: a pickle, and the storages that its tensors point into.
///
/// Both layouts are read: the zip archive of PyTorch 1.6 and later, and the older row of pickles. The pickle is
/// interpreted, never run: classes outside `allowedClasses` are refused by name. Storages are read when a tensor is asked
/// for, straight into its array.
public final class PyTorchFile: Sendable {
  /// What the pickle describes; tensors in it are found by `tensor(_:)`.
  public let root: PickleValue
  public let path: String

  /// Where a storage's bytes lie.
  private enum Place {
    case entry(ZipArchive.Entry)
    case bytes(offset: Int, count: Int)

    var count: Int {
      switch self {
      case .entry(let entry): entry.size
      case .bytes(_, let count): count
      }
    }
  }

  private let source: any ByteSource
  private let archive: ZipArchive?
  private let places: [String: Place]
  private let isBigEndian: Bool
  /// Storages whose checksum was compared.
  private let verified = Mutex<Set<String>>([])

  /// The classes and functions that nnU-Net's checkpoints contain, and the other forms in which PyTorch writes tensors.
  public static let allowedClasses = PickleClasses.numPy.union(
    PickleClasses(
      Set(
        [
          "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor", "torch._utils._rebuild_parameter",
          "torch._utils._rebuild_parameter_with_state", "torch._tensor._rebuild_from_type_v2",
          "torch.nn.parameter.Parameter", "torch.Tensor", "torch.Size", "torch.device", "pathlib.PosixPath",
          "pathlib.PurePosixPath",
        ] + PyTorchElementKind.allCases.flatMap { ["torch." + $0.rawValue, "torch.cuda." + $0.rawValue] }
          + [
            "float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool",
          ].map { "torch." + $0 })))

  /// Opens a file and reads its pickle, but no storage.
  public convenience init(path: String) throws {
    try self.init(FileBytes(path))
  }

  package init(_ source: any ByteSource) throws {
    self.source = source
    path = source.name
    let start = try source.bytes(at: 0, count: min(4, source.count))
    if start == [0x50, 0x4B, 0x03, 0x04] {
      let archive = try ZipArchive(source)
      let layout = try Self.readArchive(archive)
      self.archive = archive
      (root, places, isBigEndian) = layout
    } else {
      let layout = try Self.readLegacy(source)
      archive = nil
      (root, places, isBigEndian) = layout
    }
  }

  private typealias Layout = (root: PickleValue, places: [String: Place], isBigEndian: Bool)

  private static func readArchive(_ archive: ZipArchive) throws -> Layout {
    guard let pickle = archive.entries.first(where: { $0.name == "data.pkl" || $0.name.hasSuffix("/data.pkl") }) else {
      throw ArchiveError(
        .wrongType, archive.source.name, expected: "a file written by torch.save", found: "a zip file without data.pkl")
    }
    let folder = pickle.name.dropLast("data.pkl".count)
    var isBigEndian = false
    if archive.contains(folder + "byteorder") {
      let order = String(decoding: try archive.read(archive.entry(folder + "byteorder"), maximum: 16), as: UTF8.self)
      guard order == "little" || order == "big" else {
        throw ArchiveError(.damaged, archive.source.name, expected: "the byte order little or big", found: order)
      }
      isBigEndian = order == "big"
    }
    let root = try Pickle.read(
      archive.read(pickle, maximum: 1 << 30), allowing: allowedClasses, name: archive.source.name + ":" + pickle.name)
    var places: [String: Place] = [:]
    let prefix = folder + "data/"
    for entry in archive.entries where entry.name.hasPrefix(prefix) {
      places[String(entry.name.dropFirst(prefix.count))] = .entry(entry)
    }
    return (root, places, isBigEndian)
  }

  /// The layout before PyTorch 1.6: five pickles (magic number, version, system, object, storage keys), then for every
  /// key the number of elements and the elements.
  private static func readLegacy(_ source: any ByteSource) throws -> Layout {
    // How long the pickles are is known when they are read: try with more until they end.
    var length = min(source.count, 1 << 20)
    while true {
      do {
        return try readLegacy(source, prefix: source.bytes(at: 0, count: length))
      } catch let error as ArchiveError where error.kind == .damaged && length < source.count {
        length = min(source.count, length * 4)
      }
    }
  }

  private static func readLegacy(_ source: any ByteSource, prefix: [UInt8]) throws -> Layout {
    var position = 0
    func next(_ classes: PickleClasses) throws -> PickleValue {
      try Pickle.read(prefix, at: &position, allowing: classes, limits: Pickle.Limits(), name: source.name)
    }
    guard prefix.first == 0x80, case .bigInteger("119547037146038801333356") = try next(.plain),
      try next(.plain).integer == 1001
    else {
      throw ArchiveError(
        .wrongType, source.name, expected: "a file written by torch.save", found: "other contents")
    }
    let isBigEndian = try next(.plain)["little_endian"]?.bool == false
    let root = try next(allowedClasses)
    guard let keys = try next(.plain).elements?.compactMap({ $0.string ?? $0.integer.map(String.init) }) else {
      throw ArchiveError(.damaged, source.name, expected: "a list of storages", found: "something else")
    }
    // The size of an element stands with the tensors that use the storage.
    var sizes: [String: Int] = [:]
    collectStorages(root, into: &sizes)
    var places: [String: Place] = [:]
    var offset = position
    for key in keys {
      guard let size = sizes[key] else {
        throw ArchiveError(.damaged, source.name, expected: "a tensor that uses storage \(key)", found: "none")
      }
      let header = try source.bytes(at: offset, count: 8)
      let count = header.withUnsafeBytes { $0.loadUnaligned(as: Int64.self) }
      let elementCount = Int(isBigEndian ? count.byteSwapped : count)
      let (bytes, overflow) = elementCount.multipliedReportingOverflow(by: size)
      guard !overflow, elementCount >= 0 else {
        throw ArchiveError(.damaged, source.name, expected: "the length of storage \(key)", found: "\(elementCount)")
      }
      try source.checkRange(offset + 8, bytes)
      places[key] = .bytes(offset: offset + 8, count: bytes)
      offset += 8 + bytes
    }
    return (root, places, isBigEndian)
  }

  private static func collectStorages(_ value: PickleValue, into sizes: inout [String: Int]) {
    switch value {
    case .list(let values), .tuple(let values), .set(let values):
      for value in values { collectStorages(value, into: &sizes) }
    case .dictionary(let dictionary):
      for value in dictionary.values { collectStorages(value, into: &sizes) }
    case .object(let object):
      for value in object.arguments { collectStorages(value, into: &sizes) }
    case .persistent(let identifier):
      guard let parts = identifier.elements, parts.count >= 5, case .classReference(let name) = parts[1],
        let key = parts[2].string ?? parts[2].integer.map(String.init),
        let kind = name.split(separator: ".").last.flatMap({ PyTorchElementKind(rawValue: String($0)) })
      else { return }
      sizes[key] = kind.size
    default: break
    }
  }

  /// The tensor that a value of the pickle describes; `nil` where it is something else.
  public func tensor(_ value: PickleValue, name: String = "tensor") throws -> PyTorchTensor? {
    try PyTorchTensor(value, name: path + ":" + name)
  }

  /// Reads a tensor's elements as 32-bit floats, row-major. 64-bit numbers are rounded to nearest.
  public func elements(of tensor: PyTorchTensor, name: String = "tensor") throws -> [Float] {
    let label = path + ":" + name
    guard let place = places[tensor.storageKey] else {
      throw ArchiveError(.missing, label, expected: "storage '\(tensor.storageKey)'", found: "no such storage")
    }
    let needed = tensor.storageCount * tensor.kind.size
    guard place.count >= needed else {
      throw ArchiveError(
        .damaged, label, expected: "a storage of \(needed) bytes", found: "\(place.count) bytes")
    }
    let count = tensor.count
    if count == 0 { return [] }
    if tensor.isContiguous {
      let size = tensor.kind.size
      if tensor.kind == .float32, !isBigEndian {
        return try [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
          let target = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count * 4)
          try read(place, key: tensor.storageKey, offset: tensor.offset * 4, into: target)
          initialized = count
        }
      }
      let bytes = try read(place, tensor: tensor, offset: tensor.offset * size, count: count * size)
      return bytes.withUnsafeBytes { tensor.kind.floats($0) }
    }
    let bytes = try read(place, tensor: tensor, offset: 0, count: needed)
    return gather(bytes.withUnsafeBytes { tensor.kind.floats($0) }, tensor)
  }

  private func read(_ place: Place, tensor: PyTorchTensor, offset: Int, count: Int) throws -> [UInt8] {
    var bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      let target = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count)
      try read(place, key: tensor.storageKey, offset: offset, into: target)
      initialized = count
    }
    let size = tensor.kind.size
    if isBigEndian, size > 1 {
      for start in stride(from: 0, to: bytes.count, by: size) {
        bytes[start..<start + size].reverse()
      }
    }
    return bytes
  }

  /// Reads a part of a storage; the checksum of the whole is compared the first time.
  private func read(
    _ place: Place, key: String, offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    switch place {
    case .bytes(let start, _): try source.read(at: start + offset, into: buffer)
    case .entry(let entry):
      guard let archive else { return }
      if offset == 0, buffer.count == entry.size {
        try archive.read(entry, into: buffer)
        verified.withLock { _ = $0.insert(key) }
      } else if entry.isCompressed {
        let bytes = try archive.read(entry)
        bytes.withUnsafeBytes {
          buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + buffer.count]))
        }
      } else {
        if !verified.withLock({ $0.contains(key) }) {
          let reader = try archive.reader(for: entry)
          while reader.remaining > 0 { _ = try reader.bytes(min(reader.remaining, 1 << 20)) }
          verified.withLock { _ = $0.insert(key) }
        }
        try source.read(at: archive.dataOffset(of: entry) + offset, into: buffer)
      }
    }
  }

  private func gather(_ storage: [Float], _ tensor: PyTorchTensor) -> [Float] {
    let (shape, strides) = (tensor.shape, tensor.strides)
    let count = tensor.count
    var position = [Int](repeating: 0, count: shape.count)
    var from = tensor.offset
    return [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
      for to in 0..<count {
        buffer[to] = storage[from]
        var axis = shape.count - 1
        while axis >= 0 {
          position[axis] += 1
          from += strides[axis]
          if position[axis] < shape[axis] { break }
          from -= strides[axis] * shape[axis]
          position[axis] = 0
          axis -= 1
        }
      }
      initialized = count
    }
  }
}
