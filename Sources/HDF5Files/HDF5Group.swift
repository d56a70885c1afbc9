import CHDF5

/// A group of an open file: a folder of datasets and other groups. Paths such as `a/b` reach through several levels.
///
/// Hard and soft links are followed; links into other files are refused.
public struct HDF5Group: Sendable, HDF5Object {
  public let file: HDF5File
  public let path: String

  init(file: HDF5File, path: String) {
    self.file = file
    self.path = path
  }

  /// The full path of a member.
  func path(of name: String) -> String {
    if name.isEmpty || name == "." { return path }
    if name.hasPrefix("/") { return name }
    return path == "/" ? "/" + name : path + "/" + name
  }

  /// Names of the members: in the order of creation where the file keeps it (ours do), otherwise by byte order.
  public var names: [String] {
    get throws {
      try file.locked { handle in
        let group = H5Gopen2(handle, path, chdf5_default_properties())
        guard group >= 0 else {
          throw file.error(.damaged, path, expected: "a group", found: HDF5Library.lastMessage())
        }
        return try HDF5Library.scoped(group, close: H5Gclose) { group in
          let collector = NameCollector()
          let context = Unmanaged.passUnretained(collector).toOpaque()
          guard chdf5_each_link(group, NameCollector.visitor, context) >= 0 else {
            throw file.error(.damaged, path, expected: "a list of members", found: HDF5Library.lastMessage())
          }
          return collector.names
        }
      }
    }
  }

  /// Whether there is a group or dataset with this name or path.
  public func contains(_ name: String) -> Bool {
    let target = path(of: name)
    return (try? file.locked { exists(target, in: $0) }) ?? false
  }

  /// Whether there is a group (not a dataset) with this name or path.
  public func containsGroup(_ name: String) -> Bool {
    (try? group(name)) != nil
  }

  /// The group with this name or path.
  public func group(_ name: String) throws -> HDF5Group {
    let target = path(of: name)
    try file.locked { handle in
      try requireExistence(target, in: handle, expected: "a group")
      let object = H5Gopen2(handle, target, chdf5_default_properties())
      guard object >= 0 else {
        throw file.error(.wrongType, target, expected: "a group", found: "a dataset, or a damaged group")
      }
      _ = H5Gclose(object)
    }
    return HDF5Group(file: file, path: target)
  }

  /// Makes a group, and those on the way to it that are missing.
  @discardableResult
  public func createGroup(_ name: String) throws -> HDF5Group {
    var current = self
    for component in name.split(separator: "/", omittingEmptySubsequences: true) {
      let target = current.path(of: String(component))
      if !current.contains(String(component)) {
        try file.locked { handle in
          let creation = chdf5_group_creation()
          defer { _ = H5Pclose(creation) }
          let group = H5Gcreate2(
            handle, target, chdf5_default_properties(), creation, chdf5_default_properties())
          guard group >= 0 else {
            throw file.error(.cannotWrite, target, expected: "to make a group", found: HDF5Library.lastMessage())
          }
          _ = H5Gclose(group)
        }
      }
      current = try current.group(String(component))
    }
    return current
  }

  /// Gives an existing group or dataset a second name (a hard link): both names reach the same object.
  public func createAlias(_ name: String, of existing: String) throws {
    let source = path(of: existing)
    let target = path(of: name)
    try file.locked { handle in
      try requireExistence(source, in: handle, expected: "a group or dataset")
      let none = chdf5_default_properties()
      guard H5Lcreate_hard(handle, source, handle, target, none, none) >= 0 else {
        throw file.error(.cannotWrite, target, expected: "to make an alias", found: HDF5Library.lastMessage())
      }
    }
  }

  /// Must be called under the library's lock.
  func exists(_ target: String, in handle: hid_t) -> Bool {
    let none = chdf5_default_properties()
    var partial = ""
    for component in target.split(separator: "/", omittingEmptySubsequences: true) {
      partial += "/" + component
      // The second question is for links whose target is gone.
      guard H5Lexists(handle, partial, none) > 0, H5Oexists_by_name(handle, partial, none) > 0 else { return false }
    }
    return true
  }

  /// Must be called under the library's lock.
  func requireExistence(_ target: String, in handle: hid_t, expected: String) throws {
    guard exists(target, in: handle) else {
      throw file.error(.missing, target, expected: expected, found: "nothing with this name")
    }
  }
}

/// Collects names from a C callback.
final class NameCollector {
  var names: [String] = []

  static let visitor: chdf5_name_visitor = { name, context in
    guard let name, let context else { return -1 }
    Unmanaged<NameCollector>.fromOpaque(context).takeUnretainedValue().names.append(String(cString: name))
    return 0
  }
}

extension HDF5Group {
  /// Opens a dataset, for several reads or for slab-wise writing.
  public func dataset(_ name: String) throws -> HDF5Dataset {
    try HDF5Dataset(opening: path(of: name), in: self)
  }

  /// The lengths of a dataset's axes, the slowest first; empty for a single number.
  public func shape(of name: String) throws -> [Int] {
    try dataset(name).shape
  }

  /// Reads a whole dataset, converting its numbers to `Element`. Integers that do not fit and floating-point numbers
  /// asked for as integers are errors.
  public func read<Element: HDF5Element>(
    _ name: String, as type: Element.Type = Element.self
  ) throws -> HDF5Array<Element> {
    try dataset(name).read(as: type)
  }

  /// Reads the box that starts at `offset` and has the lengths `count`, both with one number per axis.
  public func read<Element: HDF5Element>(
    _ name: String, as type: Element.Type = Element.self, offset: [Int], count: [Int]
  ) throws -> HDF5Array<Element> {
    try dataset(name).read(as: type, offset: offset, count: count)
  }

  /// Reads a box straight into the caller's memory, row-major without gaps.
  public func read<Element: HDF5Element>(
    _ name: String, into buffer: UnsafeMutableBufferPointer<Element>, offset: [Int], count: [Int]
  ) throws {
    try dataset(name).read(into: buffer, offset: offset, count: count)
  }

  /// Makes a dataset to be filled slab by slab; parts that are never written read as 0.
  ///
  /// - Parameters:
  ///   - shape: lengths of the axes, the slowest first; empty for a single number.
  ///   - storage: chunks, compression and checksums.
  public func createDataset<Element: HDF5Element>(
    _ name: String, of type: Element.Type, shape: [Int], storage: HDF5Storage = .plain
  ) throws -> HDF5Dataset {
    try HDF5Dataset(creating: path(of: name), in: self, kind: type.hdf5Kind, shape: shape, storage: storage)
  }

  /// Writes a dataset.
  ///
  /// - Parameters:
  ///   - elements: row-major, as many as `shape` says.
  ///   - compression: gzip level 1...9 (with byte shuffling), or `nil` for none.
  ///   - checksum: whether every chunk carries a Fletcher-32 checksum that reading verifies.
  public func write<Element: HDF5Element>(
    _ name: String, _ elements: [Element], shape: [Int], compression: Int? = nil, checksum: Bool = false
  ) throws {
    try elements.withUnsafeBufferPointer {
      try write(name, $0, shape: shape, storage: HDF5Storage(compression: compression, checksum: checksum))
    }
  }

  /// Writes a dataset from the caller's memory, row-major without gaps.
  public func write<Element: HDF5Element>(
    _ name: String, _ elements: UnsafeBufferPointer<Element>, shape: [Int], storage: HDF5Storage = .plain
  ) throws {
    let target = path(of: name)
    guard HDF5Shape.elementCount(shape) == elements.count else {
      throw file.error(
        .wrongShape, target, expected: "as many elements as the shape \(shape) has", found: "\(elements.count)")
    }
    let dataset = try createDataset(name, of: Element.self, shape: shape, storage: storage)
    try dataset.write(elements, offset: shape.map { _ in 0 }, count: shape)
    try dataset.close()
  }

  /// Writes a single number.
  public func write<Element: HDF5Element>(_ name: String, _ value: Element) throws {
    try write(name, [value], shape: [])
  }
}
