import Foundation
import TensorCore
import Volumes

/// A body with one organ that contains another, as an MR-like image and its true labels.
///
/// Shapes live in millimetres, so the same body can be sampled at any spacing. Label 1 is the outer organ without the
/// inner one, label 2 the inner organ.
struct Phantom {
  private let outer: Organ
  private let inner: Organ
  private let distractors: [Organ]
  private let intensities: (background: Double, outer: Double, inner: Double, distractor: Double)
  private let texture: WaveField
  private let bias: WaveField

  init(settings: SyntheticDatasetSettings, generator: inout RandomGenerator) {
    let view = settings.fieldOfView
    let smallest = view.min() ?? 0
    let center = view.map { $0 * generator.uniform(in: 0.42...0.58) }
    let radii = (0..<3).map { _ in smallest * generator.uniform(in: 0.22...0.33) }
    let outer = Organ(center: center, radii: radii, generator: &generator)
    inner = Organ(
      center: zip(center, radii).map { $0 + $1 * generator.uniform(in: -0.2...0.2) },
      radii: radii.map { $0 * generator.uniform(in: 0.42...0.55) }, generator: &generator)
    distractors = (0..<4).map { _ in
      // Somewhere on a shell outside the organ.
      let direction = generator.direction()
      let distance = generator.uniform(in: 1.5...1.9)
      return Organ(
        center: (0..<3).map { center[$0] + direction[$0] * radii[$0] * distance },
        radii: (0..<3).map { _ in smallest * generator.uniform(in: 0.05...0.09) }, generator: &generator)
    }
    self.outer = outer
    intensities = (
      generator.uniform(in: 0.20...0.28), generator.uniform(in: 0.50...0.58), generator.uniform(in: 0.78...0.88),
      generator.uniform(in: 0.50...0.70)
    )
    texture = WaveField(waves: 6, shortest: 5, amplitude: 0.03, generator: &generator)
    bias = WaveField(waves: 3, shortest: smallest * 1.2, amplitude: settings.biasField, generator: &generator)
  }

  /// Samples the body at voxel centres.
  ///
  /// - Parameters:
  ///   - shape: voxels along z, y, x.
  ///   - spacing: millimetres along z, y, x.
  func sample(
    shape: [Int], spacing: [Double], noise: Double, generator: inout RandomGenerator
  ) -> (image: VoxelGrid<Float>, labels: VoxelGrid<Int16>) {
    var image = VoxelGrid<Float>(shape: [1] + shape, repeating: 0)
    var labels = VoxelGrid<Int16>(shape: [1] + shape, repeating: 0)
    var index = 0
    for z in 0..<shape[0] {
      for y in 0..<shape[1] {
        for x in 0..<shape[2] {
          let point = [
            (Double(z) + 0.5) * spacing[0], (Double(y) + 0.5) * spacing[1], (Double(x) + 0.5) * spacing[2],
          ]
          let inOuter = outer.depth(at: point)
          let inInner = min(inner.depth(at: point), inOuter)
          labels.elements[index] = inInner > 0 ? 2 : inOuter > 0 ? 1 : 0
          var value = intensities.background
          for distractor in distractors {
            value += (intensities.distractor - value) * Self.cover(distractor.depth(at: point))
          }
          value += (intensities.outer - value) * Self.cover(inOuter)
          value += (intensities.inner - value) * Self.cover(inInner)
          value = (value + texture.value(at: point)) * exp(bias.value(at: point)) + noise * generator.normal()
          image.elements[index] = Float(value * 1000)
          index += 1
        }
      }
    }
    return (image, labels)
  }

  /// The share of a voxel that a surface `depth` millimetres away leaves inside: a soft edge of about a millimetre.
  private static func cover(_ depth: Double) -> Double { 1 / (1 + exp(-depth / 0.35)) }
}

/// An ellipsoid with a smoothly dented surface.
private struct Organ {
  private let center: [Double]
  private let radii: [Double]
  private let dents: [(direction: [Double], frequency: Double, phase: Double, amplitude: Double)]

  init(center: [Double], radii: [Double], generator: inout RandomGenerator) {
    self.center = center
    self.radii = radii
    dents = (0..<4).map { _ in
      (
        generator.direction(), generator.uniform(in: 1.5...3.5), generator.uniform(in: 0...(2 * .pi)),
        generator.uniform(in: 0.02...0.06)
      )
    }
  }

  /// About how many millimetres inside the surface a point lies; negative outside.
  func depth(at point: [Double]) -> Double {
    let scaled = (0..<3).map { (point[$0] - center[$0]) / radii[$0] }
    let distance = (scaled[0] * scaled[0] + scaled[1] * scaled[1] + scaled[2] * scaled[2]).squareRoot()
    var surface = 1.0
    for dent in dents {
      let along = (0..<3).reduce(0) { $0 + dent.direction[$1] * scaled[$1] } / max(distance, 1e-6)
      surface += dent.amplitude * cos(dent.frequency * along * 2 + dent.phase)
    }
    return (surface - distance) * (radii.min() ?? 0)
  }
}

/// A sum of a few cosine waves.
private struct WaveField {
  private let waves: [(direction: [Double], number: Double, phase: Double, amplitude: Double)]

  init(waves count: Int, shortest wavelength: Double, amplitude: Double, generator: inout RandomGenerator) {
    waves = (0..<count).map { _ in
      (
        generator.direction(), 2 * .pi / (wavelength * generator.uniform(in: 1...2)),
        generator.uniform(in: 0...(2 * .pi)), amplitude / Double(count).squareRoot()
      )
    }
  }

  func value(at point: [Double]) -> Double {
    waves.reduce(0) { sum, wave in
      let along = wave.direction[0] * point[0] + wave.direction[1] * point[1] + wave.direction[2] * point[2]
      return sum + wave.amplitude * cos(wave.number * along + wave.phase)
    }
  }
}

extension RandomGenerator {
  fileprivate mutating func uniform(in range: ClosedRange<Double>) -> Double {
    range.lowerBound + (range.upperBound - range.lowerBound) * uniformDouble()
  }

  /// A standard normal number (Box and Muller, 1958).
  fileprivate mutating func normal() -> Double {
    (-2 * log(1 - uniformDouble())).squareRoot() * cos(2 * .pi * uniformDouble())
  }

  /// A uniformly distributed unit vector.
  fileprivate mutating func direction() -> [Double] {
    let height = uniform(in: -1...1)
    let angle = uniform(in: 0...(2 * .pi))
    let radius = (1 - height * height).squareRoot()
    return [height, radius * cos(angle), radius * sin(angle)]
  }
}
