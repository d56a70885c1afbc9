/// A dense row-major array with value semantics.
///
/// Storage is shared between copies and copied when one of them is written, so a mutation never reaches a tensor that
/// someone else still holds: what a tape saved for the gradient stays what it was.
public struct Tensor: Sendable {
  public let shape: Shape
  public let elementType: ElementType
  package var storage: Storage
  /// Who follows this value, innermost recorder first; `nil` for a plain value.
  package var recording: Recording?

  package init(shape: Shape, elementType: ElementType, storage: Storage, recording: Recording?) {
    self.shape = shape
    self.elementType = elementType
    self.storage = storage
    self.recording = recording
  }

  /// Memory with unspecified content.
  package init(uninitialized shape: Shape, elementType: ElementType = .float32) {
    self.init(
      shape: shape, elementType: elementType,
      storage: Storage(byteCount: shape.count * elementType.byteCount), recording: nil)
  }

  /// A tensor filled with one value.
  public init(repeating value: Float, shape: Shape) {
    self.init(uninitialized: shape)
    storage.pointer.withMemoryRebound(to: Float.self, capacity: shape.count) {
      $0.update(repeating: value, count: shape.count)
    }
  }

  public init(zeros shape: Shape) { self.init(repeating: 0, shape: shape) }

  /// A scalar, shape `[]`.
  public init(_ value: Float) { self.init(repeating: value, shape: []) }

  /// - Parameter elements: row-major, `shape.count` of them.
  public init<Element: TensorElement>(_ elements: some Collection<Element>, shape: Shape) {
    check(
      elements.count == shape.count, "Tensor: \(elements.count) elements do not fill shape \(shape)")
    self.init(uninitialized: shape, elementType: Element.elementType)
    let memory = UnsafeMutableBufferPointer(
      start: storage.pointer.assumingMemoryBound(to: Element.self), count: shape.count)
    _ = memory.initialize(from: elements)
  }

  /// Fills a new tensor through a closure that gets its uninitialised elements, row-major.
  public init<Element: TensorElement>(
    shape: Shape, of: Element.Type, initializingWith body: (UnsafeMutableBufferPointer<Element>) throws -> Void
  ) rethrows {
    self.init(uninitialized: shape, elementType: Element.elementType)
    try body(
      UnsafeMutableBufferPointer(start: storage.pointer.assumingMemoryBound(to: Element.self), count: shape.count))
  }

  public var rank: Int { shape.rank }
  public var count: Int { shape.count }

  /// The elements, row-major. The closure must not let the pointer escape.
  ///
  /// A value that is being traced has none: reading it is an error of the trace, which names `file` and `line`.
  public func withElements<Element: TensorElement, Result>(
    as type: Element.Type, file: StaticString = #fileID, line: UInt = #line,
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result {
    storage.noteRead("\(file):\(line)")
    check(
      Element.elementType == elementType, "Tensor: read as \(Element.elementType) but it holds \(elementType)")
    defer { withExtendedLifetime(storage) {} }
    return try body(
      UnsafeBufferPointer(start: UnsafePointer(storage.pointer.assumingMemoryBound(to: Element.self)), count: count))
  }

  /// Writes elements in place if nobody else holds them, and to a copy if somebody does.
  ///
  /// What is written is a new constant: a tape or tracer that followed the old value does not follow the new one.
  public mutating func withMutableElements<Element: TensorElement, Result>(
    as type: Element.Type, file: StaticString = #fileID, line: UInt = #line,
    _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
  ) rethrows -> Result {
    check(
      Element.elementType == elementType, "Tensor: written as \(Element.elementType) but it holds \(elementType)")
    storage.noteRead("\(file):\(line)")
    makeStorageUnique()
    recording = nil
    return try body(
      UnsafeMutableBufferPointer(start: storage.pointer.assumingMemoryBound(to: Element.self), count: count))
  }

  /// Whether nobody else sees a write to this tensor's memory.
  package mutating func mayWriteInPlace() -> Bool {
    isKnownUniquelyReferenced(&storage) && storage.packedForms == nil
  }

  package mutating func makeStorageUnique() {
    guard !mayWriteInPlace() else { return }
    let copy = Storage(byteCount: storage.byteCount)
    copy.pointer.copyMemory(from: storage.pointer, byteCount: storage.byteCount)
    storage = copy
  }

  /// A copy of the elements as a Swift array.
  ///
  /// A function rather than a property, so that it knows its caller: see `withElements`.
  public func elements(file: StaticString = #fileID, line: UInt = #line) -> [Float] {
    withElements(as: Float.self, file: file, line: line) { Array($0) }
  }

  /// The only element of a tensor with one element.
  ///
  /// A function rather than a property, so that it knows its caller: see `withElements`.
  public func scalar(file: StaticString = #fileID, line: UInt = #line) -> Float {
    check(count == 1, "Tensor.scalar: shape \(shape) has \(count) elements")
    return withElements(as: Float.self, file: file, line: line) { $0[0] }
  }

  /// The same value, followed by nobody.
  public func detached() -> Tensor {
    Tensor(shape: shape, elementType: elementType, storage: storage, recording: nil)
  }
}
