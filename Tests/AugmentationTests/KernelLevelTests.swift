import CKernels
import TensorCore
import TensorTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Every instruction-set level against plain loops in double precision, with sizes that leave remainders.
@Suite struct KernelLevelTests {
  private let levels = EvaluationContext.availableInstructionSets.map { level in
    (name: String(cString: ck_instruction_set_name(level)), kernels: ck_augmentation_kernels_for(level).pointee)
  }
  private let counts = [1, 3, 8, 15, 16, 17, 64, 67, 1000, 3001]

  private func values(_ count: Int, seed: UInt64 = 1) -> [Float] {
    var generator = RandomGenerator(seed: seed)
    return (0..<count).map { _ in generator.uniform() * 6 - 2 }
  }

  private func expectEqual(_ actual: [Float], _ expected: [Double], _ tolerance: Float, _ comment: String) {
    expectClose(
      actual, shape: [actual.count], expected.map(Float.init), shape: [expected.count], absolute: tolerance,
      relativeToMaximum: 0, comment)
  }

  private func linear(_ source: [Float], _ size: [Int], _ position: [Double]) -> Double {
    var result = 0.0
    for corner in 0..<8 {
      var (weight, offset, inside) = (1.0, 0, true)
      for axis in 0..<3 {
        let lower = position[axis].rounded(.down)
        let index = Int(lower) + (corner >> (2 - axis) & 1)
        weight *= corner >> (2 - axis) & 1 == 1 ? position[axis] - lower : 1 - position[axis] + lower
        inside = inside && index >= 0 && index < size[axis]
        offset = offset * size[axis] + index
      }
      if inside { result += weight * Double(source[offset]) }
    }
    return result
  }

  @Test func linearSampling() {
    let cases: [(size: [Int], start: [Float], step: [Float])] = [
      ([7, 9, 40], [1.25, 2.5, 0.125], [0.0625, 0.03125, 0.75]), ([7, 9, 40], [-2, 9.5, 41], [0.25, -0.25, -1]),
      ([1, 30, 33], [0, 3.5, -4.25], [0, 0.5, 0.875]), ([1, 30, 33], [0.25, 3.5, 4.25], [0, 0.5, 0.875]),
      ([3, 1, 5], [0.5, 0, 0], [0, 0, 0.125]),
    ]
    for entry in cases {
      let source = values(entry.size.reduce(1, *))
      for count in [1, 16, 37, 50] {
        let expected = (0..<count).map { index in
          linear(source, entry.size, (0..<3).map { Double(entry.start[$0]) + Double(index) * Double(entry.step[$0]) })
        }
        for level in levels {
          var row = [Float](repeating: .nan, count: count)
          level.kernels.sample_linear(&row, count, source, entry.size, entry.start, entry.step)
          expectEqual(row, expected, 2e-5, "\(level.name) \(entry)")
        }
      }
    }
  }

  /// Labels agree with the scores of whole indicator volumes; positions keep clear of ties.
  @Test func labelSampling() {
    var generator = RandomGenerator(seed: 4)
    for size in [[5, 8, 30], [1, 12, 40]] {
      let labels = (0..<size.reduce(1, *)).map { _ in Int16(generator.next() % 4) - 1 }
      let present: [Int16] = [-1, 0, 1, 2]
      let start: [Float] = [size[0] == 1 ? 0 : -0.7, -0.9, -1.3]
      let step: [Float] = [size[0] == 1 ? 0 : 0.11, 0.23, 0.71]
      let count = 53
      var compared = 0
      for level in levels {
        var row = [Int16](repeating: 99, count: count)
        level.kernels.sample_labels(&row, count, labels, size, start, step, -1)
        for index in 0..<count {
          let position = (0..<3).map { Double(start[$0]) + Double(index) * Double(step[$0]) }
          let scores = present.map { label -> Double in
            // Padding counts as -1: one minus the score of what is not -1.
            let others = labels.map { $0 == label ? Float(1) : 0 }
            return label == -1
              ? 1 - linear(labels.map { $0 == -1 ? Float(0) : 1 }, size, position) : linear(others, size, position)
          }
          let sorted = scores.sorted()
          guard sorted[3] - sorted[2] > 0.002 else { continue }
          compared += 1
          #expect(row[index] == present[scores.firstIndex(of: sorted[3]) ?? 0], "\(level.name) \(index)")
        }
      }
      #expect(compared > 40 * levels.count)
    }
  }

  /// An exact tie goes to the nearest voxel's label, and to the smallest label where the nearest has lost.
  @Test func tiesGoToTheNearest() {
    for level in levels {
      var row: [Int16] = [9, 9]
      // Half way between 3 and 1: the even voxel is the nearest.
      level.kernels.sample_labels(&row, 2, [7, 7, 3, 1], [1, 1, 4], [0, 0, 2.5], [0, 0, 0], -1)
      #expect(row == [3, 3])
      level.kernels.sample_labels(&row, 2, [7, 3, 1, 1], [1, 1, 4], [0, 0, 1.5], [0, 0, 0], -1)
      #expect(row == [1, 1])
      // Scores .36, .24, .24, .16: label 5 has .24 + .16.
      level.kernels.sample_labels(&row, 1, [1, 5, 2, 5], [1, 2, 2], [0, 0.4, 0.4], [0, 0, 0], -1)
      #expect(row[0] == 5)
    }
  }

  @Test func filters() {
    for count in counts {
      let rows = (0..<5).map { values(count, seed: UInt64($0)) }
      let weights: [Float] = [0.1, 0.2, 0.4, 0.2, 0.1]
      let expected = (0..<count).map { i in (0..<5).reduce(0.0) { $0 + Double(weights[$1]) * Double(rows[$1][i]) } }
      let joined = rows.flatMap { $0 }
      for level in levels {
        var result = [Float](repeating: .nan, count: count)
        joined.withUnsafeBufferPointer { buffer in
          let pointers = (0..<5).map { tap in buffer.baseAddress.map { $0 + tap * count } }
          level.kernels.weighted_sum(&result, count, pointers, weights, 5)
        }
        expectEqual(result, expected, 2e-6, "\(level.name) \(count)")
      }
    }
  }

  @Test func statisticsAndRescaling() {
    for count in counts {
      let input = values(count)
      let mean = input.reduce(0.0) { $0 + Double($1) } / Double(count)
      let squares = input.reduce(0.0) { $0 + (Double($1) - Double(Float(mean))) * (Double($1) - Double(Float(mean))) }
      for level in levels {
        let summary = level.kernels.summarize(input, count)
        #expect(abs(summary.sum - mean * Double(count)) < 1e-5 * Double(count), "\(level.name) \(count)")
        #expect(summary.minimum == input.min() && summary.maximum == input.max(), "\(level.name) \(count)")
        let actual = level.kernels.squared_deviations(input, count, Float(mean))
        #expect(abs(actual - squares) < 1e-5 * max(squares, 1), "\(level.name) \(count)")
        var rescaled = input
        level.kernels.rescale(&rescaled, count, 0.5, 1.5, -0.25, -1, 2.5)
        expectEqual(
          rescaled, input.map { min(2.5, max(-1, (Double($0) - 0.5) * 1.5 - 0.25)) }, 2e-6, "\(level.name) \(count)")
      }
    }
  }

  @Test(arguments: [Float(0.7), 0.93, 1, 1.5]) func powers(exponent: Float) {
    for count in counts {
      var input = values(count)
      // The range's ends and values of every magnitude in between.
      for index in 0..<min(count, 12) { input[index] = -2 + 6 * exp2(-Float(index) * 3) }
      if count > 12 { input[12] = -2 }
      for level in levels {
        for sign in [Float(1), -1] {
          var result = input
          let minimum: Float = sign > 0 ? -2 : -4
          level.kernels.power(&result, count, sign, minimum, 6, exponent, 6)
          let expected = input.map { value in
            pow(max(0, Double(sign * value - minimum) / 6), Double(exponent)) * 6 + Double(minimum)
          }
          expectEqual(result, expected, 3e-6, "\(level.name) \(count) \(sign)")
        }
      }
    }
  }

  /// The same key gives the same numbers at every level and for every length.
  @Test func noiseDoesNotDependOnTheLevel() {
    var longest = [Float](repeating: 0, count: 3001)
    levels[0].kernels.add_noise(&longest, 3001, 1, 99)
    #expect(Set(longest).count > 2990)
    for count in counts {
      for level in levels {
        var noise = [Float](repeating: 0, count: count)
        level.kernels.add_noise(&noise, count, 1, 99)
        expectEqual(noise, longest.prefix(count).map(Double.init), 5e-6, "\(level.name) \(count)")
        var other = [Float](repeating: 0, count: count)
        level.kernels.add_noise(&other, count, 1, 100)
        #expect(other != noise)
      }
    }
  }

  @Test func labelsAndOrder() {
    for count in counts {
      let input = values(count)
      let labels = (0..<count).map { Int16($0 % 5) - 1 }
      for level in levels {
        let kernels = level.kernels
        var (a, b) = (input, Array(input.map { $0 + 10 }))
        kernels.exchange(&a, &b, count)
        #expect(a == input.map { $0 + 10 } && b == input)
        kernels.exchange_reversed(&a, &b, count)
        #expect(a == input.reversed() && b == input.reversed().map { $0 + 10 })
        var (c, d) = (labels, Array(labels.map { $0 + 10 }))
        kernels.exchange_labels(&c, &d, count)
        #expect(c == labels.map { $0 + 10 } && d == labels)
        kernels.exchange_labels_reversed(&c, &d, count)
        #expect(c == labels.reversed() && d == labels.reversed().map { $0 + 10 })
        var masked = input
        kernels.fill_where_negative(&masked, labels, count, 7)
        #expect(masked == zip(input, labels).map { $1 < 0 ? 7 : $0 })
        var replaced = labels
        kernels.replace_label(&replaced, count, -1, 0)
        #expect(replaced == labels.map { $0 == -1 ? 0 : $0 })
        var indicator = [Float](repeating: .nan, count: count)
        kernels.label_indicator(&indicator, labels, count, 2)
        #expect(indicator == labels.map { $0 == 2 ? 1 : 0 })
        var region = [Int16](repeating: 9, count: count)
        kernels.region_indicator(&region, labels, count, [3, 1], 2)
        #expect(region == labels.map { $0 == 1 || $0 == 3 ? 1 : 0 })
      }
    }
  }
}
