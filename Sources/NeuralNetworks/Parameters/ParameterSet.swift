import Autograd
import TensorCore

/// The values of a network's parameters and buffers: one fold's weights.
///
/// A value like any other: a network has none of its own, so several sets serve one network, loading one never meets a
/// model in use, and a copy shares memory until one of the two is changed.
public struct ParameterSet: Sendable {
  public let layout: ParameterLayout
  /// In the order of `layout.entries`.
  package var values: [Tensor]

  package init(layout: ParameterLayout, values: [Tensor]) {
    self.layout = layout
    self.values = values
  }

  /// Draws initial values: nnU-Net's `InitWeights_He(1e-2)` for convolutions, zero biases, norm weights 1 and biases 0.
  public init(layout: ParameterLayout, generator: inout RandomGenerator) {
    self.layout = layout
    values = layout.entries.map { entry in
      guard entry.elementType == .float32 else {
        return Tensor(shape: entry.shape, of: UInt64.self) { $0.initialize(repeating: 0) }
      }
      switch entry.initialization {
      case .constant(let value): return Tensor(repeating: value, shape: entry.shape)
      case .kaimingNormal(let fanIn, let slope):
        let gain = (2 / (1 + Double(slope) * Double(slope))).squareRoot()
        return .normal(
          shape: entry.shape, standardDeviation: gain / Double(fanIn).squareRoot(), generator: &generator)
      }
    }
  }

  package subscript(reference: ParameterReference) -> Tensor { values[reference.index] }

  /// The tensor with this name or alias.
  public subscript(name: String) -> Tensor? { layout.position(of: name).map { values[$0] } }

  /// Replaces the value of one entry; stops if the shape is another.
  public mutating func set(_ position: Int, to value: Tensor) {
    let entry = layout.entries[position]
    check(
      value.shape == entry.shape && value.elementType == entry.elementType,
      "ParameterSet: \(entry.name) is \(entry.elementType) \(entry.shape), not \(value.elementType) \(value.shape)")
    values[position] = value.detached()
  }

  /// Every stored tensor once, in PyTorch's order.
  public var namedValues: [(name: String, value: Tensor)] {
    zip(layout.entries, values).map { (name: $0.name, value: $1) }
  }

  /// The trained tensors in the order of `net.parameters()`.
  public var namedParameters: [(name: String, value: Tensor)] {
    layout.trainable.map { (name: layout.entries[$0].name, value: values[$0]) }
  }

  /// PyTorch's complete state dictionary, aliases written out (they share memory).
  public var stateDictionary: [(name: String, value: Tensor)] {
    layout.stateNames.map { (name: $0.name, value: values[$0.entry]) }
  }

  /// Takes over what a forward pass in training computed for the buffers.
  public mutating func apply(_ updates: [BufferUpdate]) {
    for update in updates { set(update.reference.index, to: update.value) }
  }

  /// The same layout with other values, one for each entry.
  package func replacing(_ values: [Tensor]) -> ParameterSet {
    check(values.count == layout.entries.count, "ParameterSet: \(values.count) values")
    return ParameterSet(layout: layout, values: values)
  }

  /// The same values for many predictions: what convolutions make of their weights is kept for the next call, in at most
  /// `ParameterLayout.packedByteLimit` bytes for one of `setCount` sets in use together.
  public func preparedForPrediction(setCount: Int = 1) -> ParameterSet {
    let budget = PackedForms.Budget(byteCount: layout.packedByteLimit(setCount: setCount))
    for index in layout.convolutionWeights { values[index].keepPackedForms(budget) }
    return self
  }

  /// The same values with the trained ones followed by a tape.
  public func followed(by tape: Tape) -> ParameterSet {
    var copy = self
    for index in layout.trainable { copy.values[index] = tape.follow(values[index]) }
    return copy
  }

  /// Whether every number is finite; the first name whose tensor is not, if any.
  public var firstNonFiniteName: String? {
    for (entry, value) in zip(layout.entries, values) where entry.elementType == .float32 {
      if !value.withElements(as: Float.self, { $0.allSatisfy(\.isFinite) }) { return entry.name }
    }
    return nil
  }
}

/// A new value for a buffer, computed by a forward pass in training.
public struct BufferUpdate: Sendable {
  public let reference: ParameterReference
  public let value: Tensor
}

extension ParameterLayout {
  fileprivate var convolutionWeights: [Int] { trainable.filter { entries[$0].shape.rank > 2 } }

  /// The most bytes that packed weights of one of `setCount` sets may take: 1.5 GiB for all sets, or as much as the
  /// weights themselves where that is more. Winograd's are up to eight times as large.
  package func packedByteLimit(setCount: Int) -> Int {
    let weights = convolutionWeights.reduce(0) { $0 + entries[$1].shape.count * entries[$1].elementType.byteCount }
    return min(8 * weights, max(weights, (3 << 29) / max(setCount, 1)))
  }
}
