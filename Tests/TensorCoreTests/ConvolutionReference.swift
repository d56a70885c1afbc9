import TensorCore
import Testing

/// One convolution to test, with three axes throughout (a flat one has depth 1).
struct ConvolutionCase: Sendable, CustomTestStringConvertible {
  var batch = 1
  var channels: (input: Int, output: Int)
  var extents: [Int]
  var kernel: [Int]
  var geometry: ConvolutionGeometry

  init(
    batch: Int = 1, _ input: Int, _ output: Int, _ extents: [Int], kernel: [Int] = [3, 3, 3],
    stride: [Int] = [1, 1, 1],
    padding: [Int]? = nil, upper: [Int]? = nil, dilation: [Int] = [1, 1, 1], groups: Int = 1
  ) {
    self.batch = batch
    channels = (input, output)
    self.extents = extents
    self.kernel = kernel
    let lower = padding ?? kernel.map { $0 / 2 }
    geometry = ConvolutionGeometry(
      stride: stride, paddingLower: lower, paddingUpper: upper ?? lower, dilation: dilation, groups: groups)
  }

  var testDescription: String {
    "\(batch)x\(channels.input)->\(channels.output) \(extents) kernel \(kernel) stride \(geometry.stride) "
      + "padding \(geometry.paddingLower) \(geometry.paddingUpper) dilation \(geometry.dilation) groups \(geometry.groups)"
  }

  var inputShape: Shape { Shape([batch] + extents + [channels.input]) }
  var weightShape: Shape { Shape([channels.output, channels.input / geometry.groups] + kernel) }
  var outputShape: Shape { Convolution(geometry).shapes(of: [inputShape, weightShape])[0] }

  static let all: [ConvolutionCase] = [
    ConvolutionCase(1, 1, [3, 3, 3]),
    ConvolutionCase(batch: 2, 5, 7, [5, 6, 7]),
    ConvolutionCase(32, 32, [6, 9, 14]),
    ConvolutionCase(32, 33, [4, 5, 4]),
    ConvolutionCase(33, 65, [5, 6, 13]),
    ConvolutionCase(1, 32, [5, 6, 30]),
    ConvolutionCase(2, 20, [1, 9, 30], kernel: [1, 3, 3]),
    ConvolutionCase(batch: 2, 16, 24, [1, 17, 19], kernel: [1, 3, 3]),
    ConvolutionCase(12, 16, [11, 9, 13]),
    ConvolutionCase(batch: 2, 16, 24, [7, 8, 9], stride: [2, 2, 2]),
    ConvolutionCase(16, 24, [7, 8, 9], stride: [1, 2, 2]),
    ConvolutionCase(24, 3, [5, 6, 7], kernel: [1, 1, 1]),
    ConvolutionCase(64, 48, [4, 8, 6], kernel: [2, 2, 2], stride: [2, 2, 2], padding: [0, 0, 0]),
    ConvolutionCase(8, 12, [6, 7, 8], groups: 4),
    ConvolutionCase(8, 12, [6, 7, 8], stride: [2, 2, 2], groups: 4),
    ConvolutionCase(6, 6, [6, 7, 8], kernel: [3, 1, 3], groups: 6),
    ConvolutionCase(10, 9, [9, 9, 11], padding: [2, 2, 2], dilation: [2, 2, 2]),
    ConvolutionCase(10, 9, [9, 10, 11], stride: [2, 2, 2], padding: [2, 2, 2], dilation: [2, 2, 2]),
    ConvolutionCase(
      10, 9, [9, 10, 11], kernel: [5, 3, 7], stride: [3, 2, 1], padding: [2, 1, 3], dilation: [1, 1, 1]),
    ConvolutionCase(3, 9, [9, 10, 11], kernel: [2, 2, 2], stride: [3, 3, 3], padding: [0, 0, 0]),
    ConvolutionCase(batch: 3, 3, 17, [5, 5, 5], padding: [0, 0, 0]),
    ConvolutionCase(4, 8, [6, 6, 6], kernel: [4, 4, 4], stride: [2, 2, 2], padding: [1, 1, 1]),
    ConvolutionCase(9, 4, [6, 6, 6], padding: [0, 2, 1], upper: [1, 0, 2]),
    ConvolutionCase(4, 4, [3, 3, 2], kernel: [1, 1, 1]),
    ConvolutionCase(7, 5, [6, 5, 4], padding: [4, 3, 3]),
    ConvolutionCase(40, 48, [2, 2, 2]),
    ConvolutionCase(32, 32, [9, 1, 18], kernel: [3, 1, 3]),
  ]
}

/// Direct loops in Double: the oracle for every algorithm and instruction set.
struct ConvolutionReference {
  var output: [Double]
  var inputGradient: [Double]
  var weightGradient: [Double]

  init(_ test: ConvolutionCase, input: [Float], weight: [Float], bias: [Float], gradient: [Float]) {
    let geometry = test.geometry
    let outputShape = test.outputShape
    let (inputs, outputs) = (test.channels.input / geometry.groups, test.channels.output / geometry.groups)
    let (size, extents, kernel) = (outputShape.spatial, test.extents, test.kernel)
    output = (0..<outputShape.count).map { Double(bias[$0 % bias.count]) }
    inputGradient = [Double](repeating: 0, count: input.count)
    weightGradient = [Double](repeating: 0, count: weight.count)
    let taps = kernel.reduce(1, *)
    func source(_ axis: Int, _ position: Int, _ tap: Int) -> Int? {
      let index = position * geometry.stride[axis] - geometry.paddingLower[axis] + tap * geometry.dilation[axis]
      return (0..<extents[axis]).contains(index) ? index : nil
    }
    for image in 0..<test.batch {
      for position in 0..<size.reduce(1, *) {
        let (z, y, x) = (position / (size[1] * size[2]), position / size[2] % size[1], position % size[2])
        for tap in 0..<taps {
          let (kz, ky, kx) = (tap / (kernel[1] * kernel[2]), tap / kernel[2] % kernel[1], tap % kernel[2])
          guard let iz = source(0, z, kz), let iy = source(1, y, ky), let ix = source(2, x, kx) else { continue }
          let from = (((image * extents[0] + iz) * extents[1] + iy) * extents[2] + ix) * test.channels.input
          let to = (image * size.reduce(1, *) + position) * test.channels.output
          for o in 0..<test.channels.output {
            for i in 0..<inputs {
              let c = from + o / outputs * inputs + i
              let w = (o * inputs + i) * taps + tap
              output[to + o] += Double(input[c]) * Double(weight[w])
              inputGradient[c] += Double(gradient[to + o]) * Double(weight[w])
              weightGradient[w] += Double(gradient[to + o]) * Double(input[c])
            }
          }
        }
      }
    }
  }
}

/// `count` values between -1 and 1.
func randomValues(_ count: Int, seed: UInt64) -> [Float] {
  var generator = RandomGenerator(seed: seed)
  return (0..<count).map { _ in Float.random(in: -1...1, using: &generator) }
}
