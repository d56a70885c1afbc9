import CHDF5

/// A group or dataset: what can have attributes.
public protocol HDF5Object {
  var file: HDF5File { get }
  /// The path inside the file.
  var path: String { get }
}

extension HDF5Object {
  /// Names of the attributes, by byte order.
  public var attributeNames: [String] {
    get throws {
      try withObject { object in
        let collector = NameCollector()
        guard chdf5_each_attribute(object, NameCollector.visitor, Unmanaged.passUnretained(collector).toOpaque()) >= 0
        else {
          throw file.error(.damaged, path, expected: "a list of attributes", found: HDF5Library.lastMessage())
        }
        return collector.names
      }
    }
  }

  /// Whether there is an attribute with this name.
  public func hasAttribute(_ name: String) -> Bool {
    (try? withObject { H5Aexists($0, name) > 0 }) ?? false
  }

  /// A number. An array of one counts as its element.
  public func attribute<Element: HDF5Element>(_ name: String, as type: Element.Type) throws -> Element {
    let values = try attributeArray(name, as: type)
    guard values.elements.count == 1 else {
      throw file.error(.wrongShape, label(name), expected: "one number", found: "shape \(values.shape)")
    }
    return values.elements[0]
  }

  /// A string, of fixed or variable length.
  public func attribute(_ name: String, as type: String.Type) throws -> String {
    let values = try attributeStrings(name)
    guard values.count == 1 else {
      throw file.error(.wrongShape, label(name), expected: "one string", found: "\(values.count)")
    }
    return values[0]
  }

  /// Numbers with their shape.
  public func attributeArray<Element: HDF5Element>(
    _ name: String, as type: Element.Type
  ) throws -> HDF5Array<Element> {
    try withAttribute(name) { attribute, fileType, shape, count in
      guard fileType.converts(to: Element.hdf5Kind) else {
        throw file.error(
          .wrongType, label(name), expected: "numbers that convert to \(Element.hdf5Kind.rawValue)",
          found: fileType.description)
      }
      var elements = [Element](repeating: Element.hdf5Zero, count: count)
      let status = elements.withUnsafeMutableBytes { bytes in
        bytes.baseAddress.map { H5Aread(attribute, Element.hdf5Kind.nativeType, $0) } ?? 0
      }
      guard status >= 0 else { throw damaged(name) }
      return HDF5Array(shape: shape, elements: elements)
    }
  }

  /// Strings, of fixed or variable length. Bytes that are not UTF-8 become replacement characters.
  public func attributeStrings(_ name: String) throws -> [String] {
    try withAttribute(name) { attribute, fileType, _, count in
      guard fileType.elementClass == .string else {
        throw file.error(.wrongType, label(name), expected: "a string", found: fileType.description)
      }
      let type = H5Aget_type(attribute)
      guard type >= 0 else { throw damaged(name) }
      defer { _ = H5Tclose(type) }
      if fileType.isVariableLength {
        return try variableLengthStrings(name, attribute: attribute, type: type, count: count)
      }
      var bytes = [UInt8](repeating: 0, count: count * fileType.size)
      let status = bytes.withUnsafeMutableBytes { raw in raw.baseAddress.map { H5Aread(attribute, type, $0) } ?? 0 }
      guard status >= 0 else { throw damaged(name) }
      let isSpacePadded = H5Tget_strpad(type) == H5T_STR_SPACEPAD
      return (0..<count).map { index in
        var text = bytes[index * fileType.size..<(index + 1) * fileType.size]
        if isSpacePadded {
          while text.last == UInt8(ascii: " ") { text.removeLast() }
        } else if let end = text.firstIndex(of: 0) {
          text = text[..<end]
        }
        return String(decoding: text, as: UTF8.self)
      }
    }
  }

  private func variableLengthStrings(_ name: String, attribute: hid_t, type: hid_t, count: Int) throws -> [String] {
    var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
    let isUTF8 = H5Tget_cset(type) == H5T_CSET_UTF8
    let memoryType = chdf5_string_type(0, isUTF8)
    guard memoryType >= 0 else { throw damaged(name) }
    defer { _ = H5Tclose(memoryType) }
    let status = pointers.withUnsafeMutableBytes { raw in
      raw.baseAddress.map { H5Aread(attribute, memoryType, $0) } ?? 0
    }
    defer { for pointer in pointers { if let pointer { _ = H5free_memory(pointer) } } }
    guard status >= 0 else { throw damaged(name) }
    return pointers.map { pointer in pointer.map { String(cString: $0) } ?? "" }
  }

  /// Writes a number, replacing an attribute of the same name.
  public func setAttribute<Element: HDF5Element>(_ name: String, _ value: Element) throws {
    try writeAttribute(name, kind: Element.hdf5Kind, shape: [], [value])
  }

  /// Writes numbers as a list, replacing an attribute of the same name. For more than a few thousand use a dataset.
  public func setAttribute<Element: HDF5Element>(_ name: String, _ values: [Element]) throws {
    try writeAttribute(name, kind: Element.hdf5Kind, shape: [values.count], values)
  }

  /// Writes a string of any length (UTF-8), replacing an attribute of the same name.
  public func setAttribute(_ name: String, _ value: String) throws {
    try writeStrings(name, [value], isScalar: true)
  }

  /// Writes strings as a list, replacing an attribute of the same name.
  public func setAttribute(_ name: String, _ values: [String]) throws {
    try writeStrings(name, values, isScalar: false)
  }
}

extension HDF5Object {
  private func label(_ name: String) -> String { path + "@" + name }

  private func damaged(_ name: String) -> HDF5Error {
    file.error(.damaged, label(name), expected: "a whole attribute", found: HDF5Library.lastMessage())
  }

  private func withObject<Result>(_ body: (hid_t) throws -> Result) throws -> Result {
    try file.locked { handle in
      let object = H5Oopen(handle, path, chdf5_default_properties())
      guard object >= 0 else {
        throw file.error(.damaged, path, expected: "a group or dataset", found: HDF5Library.lastMessage())
      }
      return try HDF5Library.scoped(object, close: H5Oclose, body)
    }
  }

  private func withAttribute<Result>(
    _ name: String, _ body: (_ attribute: hid_t, HDF5FileType, _ shape: [Int], _ count: Int) throws -> Result
  ) throws -> Result {
    try withObject { object in
      guard H5Aexists(object, name) > 0 else {
        throw file.error(.missing, label(name), expected: "an attribute", found: "nothing with this name")
      }
      let attribute = H5Aopen(object, name, chdf5_default_properties())
      guard attribute >= 0 else { throw damaged(name) }
      defer { _ = H5Aclose(attribute) }
      let type = H5Aget_type(attribute)
      guard type >= 0 else { throw damaged(name) }
      defer { _ = H5Tclose(type) }
      let space = H5Aget_space(attribute)
      guard space >= 0 else { throw damaged(name) }
      defer { _ = H5Sclose(space) }
      var shape: [Int] = []
      if H5Sget_simple_extent_type(space) == H5S_NULL {
        shape = [0]
      } else {
        let rank = H5Sget_simple_extent_ndims(space)
        guard (0...32).contains(rank) else { throw damaged(name) }
        var lengths = [hsize_t](repeating: 0, count: Int(rank) + 1)
        guard H5Sget_simple_extent_dims(space, &lengths, nil) >= 0 else { throw damaged(name) }
        shape = lengths.prefix(Int(rank)).map { Int(clamping: $0) }
      }
      let fileType = HDF5FileType(type)
      // An attribute lies whole in the file (its strings of variable length aside, which the library bounds).
      guard let count = HDF5Shape.elementCount(shape),
        !count.multipliedReportingOverflow(by: max(1, fileType.size)).overflow,
        count * max(1, fileType.size) <= max(file.size, file.isWritable ? Int.max : 0)
      else {
        throw file.error(
          .implausibleSize, label(name), expected: "an attribute smaller than the file", found: "shape \(shape)")
      }
      return try body(attribute, fileType, shape, count)
    }
  }

  private func createAttribute(
    _ name: String, type: hid_t, shape: [Int], _ body: (hid_t) -> herr_t
  ) throws {
    try withObject { object in
      let failure = { file.error(.cannotWrite, label(name), expected: "to write an attribute", found: $0) }
      if H5Aexists(object, name) > 0, H5Adelete(object, name) < 0 { throw failure(HDF5Library.lastMessage()) }
      let lengths = shape.map { hsize_t($0) }
      let space = shape.isEmpty ? H5Screate(H5S_SCALAR) : H5Screate_simple(Int32(shape.count), lengths, nil)
      guard space >= 0 else { throw failure(HDF5Library.lastMessage()) }
      defer { _ = H5Sclose(space) }
      let none = chdf5_default_properties()
      let attribute = H5Acreate2(object, name, type, space, none, none)
      guard attribute >= 0 else { throw failure(HDF5Library.lastMessage()) }
      defer { _ = H5Aclose(attribute) }
      guard body(attribute) >= 0 else { throw failure(HDF5Library.lastMessage()) }
    }
  }

  private func writeAttribute<Element: HDF5Element>(
    _ name: String, kind: HDF5ElementKind, shape: [Int], _ values: [Element]
  ) throws {
    try HDF5Library.locked {
      try createAttribute(name, type: kind.fileType, shape: shape) { attribute in
        values.withUnsafeBytes { raw in
          raw.baseAddress.map { H5Awrite(attribute, kind.nativeType, $0) } ?? 0
        }
      }
    }
  }

  /// Strings are written with a fixed length, so that they lie in checksummed metadata; strings of variable length would
  /// lie in a heap without checksums.
  private func writeStrings(_ name: String, _ values: [String], isScalar: Bool) throws {
    try HDF5Library.locked {
      let length = max(1, values.reduce(0) { max($0, $1.utf8.count) })
      let type = chdf5_string_type(length, true)
      guard type >= 0 else {
        throw file.error(.cannotWrite, label(name), expected: "a string type", found: HDF5Library.lastMessage())
      }
      defer { _ = H5Tclose(type) }
      var bytes: [UInt8] = []
      bytes.reserveCapacity(length * values.count)
      for value in values {
        bytes.append(contentsOf: value.utf8)
        bytes.append(contentsOf: repeatElement(0, count: length - value.utf8.count))
      }
      try createAttribute(name, type: type, shape: isScalar ? [] : [values.count]) { attribute in
        bytes.withUnsafeBytes { raw in
          raw.baseAddress.map { H5Awrite(attribute, type, $0) } ?? 0
        }
      }
    }
  }
}

extension HDF5Group {
  /// Must be called under the library's lock.
  func isGroup(_ target: String, in handle: hid_t) -> Bool {
    let object = H5Oopen(handle, target, chdf5_default_properties())
    guard object >= 0 else { return false }
    defer { _ = H5Oclose(object) }
    return H5Iget_type(object) == H5I_GROUP
  }
}
