import CKernels

/// `FusedConvolution` computed one slab of the result after another, cut along the first spatial axis, so that little
/// beside the result has to be in memory:
///
/// - its first source may be made on the way, by a transposed convolution of what is smaller (nnU-Net's decoder): of the
///   upsampled tensor, only what one slab reads exists at a time;
/// - the result may be written over a source of its shape, a slab's planes ahead of it.
///
/// Inputs: those of the transposed convolution if there is one (its source's, weight, bias) in place of the first source,
/// then the inputs of the convolution. Outputs: the convolution's. Cuts between Winograd's tiles leave them where they
/// are, so values are the bits of `FusedConvolution`, its oracle; statistics are joined from other parts.
public struct SlabConvolution: Operation {
  /// Of stride and dilation 1 along the first axis, where it keeps the extent.
  public var composed: FusedConvolution
  /// Makes the first source: kernel and stride alike, no padding.
  public var upsampling: FusedTransposedConvolution?
  public var upsamplingHasBias: Bool
  /// Positions of the result that a slab has at most, unless the lowest slab of whole tiles has more; up to four times as
  /// many where a stack of four tiles needs them.
  public var slabPositions: Int

  /// Slabs of this many positions keep a core busy.
  public static let standardSlabPositions = 1 << 16

  public init(
    _ composed: FusedConvolution, upsampling: FusedTransposedConvolution?, upsamplingHasBias: Bool, slabPositions: Int
  ) {
    let geometry = composed.geometry
    check(
      geometry.stride[0] == 1 && geometry.dilation[0] == 1 && slabPositions > 0,
      "\(Self.name): stride \(geometry.stride) and dilation \(geometry.dilation) must be 1 along the first axis")
    if let upsampling {
      check(
        composed.sources[0] == .plain && Self.mayUpsample(upsampling.composed),
        "\(Self.name): what makes the first source must have no padding, and the source must be read as it is")
    }
    self.composed = composed
    self.upsampling = upsampling
    self.upsamplingHasBias = upsamplingHasBias
    self.slabPositions = slabPositions
  }

  /// Whether a transposed convolution without padding makes every plane of its result from one of its source's.
  package static func mayUpsample(_ operation: TransposedConvolution) -> Bool {
    let geometry = operation.geometry
    return (geometry.paddingLower + geometry.paddingUpper + operation.outputPadding).allSatisfy { $0 == 0 }
      && geometry.dilation.allSatisfy { $0 == 1 }
  }

  var upsamplingInputCount: Int {
    upsampling.map { $0.source.inputCount + (upsamplingHasBias ? 2 : 1) } ?? 0
  }

  /// The inputs of the convolution, given what is upsampled.
  func composedInputs<Input>(_ inputs: [Input], upsampled: (FusedTransposedConvolution, [Input]) -> Input) -> [Input] {
    guard let upsampling else { return inputs }
    let count = upsamplingInputCount
    return [upsampled(upsampling, Array(inputs[..<count]))] + inputs[count...]
  }

  func composedShapes(_ inputs: [Shape]) -> [Shape] {
    composedInputs(inputs) { $0.shapes(of: $1)[0] }
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    check(inputs.count > upsamplingInputCount, "\(Self.name): \(inputs.count) inputs are too few")
    if let upsampling {
      let weight = inputs[upsampling.source.inputCount]
      check(
        Array(weight.extents.dropFirst(2)) == upsampling.composed.geometry.stride,
        "\(Self.name): the upsampling's weight \(weight) has a kernel unlike its stride")
    }
    let arguments = composedShapes(inputs)
    let result = composed.shapes(of: arguments)
    check(
      result[0].spatial.first == arguments[0].spatial.first,
      "\(Self.name): the convolution from \(arguments[0]) to \(result[0]) changes the extent it is cut along")
    return result
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    composed.ranges(of: composedInputs(inputs) { $0.ranges(of: $1)[0] })
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { composed.elementTypes(of: inputs) }

  public func overwritingLead(input: Int, with output: Int, of inputs: [Shape]) -> Int? {
    let sources = composed.sources.inputCount - (upsampling == nil ? 0 : 1)
    let position = input - upsamplingInputCount
    guard output == 0, (0..<sources).contains(position) else { return nil }
    // Terms have another shape than the result.
    let result = shapes(of: inputs)[0]
    guard inputs[input] == result else { return nil }
    return walk(of: inputs).lead * result.channels * MemoryLayout<Float>.stride
  }

  public var gradientNeeds: GradientNeeds {
    let count = upsamplingInputCount
    let needs = composed.gradientNeeds
    guard count > 0 else { return needs }
    // The upsampled tensor is made again.
    return GradientNeeds(
      inputs: Set(0..<count).union(needs.inputs.filter { $0 > 0 }.map { $0 - 1 + count }), outputs: needs.outputs)
  }

  /// Those of the composed form, with the upsampled tensor made again.
  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let count = upsamplingInputCount
    guard let upsampling else { return composed.gradients(context) }
    let needs = gradientNeeds
    let all = context.inputShapes.indices.map { needs.inputs.contains($0) ? context.input($0) : nil }
    let before = (0..<count).map(context.input)
    let upsampled = upsampling.apply(before)[0]
    let neededBefore = Array(context.isNeeded[..<count])
    var result = composed.gradients(
      GradientContext(
        name: FusedConvolution.name, inputs: [upsampled] + all[count...],
        outputs: context.outputShapes.indices.map { needs.outputs.contains($0) ? context.output($0) : nil },
        inputShapes: [upsampled.shape] + context.inputShapes[count...], outputShapes: context.outputShapes,
        outputGradients: context.outputGradients, isNeeded: [neededBefore.contains(true)] + context.isNeeded[count...]))
    let first = result.removeFirst()
    guard let first else { return [Tensor?](repeating: nil, count: count) + result }
    return upsampling.gradients(
      GradientContext(
        name: FusedTransposedConvolution.name, inputs: before, outputs: [nil],
        inputShapes: before.map(\.shape), outputShapes: [upsampled.shape], outputGradients: [first],
        isNeeded: neededBefore)) + result
  }
}
