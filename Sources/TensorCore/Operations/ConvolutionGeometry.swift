import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How a convolution steps over its input: one value for the convolution, its gradients and its transpose.
///
/// Axes are in the order of the activations (`[z, y, x]` or `[y, x]`). Coordinates outside the input count as zero.
public struct ConvolutionGeometry: Hashable, Sendable {
  public var stride: [Int]
  /// Zeros assumed before the first and after the last position of each axis.
  public var paddingLower: [Int]
  public var paddingUpper: [Int]
  public var dilation: [Int]
  public var groups: Int
  /// The algorithm to use; `nil` for the one that `nnUNet_conv_algorithm` names, by default the fastest.
  package var algorithm: ConvolutionAlgorithm?

  public init(
    stride: [Int], paddingLower: [Int], paddingUpper: [Int], dilation: [Int], groups: Int
  ) {
    let rank = stride.count
    check(
      (1...3).contains(rank) && paddingLower.count == rank && paddingUpper.count == rank && dilation.count == rank,
      "ConvolutionGeometry: stride \(stride), padding \(paddingLower) and \(paddingUpper), dilation \(dilation) must have one to three axes, as many each"
    )
    check(
      stride.allSatisfy { $0 > 0 } && dilation.allSatisfy { $0 > 0 } && groups > 0
        && (paddingLower + paddingUpper).allSatisfy { $0 >= 0 },
      "ConvolutionGeometry: stride \(stride), dilation \(dilation) and groups \(groups) must be positive, padding \(paddingLower), \(paddingUpper) not negative"
    )
    self.stride = stride
    self.paddingLower = paddingLower
    self.paddingUpper = paddingUpper
    self.dilation = dilation
    self.groups = groups
  }

  /// Same padding on both sides, no dilation, one group.
  public init(stride: [Int], padding: [Int]) {
    self.init(
      stride: stride, paddingLower: padding, paddingUpper: padding,
      dilation: stride.map { _ in 1 }, groups: 1)
  }

  /// Stride 1 and half of each odd kernel extent as padding: the output has the input's extents.
  public init(preserving kernel: [Int]) {
    self.init(stride: kernel.map { _ in 1 }, padding: kernel.map { $0 / 2 })
  }

  public var rank: Int { stride.count }

  /// The output extent along `axis`; 0 or less where the kernel does not fit.
  public func outputExtent(_ input: Int, kernel: Int, axis: Int) -> Int {
    let span = input + paddingLower[axis] + paddingUpper[axis] - dilation[axis] * (kernel - 1) - 1
    return span < 0 ? 0 : span / stride[axis] + 1
  }

  /// The extent whose convolution gives `output`: the smallest one, plus `extra` less than the stride.
  public func transposedExtent(_ output: Int, kernel: Int, extra: Int, axis: Int) -> Int {
    (output - 1) * stride[axis] - paddingLower[axis] - paddingUpper[axis] + dilation[axis] * (kernel - 1) + extra + 1
  }

  /// The shape of the output for an input `[N, axes..., C]` and a weight `[O, C / groups, axes...]`.
  func outputShape(_ input: Shape, weight: Shape, of name: String) -> Shape {
    checkWeight(weight, inputChannels: input.channels, outputChannels: weight[0], activation: input, of: name)
    let extents = input.spatial.enumerated().map { outputExtent($1, kernel: weight[$0 + 2], axis: $0) }
    check(
      !extents.contains(0),
      "\(name): kernel \(Array(weight.extents[2...])) does not fit into input \(input) with padding")
    return Shape([input[0]] + extents + [weight[0]])
  }

  func checkWeight(
    _ weight: Shape, inputChannels: Int, outputChannels: Int, activation: Shape, of name: String
  ) {
    check(
      activation.rank == rank + 2,
      "\(name): the activation \(activation) has rank \(activation.rank), \(rank) strides need \(rank + 2)")
    check(
      weight.rank == rank + 2 && weight.count > 0,
      "\(name): weight \(weight) must have rank \(rank + 2) and no extent of 0")
    check(
      weight[0] == outputChannels && weight[0] % groups == 0 && weight[1] * groups == inputChannels,
      "\(name): weight \(weight) with \(groups) group(s) does not fit \(inputChannels) input and \(outputChannels) output channels"
    )
  }

  func outputRange(_ input: ShapeRange, weight: ShapeRange) -> ShapeRange {
    var dimensions = [input[0]]
    for axis in 0..<rank {
      let (extent, kernel) = (input[axis + 1], weight[axis + 2])
      let lower = kernel.upper.map { max(0, outputExtent(extent.lower, kernel: $0, axis: axis)) } ?? 0
      let upper = extent.upper.map { max(lower, outputExtent($0, kernel: max(1, kernel.lower), axis: axis)) }
      dimensions.append(DimensionRange(lower, upper))
    }
    return ShapeRange(dimensions + [weight[0]])
  }

  /// The kernels' description of a convolution from `input` to `output`, both `[N, axes..., C]`.
  func kernelShape(input: Shape, output: Shape, weight: Shape) -> ck_convolution_shape {
    func three(_ values: [Int], filling filler: Int) -> (Int32, Int32, Int32) {
      let all = [Int](repeating: filler, count: 3 - values.count) + values
      return (Int32(all[0]), Int32(all[1]), Int32(all[2]))
    }
    return ck_convolution_shape(
      batch: Int32(input[0]), input_channels: Int32(input.channels), output_channels: Int32(output.channels),
      groups: Int32(groups), input: three(input.spatial, filling: 1), output: three(output.spatial, filling: 1),
      kernel: three(Array(weight.extents[2...]), filling: 1), stride: three(stride, filling: 1),
      padding_lower: three(paddingLower, filling: 0), dilation: three(dilation, filling: 1))
  }
}

/// The ways to compute a convolution; `nnUNet_conv_algorithm` forces one where it applies. Winograd has output tiles of 2
/// or 4 along all axes, of 6 along y and x with 4 along z, or what suits their extents, z first.
/// `auto` takes the fastest with tiles of 4 at most, `fastest` any: tiles of 6 round two to four times as much.
package enum ConvolutionAlgorithm: String, Hashable, Sendable, CaseIterable {
  case auto, fastest, direct, winograd2, winograd4, winograd6
  case winograd224, winograd242, winograd244, winograd246, winograd264, winograd266
  case winograd422, winograd424, winograd442, winograd446, winograd464

  /// What predictions choose unless something is configured: no gradients add up their roundings.
  package static var forPrediction: ConvolutionAlgorithm { configured == .auto ? .fastest : configured }

  static let configured: ConvolutionAlgorithm = {
    guard let text = getenv("nnUNet_conv_algorithm") else { return .auto }
    let name = String(cString: text).lowercased()
    guard let algorithm = ConvolutionAlgorithm(rawValue: name) else {
      let names = allCases.map(\.rawValue).joined(separator: ", ")
      check(false, "nnUNet_conv_algorithm is '\(name)'; it takes one of \(names)")
      return .auto
    }
    return algorithm
  }()

  init(_ kernelValue: ck_convolution_algorithm) {
    self = Self.allCases.first { $0.kernelValue == kernelValue } ?? .auto
  }

  var kernelValue: ck_convolution_algorithm {
    switch self {
    case .auto: CK_CONVOLUTION_AUTO
    case .fastest: CK_CONVOLUTION_FASTEST
    case .direct: CK_CONVOLUTION_DIRECT
    case .winograd2: CK_CONVOLUTION_WINOGRAD2
    case .winograd4: CK_CONVOLUTION_WINOGRAD4
    case .winograd6: CK_CONVOLUTION_WINOGRAD6
    case .winograd224: CK_CONVOLUTION_WINOGRAD224
    case .winograd242: CK_CONVOLUTION_WINOGRAD242
    case .winograd244: CK_CONVOLUTION_WINOGRAD244
    case .winograd246: CK_CONVOLUTION_WINOGRAD246
    case .winograd264: CK_CONVOLUTION_WINOGRAD264
    case .winograd266: CK_CONVOLUTION_WINOGRAD266
    case .winograd422: CK_CONVOLUTION_WINOGRAD422
    case .winograd424: CK_CONVOLUTION_WINOGRAD424
    case .winograd442: CK_CONVOLUTION_WINOGRAD442
    case .winograd446: CK_CONVOLUTION_WINOGRAD446
    case .winograd464: CK_CONVOLUTION_WINOGRAD464
    }
  }
}
