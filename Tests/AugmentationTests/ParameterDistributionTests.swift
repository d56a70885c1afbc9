import Augmentation
import TensorCore
import Testing
import Volumes

/// Counts what the transforms draw, with fixed seeds.
@Suite struct ParameterDistributionTests {
  private let draws = 20_000
  private let sample = TrainingSample(
    image: VoxelGrid(shape: [2, 4, 4, 4], repeating: 1), segmentation: VoxelGrid(shape: [1, 4, 4, 4], repeating: 0))

  /// Expects a relative frequency within five standard deviations.
  private func expectFrequency(
    _ count: Int, of total: Int, _ probability: Double, _ comment: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let deviation = (probability * (1 - probability) / Double(total)).squareRoot()
    #expect(
      abs(Double(count) / Double(total) - probability) < 5 * deviation + 1e-9, "\(comment)",
      sourceLocation: sourceLocation)
  }

  /// Expects numbers inside a range with the mean and the spread of a uniform distribution.
  private func expectUniform(
    _ values: [Double], _ range: ClosedRange<Double>, _ comment: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let width = range.upperBound - range.lowerBound
    #expect(values.count > 1000, "\(comment)", sourceLocation: sourceLocation)
    // Single precision may round to just outside.
    #expect(
      values.allSatisfy { $0 >= range.lowerBound - 1e-6 && $0 <= range.upperBound + 1e-6 }, "\(comment)",
      sourceLocation: sourceLocation)
    for tenth in 0..<10 {
      let lower = range.lowerBound + width * Double(tenth) / 10
      let inside = values.filter { $0 >= lower && $0 < lower + width / 10 }.count
      expectFrequency(inside, of: values.count, 0.1, "\(comment) tenth \(tenth)", sourceLocation: sourceLocation)
    }
  }

  private func draw<Transform: SampleTransform>(_ transform: Transform, seed: UInt64 = 1) -> [Transform.Parameters] {
    var generator = RandomGenerator(seed: seed)
    return (0..<draws).map { _ in transform.drawParameters(for: sample, using: &generator) }
  }

  @Test func spatial() {
    let limit = 30.0 / 180 * Double.pi
    let matrices = draw(SpatialTransform(patchSize: [4, 4, 4], isPlanar: false, rotation: -limit...limit))
    let transformed = matrices.compactMap { $0 }
    expectFrequency(transformed.count, of: draws, 1 - 0.8 * 0.8, "transformed")
    let scales = transformed.map { matrix -> Double in
      // The length of every column is the scale.
      (0..<3).reduce(0) { $0 + matrix.elements[3 * $1] * matrix.elements[3 * $1] }.squareRoot()
    }
    let scaled = scales.filter { abs($0 - 1) > 1e-12 }
    expectFrequency(scaled.count, of: draws, 0.2, "scaled")
    expectUniform(scaled, 0.7...1.4, "scale")
    // -sin(angle about axis 1) is the first entry of the last row.
    let rotations = zip(transformed, scales).map { $0.elements[6] / $1 }.filter { $0 != 0 }
    expectFrequency(rotations.count, of: draws, 0.2, "rotated")
    #expect(rotations.allSatisfy { abs($0) <= 0.5 + 1e-9 })

    let planar = draw(SpatialTransform(patchSize: [1, 4, 4], isPlanar: true, rotation: -limit...limit))
    #expect(planar.compactMap { $0 }.allSatisfy { $0.elements[0] == 1 && $0.elements[6] == 0 && $0.elements[1] == 0 })
  }

  @Test func noise() {
    let parameters = draw(RandomlyApplied(GaussianNoise(), probability: 0.1)).compactMap { $0 }
    expectFrequency(parameters.count, of: draws, 0.1, "noise")
    expectUniform(parameters.map { Double($0.deviation) }, 0...0.1, "deviation")
    #expect(parameters.allSatisfy { $0.channels == [0, 1] })
    #expect(Set(parameters.map(\.key)).count == parameters.count)
  }

  @Test func blurAndLowResolutionChooseChannels() {
    let blurs = draw(RandomlyApplied(GaussianBlur(isPlanar: false), probability: 0.2)).compactMap { $0 }
    expectFrequency(blurs.count, of: draws, 0.2, "blur")
    expectFrequency(blurs.reduce(0) { $0 + $1.count }, of: 2 * blurs.count, 0.5, "blurred channels")
    expectUniform(blurs.flatMap { $0.flatMap(\.sigmas) }, 0.5...1, "sigma")
    let planar = draw(GaussianBlur(isPlanar: true)).flatMap { $0 }
    #expect(planar.allSatisfy { $0.sigmas[0] == 0 && $0.sigmas[1] > 0 })

    let low = draw(RandomlyApplied(SimulateLowResolution(ignoredAxes: [0]), probability: 0.25)).compactMap { $0 }
    expectFrequency(low.count, of: draws, 0.25, "low resolution")
    expectFrequency(low.reduce(0) { $0 + $1.count }, of: 2 * low.count, 0.5, "channels of low resolution")
    expectUniform(low.flatMap { $0.map { $0.scale[1] } }, 0.5...1, "scale")
    #expect(low.allSatisfy { $0.allSatisfy { $0.scale[0] == 1 && $0.scale[1] == $0.scale[2] } })
  }

  @Test func intensities() {
    let brightness = draw(RandomlyApplied(MultiplicativeBrightness(), probability: 0.15)).compactMap { $0 }
    expectFrequency(brightness.count, of: draws, 0.15, "brightness")
    let gamma = draw(RandomlyApplied(Gamma(inverts: false), probability: 0.3)).compactMap { $0 }
    expectFrequency(gamma.count, of: draws, 0.3, "gamma")
    #expect(draw(Contrast()).allSatisfy { $0.count == 2 })
    for (values, range) in [(brightness.flatMap { $0 }, 0.75...1.25), (gamma.flatMap { $0 }, 0.7...1.5)] {
      let numbers = values.map(Double.init)
      let below = numbers.filter { $0 < 1 }
      expectFrequency(below.count, of: numbers.count, 0.5, "below 1")
      expectUniform(below, range.lowerBound...1, "below 1")
      expectUniform(numbers.filter { $0 >= 1 }, 1...range.upperBound, "above 1")
    }
  }

  @Test func mirrorAndCascade() {
    let mirrored = draw(Mirror(allowedAxes: [0, 2]))
    for axis in [0, 2] {
      expectFrequency(mirrored.filter { $0.contains(axis) }.count, of: draws, 0.5, "axis \(axis)")
    }
    expectFrequency(mirrored.filter { $0 == [0, 2] }.count, of: draws, 0.25, "both axes")
    #expect(mirrored.allSatisfy { !$0.contains(1) })

    let steps = draw(RandomBinaryOperator(oneHotCount: 2, isPlanar: false))
    expectFrequency(steps.reduce(0) { $0 + $1.count }, of: 2 * draws, 0.5, "channels")
    expectUniform(steps.flatMap { $0.map(\.radius) }, 1...8, "radius")
    let operations = steps.flatMap { $0.map(\.operation) }
    for operation in BinaryOperation.allCases {
      expectFrequency(operations.filter { $0 == operation }.count, of: operations.count, 0.25, operation.rawValue)
    }
    let both = steps.filter { $0.count == 2 }
    expectFrequency(both.filter { $0[0].channel == -1 }.count, of: both.count, 0.5, "order")
    let components = draw(RemoveRandomComponent(oneHotCount: 2))
    expectUniform(components.flatMap { $0.map(\.choice) }, 0...1, "component")
  }

  /// The noise that is added has the moments and the tails of a normal distribution, and channels differ.
  @Test func noiseIsNormal() {
    let count = 64 * 64 * 61
    let image = VoxelGrid<Float>(shape: [2, 64, 64, 61], repeating: 0)
    var sample = TrainingSample(image: image, segmentation: AugmentGolden.noLabels(for: image))
    GaussianNoise().apply(.init(channels: [0, 1], deviation: 2, key: 42), to: &sample)
    let values = sample.image.elements.prefix(count).map { Double($0) / 2 }
    let other = sample.image.elements.suffix(count).map { Double($0) / 2 }
    func mean(_ body: (Double) -> Double) -> Double { values.reduce(0) { $0 + body($1) } / Double(count) }
    let scale = 5 / Double(count).squareRoot()
    #expect(abs(mean { $0 }) < scale)
    #expect(abs(mean { $0 * $0 } - 1) < scale * 2.0.squareRoot())
    #expect(abs(mean { $0 * $0 * $0 }) < scale * 15.0.squareRoot())
    #expect(abs(mean { $0 * $0 * $0 * $0 } - 3) < scale * 96.0.squareRoot())
    for (limit, tail) in [(1.0, 0.317311), (2, 0.045500), (3, 0.0027)] {
      expectFrequency(values.filter { abs($0) > limit }.count, of: count, tail, "beyond \(limit)")
    }
    let correlation = zip(values, other).reduce(0) { $0 + $1.0 * $1.1 } / Double(count)
    #expect(abs(correlation) < scale)
    let neighbours = zip(values, values.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 } / Double(count)
    #expect(abs(neighbours) < scale)
  }
}
