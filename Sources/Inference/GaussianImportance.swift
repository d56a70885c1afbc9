import Foundation
import TensorCore
import Volumes

/// How much each voxel of a tile counts where tiles overlap: most in the centre, where the network sees all around.
///
/// nnU-Net: `compute_gaussian` of `nnunetv2/inference/sliding_window_prediction.py`.
public struct GaussianImportance: Sendable {
  /// The tile's sizes, one per axis.
  public let tileShape: [Int]
  /// Row-major, with a maximum of 10; nowhere 0.
  public let weights: [Float]

  /// - Parameters:
  ///   - tileShape: two or three sizes; the standard deviation is an eighth of each.
  ///   - precision: ``LogitsPrecision/reference`` rounds every weight to float16 as nnU-Net does.
  public init(tileShape: [Int], precision: LogitsPrecision) {
    check(tileShape.allSatisfy { $0 > 0 }, "GaussianImportance: tile \(tileShape)")
    self.tileShape = tileShape
    let profiles = tileShape.map(Self.profile)
    let count = tileShape.reduce(1, *)
    // The filter of an impulse is a product of its one-dimensional parts, multiplied in the order of the axes.
    var values: [Double] = [1]
    values.reserveCapacity(count)
    for profile in profiles {
      values = values.flatMap { value in profile.map { value * $0 } }
    }
    let scale = (values.max() ?? 1) / 10
    var weights = values.map { value in
      let weight = value / scale
      return precision == .reference ? roundedToHalf(weight) : Float(weight)
    }
    // A voxel without weight would divide 0 by 0.
    if let least = weights.filter({ $0 > 0 }).min() {
      for index in weights.indices where weights[index] == 0 { weights[index] = least }
    }
    self.weights = weights
  }

  /// Weight 1 everywhere.
  public init(uniform tileShape: [Int]) {
    self.tileShape = tileShape
    weights = [Float](repeating: 1, count: tileShape.reduce(1, *))
  }

  /// `scipy.ndimage.gaussian_filter1d` of an impulse in the middle: truncated at 4 standard deviations, zero outside.
  private static func profile(_ size: Int) -> [Double] {
    let deviation = Double(size) / 8
    let radius = Int(4 * deviation + 0.5)
    let kernel = (-radius...radius).map { exp(-0.5 / (deviation * deviation) * Double($0 * $0)) }
    let sum = kernel.reduce(0, +)
    let centre = size / 2
    return (0..<size).map { index in
      let distance = centre - index
      return abs(distance) <= radius ? kernel[distance + radius] / sum : 0
    }
  }
}
