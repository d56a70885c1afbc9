import Datasets
import TensorCore

/// How a channel's intensities are brought to a common scale.
///
/// nnU-Net: `preprocessing/normalization/default_normalization_schemes.py`. Sums are taken in double precision, means
/// and deviations then applied in single precision as there.
public enum Normalization: String, Sendable, CaseIterable {
  case zScore = "ZScoreNormalization"
  case ct = "CTNormalization"
  case none = "NoNormalization"
  case rescaleTo01 = "RescaleTo01Normalization"
  case rgbTo01 = "RGBTo01Normalization"

  /// - Parameter name: nnU-Net's class name, as in `normalization_schemes` of a plans file.
  public init(named name: String) throws {
    guard let scheme = Self(rawValue: name) else {
      throw PreprocessingError.unknownNormalization(name: name, known: Self.allCases.map(\.rawValue))
    }
    self = scheme
  }

  /// Normalises one channel in place.
  /// - Parameters:
  ///   - segmentation: of the channel's shape; negative outside of the nonzero mask.
  ///   - usesMask: whether z-scores are computed from and applied to the nonzero mask alone.
  ///   - properties: the channel's foreground intensities, for CT.
  func apply(
    to values: UnsafeMutableBufferPointer<Float>, channel: Int, segmentation: UnsafeBufferPointer<Int16>,
    usesMask: Bool, properties: ForegroundIntensityProperties?, context: EvaluationContext
  ) throws {
    let run = ChannelPass(values: values, context: context)
    switch self {
    case .none: return
    case .zScore:
      let mask = usesMask ? segmentation : nil
      guard let (mean, deviation) = run.moments(mask) else { return }
      run.shiftAndDivide(mean, max(deviation, 1e-8), mask)
    case .ct:
      guard let properties else { throw PreprocessingError.missingIntensityProperties(channel: channel) }
      let (low, high) = (Float(properties.percentile_00_5), Float(properties.percentile_99_5))
      run.forEach { min(max($0, low), high) }
      run.shiftAndDivide(Float(properties.mean), Float(max(properties.std, 1e-8)), nil)
    case .rescaleTo01:
      let (low, high) = run.extrema
      // The largest value after the shift.
      run.shiftAndDivide(low, max(high - low, 1e-8), nil)
    case .rgbTo01:
      let (low, high) = run.extrema
      guard low >= 0, high <= 255 else {
        throw PreprocessingError.notRGB(channel: channel, minimum: low, maximum: high)
      }
      run.shiftAndDivide(0, 255, nil)
    }
  }
}

/// Passes over the values of one channel, cut into parts of fixed size so that threads do not change sums.
private struct ChannelPass {
  let values: UnsafeMutableBufferPointer<Float>
  let context: EvaluationContext

  private static let grain = 1 << 16

  /// The mean, and the standard deviation of the values' distances to it, in the mask; `nil` if the mask is empty.
  func moments(_ mask: UnsafeBufferPointer<Int16>?) -> (Float, Float)? {
    let count = mask.map { mask in Int(sum { part in Double(part.count { mask[$0] >= 0 }) }) } ?? values.count
    guard count > 0 else { return nil }
    let mean = Float(sum(mask) { Double($0) } / Double(count))
    let variance =
      sum(mask) { value in
        let distance = value - mean
        return Double(distance) * Double(distance)
      } / Double(count)
    return (mean, Float(variance.squareRoot()))
  }

  var extrema: (Float, Float) {
    var (low, high) = (Float.infinity, -Float.infinity)
    for value in values {
      low = min(low, value)
      high = max(high, value)
    }
    return (low, high)
  }

  func shiftAndDivide(_ shift: Float, _ divisor: Float, _ mask: UnsafeBufferPointer<Int16>?) {
    nonisolated(unsafe) let values = values
    context.pool.run(count: values.count, grain: Self.grain) { part in
      if let mask {
        for i in part where mask[i] >= 0 { values[i] = (values[i] - shift) / divisor }
      } else {
        for i in part { values[i] = (values[i] - shift) / divisor }
      }
    }
  }

  func forEach(_ transform: (Float) -> Float) {
    let values = values
    context.pool.run(count: values.count, grain: Self.grain) { part in
      for i in part { values[i] = transform(values[i]) }
    }
  }

  @inline(__always)
  private func sum(_ mask: UnsafeBufferPointer<Int16>?, _ term: (Float) -> Double) -> Double {
    sum { part in
      if let mask {
        var sum = 0.0
        for i in part where mask[i] >= 0 { sum += term(values[i]) }
        return sum
      }
      // Four sums, because additions wait for each other.
      var sums = (0.0, 0.0, 0.0, 0.0)
      var i = part.lowerBound
      while i + 4 <= part.upperBound {
        sums.0 += term(values[i])
        sums.1 += term(values[i + 1])
        sums.2 += term(values[i + 2])
        sums.3 += term(values[i + 3])
        i += 4
      }
      while i < part.upperBound {
        sums.0 += term(values[i])
        i += 1
      }
      return (sums.0 + sums.1) + (sums.2 + sums.3)
    }
  }

  private func sum(_ part: (Range<Int>) -> Double) -> Double {
    var sums = Array(repeating: 0.0, count: (values.count + Self.grain - 1) / Self.grain)
    sums.withUnsafeMutableBufferPointer { sums in
      let sums = sums
      context.pool.run(count: values.count, grain: Self.grain) { range in
        sums[range.lowerBound / Self.grain] = part(range)
      }
    }
    return sums.reduce(0, +)
  }
}
