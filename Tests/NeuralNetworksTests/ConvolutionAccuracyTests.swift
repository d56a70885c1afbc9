import NeuralNetworks
import Synchronization
import TensorCore
import TensorTestSupport
import Testing

/// A convolution of a network: its channels, kernel and extents, cut to a few tiles.
struct ConvolutionLayerShape: Hashable, Sendable, CustomTestStringConvertible {
  var geometry: ConvolutionGeometry
  var input: Shape
  var weight: Shape

  var testDescription: String { "\(input) with \(weight)" }
}

extension Shape {
  /// The place of an element among all, row-major.
  fileprivate func offset(of index: [Int]) -> Int { zip(index, extents).reduce(0) { $0 * $1.1 + $1.0 } }
}

/// Notes the convolutions of a network that runs on shapes alone.
private final class LayerLog: Recorder {
  let order = RecorderOrder()
  private let layers = Mutex<Set<ConvolutionLayerShape>>([])

  var found: Set<ConvolutionLayerShape> { layers.withLock { $0 } }

  func follow(_ tensor: Tensor) -> Tensor {
    Tensor(
      shape: tensor.shape, elementType: tensor.elementType, storage: tensor.storage,
      recording: Recording(recorder: self, index: 0, inner: nil))
  }

  func record(_ operation: any TensorCore.Operation, _ inputs: [Tensor]) -> [Tensor] {
    if let convolution = operation as? Convolution, convolution.geometry.stride.allSatisfy({ $0 == 1 }),
      inputs[1].shape.extents[2...].contains(3)
    {
      // Two instances and odd extents: edges of every kind, and tiles that are cut off.
      let extents = inputs[0].shape.spatial.map { min($0, 9) }
      let layer = ConvolutionLayerShape(
        geometry: convolution.geometry, input: Shape([2] + extents + [inputs[0].shape.channels]),
        weight: inputs[1].shape)
      layers.withLock { _ = $0.insert(layer) }
    }
    // Never written, so that no memory stands behind it.
    return operation.shapes(of: inputs.map(\.shape)).map { follow(Tensor(uninitialized: $0)) }
  }
}

/// Winograd convolutions against sums in double precision, on every layer of the golden networks and the benchmark's.
@Suite struct ConvolutionAccuracyTests {
  private static func plain(_ features: [Int], dimensions: Int) -> UNet {
    let stages = features.enumerated().map { index, features in
      UNetArchitecture.Stage(
        features: features, kernelSize: Array(repeating: 3, count: dimensions),
        stride: Array(repeating: index == 0 ? 1 : 2, count: dimensions), blockCount: 2)
    }
    return UNet(
      UNetArchitecture(
        kind: .plainConvUNet, dimensions: dimensions, stages: stages,
        decoderBlockCounts: Array(repeating: 2, count: stages.count - 1), deepSupervision: false),
      inputChannels: 1, headCount: 3)
  }

  private static let layers: [ConvolutionLayerShape] = {
    var networks = [
      (plain([32, 64, 128, 256, 320, 320], dimensions: 3), Shape([1, 128, 128, 128, 1])),
      (plain([32, 64, 128, 256, 512, 512, 512, 512], dimensions: 2), Shape([1, 512, 512, 1])),
      (plain([32, 64, 128, 256], dimensions: 3), Shape([1, 40, 56, 40, 1])),
    ]
    for name in GoldenNetwork.names {
      guard let golden = try? GoldenNetwork(name), let x = try? golden.data.activations("x") else { continue }
      networks.append((golden.network, x.shape))
    }
    let log = LayerLog()
    for (network, shape) in networks {
      // Nobody reads the values.
      let parameters = ParameterSet(
        layout: network.layout,
        values: network.layout.entries.map { Tensor(uninitialized: $0.shape, elementType: $0.elementType) })
      var context = ForwardContext.evaluation(parameters, fuses: false)
      _ = network(log.follow(Tensor(uninitialized: shape)), &context, deepSupervision: true)
    }
    return log.found.sorted { ($0.weight.count, $0.input.count) < ($1.weight.count, $1.input.count) }
  }()

  private enum Distribution: CaseIterable {
    case uniform, offset, largeRange

    func values(_ count: Int, seed: UInt64) -> [Float] {
      var generator = RandomGenerator(seed: seed)
      return (0..<count).map { index in
        let value = generator.uniform() * 2 - 1
        switch self {
        case .uniform: return value
        case .offset: return value + 20
        case .largeRange: return value * (index % 97 == 0 ? 1e5 : 1e3)
        }
      }
    }
  }

  /// Calls `body` with the input place, tap and channels of every product that makes an output place.
  private static func forEachTap(
    of layer: ConvolutionLayerShape, at place: [Int], _ body: (_ input: [Int], _ tap: [Int]) -> Void
  ) {
    let kernel = Shape(Array(layer.weight.extents[2...]))
    for index in 0..<kernel.count {
      let tap = kernel.index(of: index)
      let input = tap.indices.map { place[$0] + tap[$0] - layer.geometry.paddingLower[$0] }
      if zip(input, layer.input.spatial).allSatisfy({ (0..<$1).contains($0) }) { body(input, tap) }
    }
  }

  @Test(arguments: layers) func winogradKeepsItsBounds(_ layer: ConvolutionLayerShape) {
    let output = Convolution(layer.geometry).shapes(of: [layer.input, layer.weight])[0]
    let (inputs, outputs) = (layer.input.channels, output.channels)
    for distribution in Distribution.allCases {
      let x = distribution.values(layer.input.count, seed: 1)
      let g = distribution.values(output.count, seed: 2)
      let w = Distribution.uniform.values(layer.weight.count, seed: 3)
      let (xs, gs, ws) = (
        Tensor(x, shape: layer.input), Tensor(g, shape: output), Tensor(w, shape: layer.weight)
      )
      for (algorithm, bound) in [(ConvolutionAlgorithm.winograd2, 5e-6), (.winograd4, 1e-4), (.winograd6, 1e-4)] {
        var geometry = layer.geometry
        geometry.algorithm = algorithm
        let forward = Convolution(geometry)(xs, ws)
        let weightGradient = ConvolutionWeightGradient(geometry, kernel: Array(layer.weight.extents[2...]))(xs, gs)
        var generator = RandomGenerator(seed: 4)
        func pick(_ count: Int) -> Int { Int(generator.next() % UInt64(count)) }
        var (worst, worstGradient) = (0.0, 0.0)
        let (y, dw) = (forward.elements(), weightGradient.elements())
        for _ in 0..<40 {
          let index = pick(output.count)
          let at = output.index(of: index)
          var sum = 0.0
          Self.forEachTap(of: layer, at: Array(at[1..<at.count - 1])) { place, tap in
            let from = layer.input.offset(of: [at[0]] + place + [0])
            for channel in 0..<inputs {
              sum += Double(x[from + channel]) * Double(w[layer.weight.offset(of: [at[at.count - 1], channel] + tap)])
            }
          }
          worst = max(worst, abs(Double(y[index]) - sum))
        }
        for _ in 0..<10 {
          let index = pick(layer.weight.count)
          let at = layer.weight.index(of: index)
          var sum = 0.0
          let tap = Array(at[2...])
          for pixel in 0..<output.count / outputs {
            var (rest, step, place, isInside) = (pixel, 1, 0, true)
            for axis in stride(from: tap.count - 1, through: 0, by: -1) {
              let extent = layer.input.spatial[axis]
              let from = rest % output.spatial[axis] + tap[axis] - layer.geometry.paddingLower[axis]
              isInside = isInside && (0..<extent).contains(from)
              place += from * step
              step *= extent
              rest /= output.spatial[axis]
            }
            guard isInside else { continue }
            let input = (rest * step + place) * inputs + at[1]
            sum += Double(x[input]) * Double(g[pixel * outputs + at[0]])
          }
          worstGradient = max(worstGradient, abs(Double(dw[index]) - sum))
        }
        let what = "\(algorithm), \(distribution)"
        let (largest, largestGradient) = (
          y.reduce(0) { max($0, abs(Double($1))) }, dw.reduce(0) { max($0, abs(Double($1))) }
        )
        #expect(y.allSatisfy(\.isFinite) && dw.allSatisfy(\.isFinite), "\(what)")
        #expect(worst <= bound * largest, "\(what): \(worst / largest) of the largest output")
        #expect(
          worstGradient <= bound * largestGradient,
          "\(what): \(worstGradient / largestGradient) of the largest gradient")
      }
    }
  }
}
