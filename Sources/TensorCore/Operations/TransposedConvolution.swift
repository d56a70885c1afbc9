import CKernels

/// The transpose of a convolution, as PyTorch's `ConvTransposeNd`: what nnU-Net upsamples with, kernel = stride.
///
/// Inputs: the activation `[N, axes..., C]`, the weight `[C, O / groups, axes...]`, and optionally the bias `[O]`.
/// Output: `[N, axes..., O]`. It is the input gradient of the convolution from `O` to `C` channels, plus the bias.
public struct TransposedConvolution: Operation {
  public var geometry: ConvolutionGeometry
  /// Added to the smallest output extents; less than the stride.
  public var outputPadding: [Int]

  public init(_ geometry: ConvolutionGeometry, outputPadding: [Int]) {
    check(
      outputPadding.count == geometry.rank
        && zip(outputPadding, geometry.stride).allSatisfy { $0 >= 0 && $0 < $1 },
      "TransposedConvolution: output padding \(outputPadding) must be less than stride \(geometry.stride)")
    self.geometry = geometry
    self.outputPadding = outputPadding
  }

  /// Kernel and stride alike, no padding: every input pixel becomes one block of output pixels.
  public init(stride: [Int]) {
    let zeros = stride.map { _ in 0 }
    self.init(ConvolutionGeometry(stride: stride, padding: zeros), outputPadding: zeros)
  }

  public func shapes(of inputs: [Shape]) -> [Shape] {
    let (input, weight) = (inputs[0], inputs[1])
    check(
      input.rank == geometry.rank + 2 && weight.rank == input.rank,
      "TransposedConvolution: activation \(input) and weight \(weight) must have rank \(geometry.rank + 2)")
    let channels = weight[1] * geometry.groups
    geometry.checkWeight(
      weight, inputChannels: channels, outputChannels: input.channels, activation: input, of: Self.name)
    let extents = input.spatial.enumerated().map {
      geometry.transposedExtent($1, kernel: weight[$0 + 2], extra: outputPadding[$0], axis: $0)
    }
    check(extents.allSatisfy { $0 > 0 }, "TransposedConvolution: no output is left of \(input) after padding")
    if inputs.count > 2 {
      check(inputs[2] == [channels], "TransposedConvolution: bias \(inputs[2]) does not fit \(channels) channels")
    }
    return [Shape([input[0]] + extents + [channels])]
  }

  public func ranges(of inputs: [ShapeRange]) -> [ShapeRange] {
    let (input, weight) = (inputs[0], inputs[1])
    let extents = (0..<geometry.rank).map { axis in
      let (extent, kernel) = (input[axis + 1], weight[axis + 2])
      let extra = outputPadding[axis]
      let lower = max(0, geometry.transposedExtent(extent.lower, kernel: kernel.lower, extra: extra, axis: axis))
      let upper = extent.upper.flatMap { extent in
        kernel.upper.map { max(lower, geometry.transposedExtent(extent, kernel: $0, extra: extra, axis: axis)) }
      }
      return DimensionRange(lower, upper)
    }
    return [ShapeRange([input[0]] + extents + [weight[1] * DimensionRange(geometry.groups)])]
  }

  public func evaluate(_ inputs: [TensorView], into outputs: [MutableTensorView], in context: EvaluationContext) {
    let shape = geometry.kernelShape(input: outputs[0].shape, output: inputs[0].shape, weight: inputs[1].shape)
    context.runConvolution(
      geometry.plan(shape, CK_CONVOLUTION_INPUT_GRADIENT, in: context), input: [.plain].kernelInput(inputs),
      weight: inputs[1], bias: inputs.count > 2 ? inputs[2] : nil, destinations: outputs)
  }

  public var gradientNeeds: GradientNeeds { GradientNeeds(inputs: [0, 1]) }

  public func gradients(_ context: GradientContext) -> [Tensor?] {
    let gradient = context.outputGradient
    let kernel = Array(context.inputShapes[1].extents[2...])
    var result: [Tensor?] = [
      context.isNeeded[0] ? Convolution(geometry)(gradient, context.input(1)) : nil,
      context.isNeeded[1]
        ? ConvolutionWeightGradient(geometry, kernel: kernel)(gradient, context.input(0)) : nil,
    ]
    if context.inputShapes.count > 2 {
      result.append(context.isNeeded[2] ? ConvolutionBiasGradient()(gradient) : nil)
    }
    return result
  }
}

extension Tensor {
  /// Upsamples this activation `[N, axes..., C]` with `weight` `[C, O, axes...]` whose kernel is the stride.
  public func upsampled(with weight: Tensor, bias: Tensor?, stride: [Int]) -> Tensor {
    TransposedConvolution(stride: stride).apply([self, weight] + (bias.map { [$0] } ?? []))[0]
  }
}
