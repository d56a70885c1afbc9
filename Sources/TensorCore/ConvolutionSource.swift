import CKernels

/// How a fused operation reads a tensor: as it is, or normalised and activated on the way, so that what it reads is never
/// written to memory.
public enum ConvolutionSource: Hashable, Sendable {
  /// One input: x `[N, axes..., C]`.
  case plain
  /// Two inputs: x `[N, axes..., C]` and `NormalizationTerms` `[3, N, C]` (mean, scale, offset). What is read is
  /// `leaky((x - mean) * scale + offset)`; a slope of 1 leaves out the activation.
  case normalized(negativeSlope: Float)

  public var inputCount: Int { self == .plain ? 1 : 2 }

  /// What is read, written out: the composed form of a fused read.
  package func applied(to inputs: [Tensor]) -> Tensor {
    switch self {
    case .plain: inputs[0]
    case .normalized(let slope): NormalizedActivation(negativeSlope: slope).apply(inputs)[0]
    }
  }

  /// The gradients for the inputs, given that for what is read.
  func gradients(_ gradient: Tensor, of inputs: [Tensor], isNeeded: [Bool]) -> [Tensor?] {
    switch self {
    case .plain: [gradient]
    case .normalized(let slope):
      NormalizedActivation(negativeSlope: slope).inputGradients(
        gradient, x: inputs[0], terms: inputs[1], isNeeded: isNeeded)
    }
  }

  func check(_ inputs: [Shape], of name: String) {
    guard case .normalized(let slope) = self else { return }
    TensorCore.check((0...1).contains(slope), "\(name): the negative slope \(slope) is not in 0 ... 1")
    TensorCore.check(
      inputs[1] == NormalizationTerms.shape(of: inputs[0]),
      "\(name): the normalisation's terms \(inputs[1]) do not fit the source \(inputs[0])")
  }

  func kernelSource(_ inputs: [TensorView]) -> ck_convolution_source {
    let (values, channels) = (inputs[0].floats, Int32(inputs[0].shape.channels))
    switch self {
    case .plain: return ck_convolution_source(values: values, channels: channels, terms: nil, slope: 1)
    case .normalized(let slope):
      return ck_convolution_source(values: values, channels: channels, terms: inputs[1].floats, slope: slope)
    }
  }
}

extension [ConvolutionSource] {
  /// All that is read is one tensor as it is.
  var isPlain: Bool { self == [.plain] }
  var inputCount: Int { reduce(0) { $0 + $1.inputCount } }

  /// The inputs of each source, cut from the front of `inputs`.
  func grouped<Input>(_ inputs: [Input]) -> [[Input]] {
    var first = 0
    return map { source in
      defer { first += source.inputCount }
      return Array<Input>(inputs[first..<first + source.inputCount])
    }
  }

  /// The shape of the sources together: concatenated along the channels.
  func shape(of inputs: [Shape], of name: String) -> Shape {
    check((1...Int(CK_CONVOLUTION_SOURCES)).contains(count), "\(name): \(count) sources; it takes one or two")
    check(inputs.count >= inputCount, "\(name): \(inputs.count) inputs are too few for its sources")
    let groups = grouped(inputs)
    for (source, inputs) in zip(self, groups) { source.check(inputs, of: name) }
    let first = groups[0][0]
    var channels = 0
    for inputs in groups {
      check(
        inputs[0].rank == first.rank && inputs[0].extents.dropLast() == first.extents.dropLast(),
        "\(name): sources \(first) and \(inputs[0]) differ in more than their channels")
      channels += inputs[0].channels
    }
    return Shape(first.extents.dropLast() + [channels])
  }

  func range(of inputs: [ShapeRange]) -> ShapeRange {
    let groups = grouped(inputs)
    var dimensions = groups[0][0].dimensions
    for inputs in groups.dropFirst() {
      for axis in dimensions.indices.dropLast() {
        dimensions[axis] = dimensions[axis].intersection(inputs[0][axis]) ?? dimensions[axis]
      }
      dimensions[dimensions.count - 1] = dimensions[dimensions.count - 1] + inputs[0][dimensions.count - 1]
    }
    return ShapeRange(dimensions)
  }

  /// What is read, written out and concatenated.
  package func applied(to inputs: [Tensor]) -> Tensor {
    let parts = zip(self, grouped(inputs)).map { $0.applied(to: $1) }
    return parts.count == 1 ? parts[0] : Tensor.concatenated(parts, axis: parts[0].rank - 1)
  }

  /// The gradients for all inputs of the sources, given that for what is read.
  func gradients(_ gradient: Tensor, of inputs: [Tensor], isNeeded: [Bool]) -> [Tensor?] {
    var first = 0
    let axis = gradient.rank - 1
    return zip(self, zip(grouped(inputs), grouped(isNeeded))).flatMap { source, more in
      let channels = more.0[0].shape.channels
      defer { first += channels }
      let part = count == 1 ? gradient : gradient.sliced(axis: axis, first..<first + channels)
      return source.gradients(part, of: more.0, isNeeded: more.1)
    }
  }

  func kernelInput(_ inputs: [TensorView]) -> ck_convolution_input {
    let sources = zip(self, grouped(inputs)).map { $0.kernelSource($1) }
    return ck_convolution_input(count: Int32(count), sources: (sources[0], sources[sources.count - 1]))
  }
}
