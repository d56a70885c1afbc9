import CKernels
import Foundation
import TensorCore

/// How the samples along one axis of the output follow from those of the input: a linear map with few taps, after an
/// optional spline filter.
struct ResamplingAxis: Sendable {
  let inputSize: Int
  let outputSize: Int
  /// How often the first and last sample are repeated before anything else.
  let padding: Int
  let taps: Int
  /// The first tap of every output sample, counted in the padded input.
  let starts: [Int32]
  /// `taps` weights for every output sample.
  let weights: [Double]
  let usesPrefilter: Bool

  /// Sizes that agree need no work: all coordinates are integers then.
  var isIdentity: Bool { inputSize == outputSize }

  private init(
    _ inputSize: Int, _ outputSize: Int, padding: Int = 0, usesPrefilter: Bool = false,
    taps: (Int) -> (start: Int, weights: [Double])
  ) {
    self.inputSize = inputSize
    self.outputSize = outputSize
    self.padding = padding
    self.usesPrefilter = usesPrefilter
    let all = (0..<outputSize).map(taps)
    let widest = min(all.map(\.weights.count).max() ?? 1, inputSize + 2 * padding)
    self.taps = widest
    // Shorter lists of taps, and those at the end, move left and get zeros.
    var starts: [Int32] = []
    var weights: [Double] = []
    for (start, own) in all {
      let first = min(start, inputSize + 2 * padding - widest)
      var row = Array(repeating: 0.0, count: widest)
      for (k, weight) in own.enumerated() where start + k - first < widest { row[start + k - first] += weight }
      starts.append(Int32(first))
      weights.append(contentsOf: row)
    }
    self.starts = starts
    self.weights = weights
  }

  /// The input coordinate of an output sample's centre, where both cover the same extent.
  static func coordinate(_ index: Int, _ inputSize: Int, _ outputSize: Int) -> Double {
    (Double(index) + 0.5) * (Double(inputSize) / Double(outputSize)) - 0.5
  }

  /// skimage's `resize` with `mode='edge'` along one axis (scipy's `zoom` with `grid_mode`), for orders 0, 1 and 3.
  static func spline(order: Int, from inputSize: Int, to outputSize: Int) -> ResamplingAxis {
    switch order {
    case 3:
      // scipy repeats the edge 12 times and then never leaves the padded array.
      let padding = 12
      return ResamplingAxis(inputSize, outputSize, padding: padding, usesPrefilter: true) { index in
        let position = coordinate(index, inputSize, outputSize) + Double(padding)
        let start = position.rounded(.down)
        let (x, rest) = (position - start, 1 - (position - start))
        let first = rest * rest * rest / 6
        let second = (x * x * (x - 2) * 3 + 4) / 6
        let third = (rest * rest * (rest - 2) * 3 + 4) / 6
        return (Int(start) - 1, [first, second, third, 1 - first - second - third])
      }
    case 1:
      return linear(from: inputSize, to: outputSize)
    default:
      check(order == 0, "resampling: spline order \(order) is not one of 0, 1, 3")
      return ResamplingAxis(inputSize, outputSize) { index in
        (nearest(index, inputSize, outputSize), [1])
      }
    }
  }

  /// The nearest input sample; halves go up.
  static func nearest(_ index: Int, _ inputSize: Int, _ outputSize: Int) -> Int {
    let position = min(max(coordinate(index, inputSize, outputSize), 0), Double(inputSize - 1))
    return Int((position + 0.5).rounded(.down))
  }

  static func linear(from inputSize: Int, to outputSize: Int) -> ResamplingAxis {
    ResamplingAxis(inputSize, outputSize) { index in
      let position = min(max(coordinate(index, inputSize, outputSize), 0), Double(inputSize - 1))
      let start = position.rounded(.down)
      let first = 1 - (position - start)
      return (Int(start), [first, 1 - first])
    }
  }

  /// PyTorch's `interpolate` along one axis, with `align_corners=False`; weights in single precision as there.
  static func torch(_ mode: TorchInterpolation, from inputSize: Int, to outputSize: Int) -> ResamplingAxis {
    let scale = Float(inputSize) / Float(outputSize)
    switch mode {
    case .linear:
      return ResamplingAxis(inputSize, outputSize) { index in
        let position = max(scale * (Float(index) + 0.5) - 0.5, 0)
        let start = min(Int(position), inputSize - 1)
        let second = position - Float(start)
        return start + 1 < inputSize
          ? (start, [Double(1 - second), Double(second)]) : (start, [1])
      }
    case .nearest:
      return ResamplingAxis(inputSize, outputSize) { (min(Int(Float($0) * scale), inputSize - 1), [1]) }
    case .nearestExact:
      return ResamplingAxis(inputSize, outputSize) { (min(Int((Float($0) + 0.5) * scale), inputSize - 1), [1]) }
    case .area:
      return ResamplingAxis(inputSize, outputSize) { index in
        let first = index * inputSize / outputSize
        let last = ((index + 1) * inputSize + outputSize - 1) / outputSize
        return (first, Array(repeating: 1 / Double(last - first), count: last - first))
      }
    }
  }

  /// The same map without its filter, for one output sample, with taps counted from its own first tap.
  func withKernelAxis<Result>(_ body: (inout ck_resampling_axis) -> Result) -> Result {
    starts.withUnsafeBufferPointer { starts in
      weights.withUnsafeBufferPointer { weights in
        var axis = ck_resampling_axis(
          input_size: inputSize, output_size: outputSize, padding: padding, taps: taps,
          prefilter: usesPrefilter ? 1 : 0, starts: starts.baseAddress, weights: weights.baseAddress)
        return body(&axis)
      }
    }
  }

  /// The doubles of scratch memory that `width` columns take.
  func scratchCount(width: Int) -> Int {
    let unit = Int(CK_RESAMPLING_WIDTH_UNIT)
    return (inputSize + 2 * padding) * ((width + unit - 1) / unit * unit)
  }

  /// How many columns to take at once so that the scratch memory stays in the level-2 cache.
  var columnsAtOnce: Int {
    let unit = Int(CK_RESAMPLING_WIDTH_UNIT)
    let fitting = (384 << 10) / (8 * (inputSize + 2 * padding))
    return max(unit, min(Int(CK_RESAMPLING_MAXIMUM_WIDTH), fitting / unit * unit))
  }
}

/// The modes of PyTorch's `interpolate` that resampling functions of nnU-Net may name.
public enum TorchInterpolation: String, Sendable, Hashable, Codable {
  case linear
  case nearest
  case nearestExact = "nearest-exact"
  case area
}
