import Datasets
import Volumes

/// How often each intensity was drawn from one channel of one case.
struct IntensitySample: Sendable {
  /// The distinct values in ascending order, as keys that sort like the values.
  private(set) var keys: [UInt32] = []
  /// How many draws gave at most the value.
  private(set) var cumulativeCounts: [UInt32] = []

  var count: Int { Int(cumulativeCounts.last ?? 0) }

  /// - Parameters:
  ///   - values: the population.
  ///   - counts: how often each of them was drawn.
  init(values: [Float], counts: [UInt32]) {
    // A key and its count in one word, so that sorting moves both.
    var words: [UInt64] = []
    words.reserveCapacity(values.count)
    for (value, count) in zip(values, counts) where count > 0 {
      words.append(UInt64(Self.key(value)) << 32 | UInt64(count))
    }
    sortByHighHalf(&words)
    var total: UInt32 = 0
    for word in words {
      let key = UInt32(truncatingIfNeeded: word >> 32)
      total += UInt32(truncatingIfNeeded: word)
      if keys.last == key {
        cumulativeCounts[cumulativeCounts.count - 1] = total
      } else {
        keys.append(key)
        cumulativeCounts.append(total)
      }
    }
  }

  /// Draws that are at most the key's value.
  func rank(ofKey key: UInt32) -> Int {
    var (low, high) = (0, keys.count)
    while low < high {
      let middle = (low + high) / 2
      if keys[middle] <= key { low = middle + 1 } else { high = middle }
    }
    return low == 0 ? 0 : Int(cumulativeCounts[low - 1])
  }

  /// Calls `body` with each distinct value and how often it was drawn.
  func forEach(_ body: (_ value: Double, _ count: Double) -> Void) {
    var before: UInt32 = 0
    for (key, cumulative) in zip(keys, cumulativeCounts) {
      body(Double(Self.value(key)), Double(cumulative - before))
      before = cumulative
    }
  }

  /// A number that sorts as the value does; -0 and 0 are one.
  static func key(_ value: Float) -> UInt32 {
    let bits = (value + 0).bitPattern
    return bits >> 31 == 0 ? bits | 0x8000_0000 : ~bits
  }

  static func value(_ key: UInt32) -> Float {
    Float(bitPattern: key >> 31 == 1 ? key & 0x7FFF_FFFF : ~key)
  }
}

/// The statistics of all samples of a channel together, without putting them into one array.
struct PooledIntensities {
  let samples: [IntensitySample]
  /// Whether some case had no foreground: then NumPy computes in double precision, otherwise in single.
  let hasEmptyCase: Bool

  /// `nil` if nothing was drawn.
  func properties() -> ForegroundIntensityProperties? {
    let samples = samples.filter { $0.count > 0 }
    let count = samples.reduce(0) { $0 + $1.count }
    guard let minimum = samples.compactMap(\.keys.first).min(), let maximum = samples.compactMap(\.keys.last).max()
    else { return nil }
    var sum = 0.0
    for sample in samples {
      var part = 0.0
      sample.forEach { part += $0 * $1 }
      sum += part
    }
    let mean = sum / Double(count)
    var squares = 0.0
    for sample in samples {
      var part = 0.0
      sample.forEach { part += ($0 - mean) * ($0 - mean) * $1 }
      squares += part
    }
    func rounded(_ value: Double) -> Double { hasEmptyCase ? value : Double(Float(value)) }
    func quantile(_ quantile: Double) -> Double {
      Statistics.quantile(quantile, count: count) { value(atRank: $0, samples, minimum...maximum) }
    }
    return ForegroundIntensityProperties(
      mean: rounded(mean), median: quantile(0.5), std: rounded((squares / Double(count)).squareRoot()),
      min: Double(IntensitySample.value(minimum)), max: Double(IntensitySample.value(maximum)),
      percentile_99_5: quantile(0.995), percentile_00_5: quantile(0.005))
  }

  /// The value at a place of the sorted draws, found by halving the range of possible values.
  private func value(atRank rank: Int, _ samples: [IntensitySample], _ range: ClosedRange<UInt32>) -> Double {
    var (low, high) = (range.lowerBound, range.upperBound)
    while low < high {
      let middle = low + (high - low) / 2
      if samples.reduce(0, { $0 + $1.rank(ofKey: middle) }) > rank { high = middle } else { low = middle + 1 }
    }
    return Double(IntensitySample.value(low))
  }
}

/// Sorts words by their high 32 bits.
private func sortByHighHalf(_ words: inout [UInt64]) {
  if words.count < 8192 { return words.sort() }
  // Radix sort, 11 bits at a time from the lowest.
  var other = [UInt64](repeating: 0, count: words.count)
  for shift: UInt64 in [32, 43, 54] {
    var starts = [Int](repeating: 0, count: 2049)
    words.withUnsafeBufferPointer { words in
      starts.withUnsafeMutableBufferPointer { starts in
        for word in words { starts[Int((word >> shift) & 2047) + 1] += 1 }
        for bucket in 1...2048 { starts[bucket] += starts[bucket - 1] }
        other.withUnsafeMutableBufferPointer { other in
          for word in words {
            let bucket = Int((word >> shift) & 2047)
            other[starts[bucket]] = word
            starts[bucket] += 1
          }
        }
      }
    }
    swap(&words, &other)
  }
}
