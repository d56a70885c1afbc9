extension TensorView {
  /// Calls `body` with a function that reads the label at an index, for labels of any type that can hold them.
  func withLabels(_ name: String, _ body: ((Int) -> Int) -> Void) {
    switch elementType {
    case .float32:
      let labels = floats
      // NaN and labels outside a sensible range name no channel.
      body { abs(labels[$0]) < 0x1p24 ? Int(labels[$0]) : -1 }
    case .int16:
      let labels = pointer(to: Int16.self)
      body { Int(labels[$0]) }
    case .uint8:
      let labels = pointer(to: UInt8.self)
      body { Int(labels[$0]) }
    case .uint64: check(false, "\(name): labels are int16, uint8 or float32, found uint64")
    }
  }
}
