/// The elements as another type: floats to integers round to nearest even and stop at the type's bounds, as the
/// integers among themselves do.
public struct Convert: Operation {
  public var elementType: ElementType

  public init(to elementType: ElementType) { self.elementType = elementType }

  public func shapes(of inputs: [Shape]) -> [Shape] { [inputs[0]] }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] { [inputs[0]] }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { [elementType] }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let (input, output, pool) = (inputs[0], outputs[0], context.pool)
    if input.elementType == output.elementType {
      output.bytes.copyMemory(from: input.bytes, byteCount: input.count * input.elementType.byteCount)
      return
    }
    switch input.elementType {
    case .float32: fromFloats(input, output, pool)
    case .int16: fromIntegers(input, Int16.self, output, pool)
    case .uint8: fromIntegers(input, UInt8.self, output, pool)
    case .uint64: fromIntegers(input, UInt64.self, output, pool)
    }
  }

  private func fromFloats(_ input: TensorView, _ output: MutableTensorView, _ pool: WorkerPool) {
    func run<To: TensorElement & FixedWidthInteger>(_: To.Type) {
      let (x, y) = (input.floats, output.pointer(to: To.self))
      let (least, most) = (Float(To.min), Float(To.max))
      pool.run(count: input.count, grain: pointwiseGrain) { range in
        for i in range {
          let value = x[i].rounded(.toNearestOrEven)
          // NaN fails every comparison and becomes 0.
          y[i] = value >= most ? To.max : value >= least ? To(value) : value < least ? To.min : 0
        }
      }
    }
    switch elementType {
    case .float32: break
    case .int16: run(Int16.self)
    case .uint8: run(UInt8.self)
    case .uint64: run(UInt64.self)
    }
  }

  private func fromIntegers<From: TensorElement & FixedWidthInteger>(
    _ input: TensorView, _: From.Type, _ output: MutableTensorView, _ pool: WorkerPool
  ) {
    let x = input.pointer(to: From.self)
    func run<To: TensorElement>(_: To.Type, _ convert: (From) -> To) {
      let y = output.pointer(to: To.self)
      pool.run(count: input.count, grain: pointwiseGrain) { range in
        for i in range { y[i] = convert(x[i]) }
      }
    }
    switch elementType {
    case .float32: run(Float.self) { Float($0) }
    case .int16: run(Int16.self) { Int16(clamping: $0) }
    case .uint8: run(UInt8.self) { UInt8(clamping: $0) }
    case .uint64: run(UInt64.self) { UInt64(clamping: $0) }
    }
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds() }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    [elementType == .float32 ? context.outputGradient : nil]
  }
}
