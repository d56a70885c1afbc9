import TensorCore

/// Why named tensors do not fit a network: every difference is listed.
public struct StateLoadingError: Error, Sendable, CustomStringConvertible {
  public struct Misshape: Sendable {
    public let name: String
    public let expected: Shape
    public let found: Shape
  }

  /// Where the tensors came from: a file.
  public let source: String
  /// Names the network needs and the source lacks.
  public var missing: [String] = []
  /// Names of the source that the network does not have.
  public var unused: [String] = []
  public var misshaped: [Misshape] = []
  /// Names of one tensor that the source gives different values.
  public var contradicting: [(name: String, alias: String)] = []

  var isEmpty: Bool { missing.isEmpty && unused.isEmpty && misshaped.isEmpty && contradicting.isEmpty }

  public var description: String {
    var lines = ["\(source) does not hold the parameters of this network; is it from another plan or configuration?"]
    if !missing.isEmpty { lines.append("missing: \(Self.list(missing))") }
    if !unused.isEmpty { lines.append("unused: \(Self.list(unused))") }
    if !misshaped.isEmpty {
      lines.append(
        "misshaped: \(Self.list(misshaped.map { "\($0.name) (expected \($0.expected), found \($0.found))" }))")
    }
    if !contradicting.isEmpty {
      lines.append("different values for one tensor: \(Self.list(contradicting.map { "\($0.name) and \($0.alias)" }))")
    }
    return lines.joined(separator: "\n  ")
  }

  private static func list(_ items: [String]) -> String {
    items.prefix(20).joined(separator: ", ") + (items.count > 20 ? " and \(items.count - 20) more" : "")
  }
}

extension ParameterSet {
  /// Takes values from a state dictionary, strictly: every entry must be there in its shape, and nothing else.
  ///
  /// Names may be aliases; a tensor that comes under several names must have one value. The prefixes that PyTorch's
  /// wrappers leave (`module.`, `_orig_mod.`) are dropped.
  /// - Parameters:
  ///   - state: names and tensors in any order.
  ///   - source: the file, for messages.
  /// - Throws: `StateLoadingError` with all differences.
  public init(layout: ParameterLayout, loading state: [(name: String, value: Tensor)], from source: String) throws {
    let start = layout.entries.map { Tensor(zeros: $0.shape) }
    self.init(layout: layout, values: start)
    try load(state, from: source, keeping: { _ in false })
  }

  /// Takes values like `init(layout:loading:from:)`, except for entries that `keeping` accepts by name: those stay.
  ///
  /// For starting from another task's weights: nnU-Net keeps what has `.seg_layers.` in its name.
  public mutating func load(
    _ state: [(name: String, value: Tensor)], from source: String, keeping: (String) -> Bool
  ) throws {
    var error = StateLoadingError(source: source)
    var found: [(name: String, value: Tensor)?] = layout.entries.map { _ in nil }
    for (name, value) in state {
      let plain = Self.withoutWrapperPrefix(name, in: layout)
      guard let position = layout.position(of: plain) else {
        if !keeping(plain) { error.unused.append(name) }
        continue
      }
      let entry = layout.entries[position]
      if keeping(entry.name) { continue }
      guard value.shape == entry.shape else {
        error.misshaped.append(.init(name: name, expected: entry.shape, found: value.shape))
        continue
      }
      let converted = value.exactly(as: entry.elementType)
      if let (first, other) = found[position] {
        if !converted.isBitwiseEqual(to: other) { error.contradicting.append((name: first, alias: name)) }
      } else {
        found[position] = (name, converted)
      }
    }
    for (position, entry) in layout.entries.enumerated() where found[position] == nil && !keeping(entry.name) {
      if !error.misshaped.contains(where: { layout.position(of: $0.name) == position }) {
        error.missing.append(entry.name)
      }
    }
    guard error.isEmpty else { throw error }
    for (position, value) in found.enumerated() {
      if let value { values[position] = value.value }
    }
  }

  private static func withoutWrapperPrefix(_ name: String, in layout: ParameterLayout) -> String {
    guard layout.position(of: name) == nil else { return name }
    var plain = Substring(name)
    for prefix in ["module.", "_orig_mod."] where plain.hasPrefix(prefix) { plain = plain.dropFirst(prefix.count) }
    return String(plain)
  }
}

extension Tensor {
  /// The same numbers as another element type; counters of batches come as whatever a file holds.
  fileprivate func exactly(as type: ElementType) -> Tensor {
    guard type != elementType else { return detached() }
    let numbers: [Double] =
      switch elementType {
      case .float32: withElements(as: Float.self) { $0.map(Double.init) }
      case .int16: withElements(as: Int16.self) { $0.map(Double.init) }
      case .uint8: withElements(as: UInt8.self) { $0.map(Double.init) }
      case .uint64: withElements(as: UInt64.self) { $0.map(Double.init) }
      }
    switch type {
    case .float32: return Tensor(numbers.map { Float($0) }, shape: shape)
    case .int16: return Tensor(numbers.map { Int16(clamping: Int64($0)) }, shape: shape)
    case .uint8: return Tensor(numbers.map { UInt8(clamping: Int64($0)) }, shape: shape)
    case .uint64: return Tensor(numbers.map { UInt64(max(0, $0)) }, shape: shape)
    }
  }

  /// Whether shape, type and every bit of the elements agree.
  package func isBitwiseEqual(to other: Tensor) -> Bool {
    guard shape == other.shape, elementType == other.elementType else { return false }
    if storage === other.storage { return true }
    let byteCount = count * elementType.byteCount
    let own = UnsafeRawBufferPointer(start: storage.pointer, count: byteCount)
    let others = UnsafeRawBufferPointer(start: other.storage.pointer, count: byteCount)
    defer { withExtendedLifetime((self, other)) {} }
    return own.elementsEqual(others)
  }
}
