import TensorCore

/// One layer of the benchmark: shapes of nnU-Net's networks, one of each kind that takes time.
private struct Layer: Sendable {
  let name: String
  let batch: Int
  let extents: [Int]
  /// Channels of the convolution's input and output; of a transposed one the other way round.
  let input: Int
  let output: Int
  let kernel: [Int]
  let stride: [Int]

  init(_ name: String, _ input: Int, _ output: Int, _ extents: [Int], batch: Int = 1, kernel: Int = 3, stride: Int = 1)
  {
    self.name = name
    self.batch = batch
    self.extents = extents
    self.input = input
    self.output = output
    self.kernel = extents.map { _ in kernel }
    self.stride = extents.map { _ in stride }
  }

  var isTransposed: Bool { kernel == stride && stride != stride.map { _ in 1 } }
  var geometry: ConvolutionGeometry {
    ConvolutionGeometry(stride: stride, padding: kernel.map { isTransposed ? 0 : $0 / 2 })
  }
  var inputShape: Shape { Shape([batch] + extents + [input]) }
  var weightShape: Shape { Shape([output, input] + kernel) }
  var outputShape: Shape { Convolution(geometry).shapes(of: [inputShape, weightShape])[0] }
  /// Operations of the direct method in 10^9, a multiplication and an addition for each tap.
  var gflop: Double { 2e-9 * Double(outputShape.count) * Double(input * kernel.reduce(1, *)) }
}

private let layers = [
  Layer("1-32@64", 1, 32, [64, 64, 64]),
  Layer("1-32@128", 1, 32, [128, 128, 128]),
  Layer("32-32@64", 32, 32, [64, 64, 64]),
  Layer("32-32@128", 32, 32, [128, 128, 128]),
  Layer("64-64@64", 64, 64, [64, 64, 64]),
  Layer("64-64@32", 64, 64, [32, 32, 32]),
  Layer("128-128@32", 128, 128, [32, 32, 32]),
  Layer("256-256@16", 256, 256, [16, 16, 16]),
  Layer("320-320@8", 320, 320, [8, 8, 8]),
  Layer("320-320@4", 320, 320, [4, 4, 4]),
  Layer("32-64/2@64", 32, 64, [64, 64, 64], stride: 2),
  Layer("16-16@40x56x40", 16, 16, [40, 56, 40], batch: 2),
  Layer("32-32@20x28x20", 32, 32, [20, 28, 20], batch: 2),
  Layer("64-64@10x14x10", 64, 64, [10, 14, 10], batch: 2),
  Layer("head-32-3@64", 32, 3, [64, 64, 64], kernel: 1),
  Layer("transposed-64-32@64", 32, 64, [64, 64, 64], kernel: 2, stride: 2),
  Layer("flat-32-32@512", 32, 32, [512, 512], batch: 4),
]

/// Each layer's forward, input gradient and weight gradient; `nnUNet_conv_algorithm` compares algorithms.
let convolutionWorkloads = [
  Workload(
    name: "conv3d",
    parts: layers.flatMap { layer in
      [
        Workload.Part(name: "/\(layer.name)/forward") {
          try prepare(
            layer, layer.isTransposed ? (layer.outputShape, layer.weightShape) : (layer.inputShape, layer.weightShape)
          ) {
            layer.isTransposed
              ? TransposedConvolution(stride: layer.stride)($0, $1) : Convolution(layer.geometry)($0, $1)
          }
        },
        Workload.Part(name: "/\(layer.name)/input-gradient") {
          try prepare(
            layer, layer.isTransposed ? (layer.inputShape, layer.weightShape) : (layer.outputShape, layer.weightShape)
          ) {
            layer.isTransposed
              ? Convolution(layer.geometry)($0, $1)
              : ConvolutionInputGradient(layer.geometry, extents: layer.extents)($0, $1)
          }
        },
        Workload.Part(name: "/\(layer.name)/weight-gradient") {
          try prepare(layer, (layer.inputShape, layer.outputShape)) {
            ConvolutionWeightGradient(layer.geometry, kernel: layer.kernel)($0, $1)
          }
        },
      ]
    })
]

private func prepare(
  _ layer: Layer, _ shapes: (Shape, Shape), _ operation: @escaping (Tensor, Tensor) -> Tensor
) throws -> PreparedWorkload {
  var generator = RandomGenerator(seed: 0)
  func uniform(_ shape: Shape) -> Tensor {
    Tensor(shape: shape, of: Float.self) { for index in $0.indices { $0[index] = generator.uniform() - 0.5 } }
  }
  let inputs = (uniform(shapes.0), uniform(shapes.1))
  guard operation(inputs.0, inputs.1).withElements(as: Float.self, { $0.allSatisfy(\.isFinite) }) else {
    throw WrongResult(description: "conv3d: layer \(layer.name) has a result that is not finite")
  }
  return PreparedWorkload(gflop: layer.gflop) { _ = operation(inputs.0, inputs.1) }
}
