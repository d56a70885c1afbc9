import CKernels

/// A function of tensors with everything that evaluation, differentiation and compilation need, in one value.
///
/// The parameters are the stored properties; the same value goes to the evaluation and to every gradient. Two equal
/// operations on equal inputs give equal outputs.
public protocol Operation: Hashable, Sendable {
  /// The shape rule: output shapes from input shapes. Stops with a message that names the operation when they don't fit.
  func shapes(of inputs: [Shape]) -> [Shape]

  /// The range rule: ranges that contain every output shape for input shapes inside the given ranges.
  func ranges(of inputs: [ShapeRange]) -> [ShapeRange]

  /// The element types of the outputs.
  func elementTypes(of inputs: [ElementType]) -> [ElementType]

  /// Fills the outputs, whose memory has the shapes of the shape rule and unspecified content.
  func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext)

  /// Which inputs and outputs the gradient rule reads; a tape keeps only those.
  var gradientNeeds: GradientNeeds { get }

  /// The gradient rule: for each input, the gradient of a scalar with respect to it, or `nil` where there is none or
  /// it is not needed. Written with tensors, so it can itself be recorded.
  func gradients(_ context: GradientContext) -> [Tensor?]

  /// Whether the only output is the only input under another shape, so that both can share memory.
  var isRelabelling: Bool { get }

  /// Whether an output may be written into the memory of an input of its shape and type that nobody needs afterwards:
  /// true only where evaluation reads each element of that input for the last time before it writes that place.
  func mayOverwrite(input: Int, with output: Int) -> Bool

  /// By how many bytes an output that is written over an input must begin before it, at least; `nil` where it may not be
  /// written over it. An operation that works its way through memory from the front may need such a lead, so that it
  /// overwrites only what it has read. Never less for larger shapes.
  func overwritingLead(input: Int, with output: Int, of inputs: [Shape]) -> Int?

  /// The bytes of scratch memory that evaluation takes at once, as `ScratchMemory` counts them.
  func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int
}

/// An operation whose parameters hold a shape, so that its range rule holds for that shape alone. A graph for a range of
/// shapes takes such an operation from traces at the ends of the range.
public protocol ShapeBoundOperation: Operation {}

extension Operation {
  public static var name: String { String(describing: Self.self) }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [.float32] }
  public var isRelabelling: Bool { false }
  public func mayOverwrite(input: Int, with output: Int) -> Bool { false }
  public func overwritingLead(input: Int, with output: Int, of inputs: [Shape]) -> Int? {
    mayOverwrite(input: input, with: output) ? 0 : nil
  }
  /// Enough for partial sums of chunks, all that most operations need.
  public func scratchByteCount(of inputs: [Shape], in context: EvaluationContext) -> Int {
    inputs.reduce(1 << 14) { $0 + $1.count / 4 }
  }

  /// Applies the operation: evaluated at once, or by the latest recorder that follows one of the inputs.
  public func apply(_ inputs: [Tensor]) -> [Tensor] {
    var latest: (any Recorder)?
    for input in inputs {
      guard let recording = input.recording else { continue }
      if latest.map({ $0.order < recording.recorder.order }) ?? true { latest = recording.recorder }
    }
    if let latest { return latest.record(self, inputs) }
    return evaluated(inputs, in: .standard)
  }

  public func callAsFunction(_ inputs: Tensor...) -> Tensor { apply(inputs)[0] }

  /// Evaluates on plain tensors with freshly pooled outputs.
  package func evaluated(_ inputs: [Tensor], in context: EvaluationContext) -> [Tensor] {
    let shapes = shapes(of: inputs.map(\.shape))
    if isRelabelling {
      return [
        Tensor(shape: shapes[0], elementType: inputs[0].elementType, storage: inputs[0].storage, recording: nil)
      ]
    }
    let types = elementTypes(of: inputs.map(\.elementType))
    check(types.count == shapes.count, "\(Self.name): \(shapes.count) shapes but \(types.count) element types")
    let outputs = zip(shapes, types).map { Tensor(uninitialized: $0, elementType: $1) }
    evaluate(inputs.map(TensorView.init), into: outputs.map(MutableTensorView.init), in: context)
    withExtendedLifetime((inputs, outputs)) {}
    return outputs
  }
}

/// What evaluation may use besides its inputs.
public struct EvaluationContext: Sendable {
  public var pool: WorkerPool
  /// The highest instruction-set level kernels may use.
  package var instructionSet: ck_instruction_set
  /// Where scratch memory comes from first; then from the pool.
  package var scratch: ScratchMemory?

  package init(pool: WorkerPool, instructionSet: ck_instruction_set) {
    self.pool = pool
    self.instructionSet = instructionSet
  }

  /// All threads; the best instruction set of the processor, capped by `nnUNet_max_isa`.
  public static let standard = EvaluationContext(pool: .shared, instructionSet: configuredInstructionSet())

  /// Pooled memory for the duration of `body`, aligned to 64 bytes, with unspecified content.
  package func withScratch<Result>(byteCount: Int, _ body: (UnsafeMutableRawPointer) -> Result) -> Result {
    if let scratch, let piece = scratch.take(byteCount) {
      defer { scratch.give(piece) }
      return body(piece)
    }
    let storage = Storage(byteCount: max(byteCount, 64))
    defer { withExtendedLifetime(storage) {} }
    return body(storage.pointer)
  }
}

/// An input's memory during evaluation.
public struct TensorView: @unchecked Sendable {
  public let shape: Shape
  public let elementType: ElementType
  public let bytes: UnsafeRawPointer
  /// What convolutions keep of a weight that does not change.
  let packedForms: PackedForms?

  package init(_ tensor: Tensor) {
    shape = tensor.shape
    elementType = tensor.elementType
    bytes = UnsafeRawPointer(tensor.storage.pointer)
    packedForms = tensor.storage.packedForms
  }

  package init(shape: Shape, elementType: ElementType, bytes: UnsafeRawPointer) {
    self.shape = shape
    self.elementType = elementType
    self.bytes = bytes
    packedForms = nil
  }

  public var count: Int { shape.count }
  public var floats: UnsafePointer<Float> { pointer(to: Float.self) }

  public func pointer<Element: TensorElement>(to type: Element.Type) -> UnsafePointer<Element> {
    check(elementType == Element.elementType, "expected a tensor of \(Element.elementType), found \(elementType)")
    return bytes.assumingMemoryBound(to: Element.self)
  }
}

/// An output's memory during evaluation.
public struct MutableTensorView: @unchecked Sendable {
  public let shape: Shape
  public let elementType: ElementType
  public let bytes: UnsafeMutableRawPointer

  package init(_ tensor: Tensor) {
    shape = tensor.shape
    elementType = tensor.elementType
    bytes = tensor.storage.pointer
  }

  package init(shape: Shape, elementType: ElementType, bytes: UnsafeMutableRawPointer) {
    self.shape = shape
    self.elementType = elementType
    self.bytes = bytes
  }

  public var count: Int { shape.count }
  public var floats: UnsafeMutablePointer<Float> { pointer(to: Float.self) }

  public func pointer<Element: TensorElement>(to type: Element.Type) -> UnsafeMutablePointer<Element> {
    check(elementType == Element.elementType, "expected a tensor of \(Element.elementType), found \(elementType)")
    return bytes.assumingMemoryBound(to: Element.self)
  }
}
