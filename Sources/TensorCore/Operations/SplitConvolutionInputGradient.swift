import CKernels

/// `ConvolutionInputGradient` that writes the gradients of two concatenated inputs to where each belongs.
///
/// Inputs: the output's gradient `[N, axes..., O]` and the weight `[O, sum of channels, axes...]`.
/// Outputs: `[N, extents..., channels[i]]`.
public struct SplitConvolutionInputGradient: ShapeBoundOperation {
  public var geometry: ConvolutionGeometry
  public var extents: [Int]
  /// The channels of each part.
  public var channels: [Int]

  public init(_ geometry: ConvolutionGeometry, extents: [Int], channels: [Int]) {
    check(
      channels.count == 2 && geometry.groups == 1,
      "\(Self.name): \(channels.count) parts and \(geometry.groups) groups; it takes two parts and one group")
    self.geometry = geometry
    self.extents = extents
    self.channels = channels
  }

  var composed: ConvolutionInputGradient { ConvolutionInputGradient(geometry, extents: extents) }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let whole = composed.shapes(of: inputs)[0]
    check(
      whole.channels == channels.reduce(0, +), "\(Self.name): parts of \(channels) channels do not make up \(whole)")
    return channels.map { Shape(whole.extents.dropLast() + [$0]) }
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    channels.map { count in
      ShapeRange([inputs[0][0]] + extents.map { DimensionRange($0) } + [DimensionRange(count)])
    }
  }

  public func elementTypes(of inputs: [ElementType]) -> [ElementType] { channels.map { _ in .float32 } }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let whole = composed.shapes(of: inputs.map(\.shape))[0]
    let shape = geometry.kernelShape(input: whole, output: inputs[0].shape, weight: inputs[1].shape)
    let plan = geometry.plan(shape, CK_CONVOLUTION_INPUT_GRADIENT, in: context)
    let input = [ConvolutionSource.plain].kernelInput([inputs[0]])
    if channels[0] % Int(plan.output_cut) == 0 {
      context.runConvolution(plan, input: input, weight: inputs[1], bias: nil, destinations: outputs)
      return
    }
    // The cut falls into a register: written as one tensor, then parted.
    context.withScratch(byteCount: whole.count * MemoryLayout<Float>.stride) { bytes in
      let joined = MutableTensorView(shape: whole, elementType: .float32, bytes: bytes)
      context.runConvolution(plan, input: input, weight: inputs[1], bias: nil, destinations: [joined])
      var first = 0
      for output in outputs {
        let width = output.shape.channels
        let from = joined.floats + first
        let to = output.floats
        context.pool.run(count: whole.count / max(whole.channels, 1), grain: 4096) { range in
          for pixel in range { (to + pixel * width).update(from: from + pixel * whole.channels, count: width) }
        }
        first += width
      }
    }
  }

  public var gradientNeeds: GradientNeeds { composed.gradientNeeds }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let parts = context.outputShapes.indices.map {
      context.outputGradients[$0] ?? Tensor(zeros: context.outputShapes[$0])
    }
    let gradient = Tensor.concatenated(parts, axis: parts[0].rank - 1)
    let kernel = Array(context.inputShapes[1].extents[2...])
    return [
      context.isNeeded[0] ? Convolution(geometry)(gradient, context.input(1)) : nil,
      context.isNeeded[1]
        ? ConvolutionWeightGradient(geometry, kernel: kernel)(gradient, context.input(0)) : nil,
    ]
  }
}
