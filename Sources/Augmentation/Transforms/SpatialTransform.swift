import CKernels
import TensorCore
import Volumes

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Rotates and scales about the centre, and cuts the patch out of the middle.
///
/// Images are sampled linearly with zeros outside, labels by the highest linear score with -1 outside. A sample that
/// is neither rotated nor scaled is cropped without interpolation.
/// batchgeneratorsv2: `transforms/spatial/spatial.py` as `nnUNetTrainer.get_training_transforms` sets it up.
public struct SpatialTransform: SampleTransform, Hashable {
  /// How labels are sampled at positions between voxels.
  public enum LabelSampling: Hashable, Sendable {
    /// The label whose indicator has the highest linearly interpolated score.
    case highestScore
    /// The label of the nearest voxel.
    case nearest
  }

  /// Linear part of the map from output to input positions, about the centres of both grids, in voxels.
  public typealias Parameters = AffineMatrix?

  /// The size of the result, z, y, x.
  public var patchSize: [Int]
  /// Whether every slice is transformed on its own, all in the same way; slices stay as they are in number.
  public var isPlanar: Bool
  public var rotationProbability: Double
  /// Radians, about every axis.
  public var rotation: ClosedRange<Double>
  public var scalingProbability: Double
  /// One factor for all axes; larger than 1 makes objects smaller.
  public var scaling: ClosedRange<Double>
  public var labelSampling: LabelSampling
  /// The label outside of the sample.
  public var outsideLabel: Int16

  public init(
    patchSize: [Int], isPlanar: Bool, rotation: ClosedRange<Double>, rotationProbability: Double = 0.2,
    scaling: ClosedRange<Double> = 0.7...1.4, scalingProbability: Double = 0.2,
    labelSampling: LabelSampling = .highestScore, outsideLabel: Int16 = -1
  ) {
    check(patchSize.count == 3, "SpatialTransform: patch size \(patchSize) must be z, y, x")
    self.patchSize = patchSize
    self.isPlanar = isPlanar
    self.rotation = rotation
    self.rotationProbability = rotationProbability
    self.scaling = scaling
    self.scalingProbability = scalingProbability
    self.labelSampling = labelSampling
    self.outsideLabel = outsideLabel
  }

  public func drawParameters(for sample: TrainingSample, using generator: inout RandomGenerator) -> Parameters {
    let rotates = generator.draw(probability: rotationProbability)
    let scales = generator.draw(probability: scalingProbability)
    guard rotates || scales else { return nil }
    var angles = [0.0, 0, 0]
    if rotates {
      for axis in isPlanar ? 2..<3 : 0..<3 { angles[axis] = generator.uniform(in: rotation) }
    }
    let scale = scales ? generator.uniform(in: scaling) : 1
    return isPlanar
      ? AffineMatrix(rotationInPlane: angles[2], scales: [scale, scale])
      : AffineMatrix(rotations: angles, scales: [scale, scale, scale])
  }

  public func apply(_ parameters: Parameters, to sample: inout TrainingSample) {
    guard let matrix = parameters else {
      sample.image = sample.image.cropped(to: centralBox(of: sample.image.spatialShape), padding: 0)
      sample.segmentation = sample.segmentation.cropped(
        to: centralBox(of: sample.segmentation.spatialShape), padding: outsideLabel)
      return
    }
    sample.image = transformed(sample.image, by: matrix) { kernels, row, count, source, size, start, step in
      kernels.sample_linear(row, count, source, size, start, step)
    }
    let outside = outsideLabel
    let nearest = labelSampling == .nearest
    sample.segmentation = transformed(sample.segmentation, by: matrix) {
      kernels, row, count, source, size, start, step in
      if nearest {
        kernels.sample_labels_nearest(row, count, source, size, start, step, outside)
      } else {
        kernels.sample_labels(row, count, source, size, start, step, outside)
      }
    }
  }

  /// Where an untransformed patch lies in a sample of the given size.
  func centralBox(of size: [Int]) -> BoundingBox {
    let patch = resultSize(of: size)
    let lower = zip(size, patch).map { $0 / 2 - $1 / 2 }
    return BoundingBox(lower: lower, upper: zip(lower, patch).map { $0 + $1 })
  }

  private func resultSize(of size: [Int]) -> [Int] {
    isPlanar ? [size[0], patchSize[1], patchSize[2]] : patchSize
  }

  /// Samples a row of output voxels: kernels, row, count, source, size, position of the first voxel, step.
  private typealias RowSampler<Element> = (
    ck_augmentation_kernels, UnsafeMutablePointer<Element>, Int, UnsafePointer<Element>, UnsafePointer<Int>,
    UnsafePointer<Float>, UnsafePointer<Float>
  ) -> Void

  private func transformed<Element>(
    _ grid: VoxelGrid<Element>, by matrix: AffineMatrix, sampler: RowSampler<Element>
  ) -> VoxelGrid<Element> {
    let kernels = kernels
    let size = grid.spatialShape
    let result = resultSize(of: size)
    let sliceVoxels = size[1] * size[2]
    // A planar transform treats every slice as a volume of its own.
    let sourceSize = isPlanar ? [1, size[1], size[2]] : size
    let step = matrix.column(2).map(Float.init)
    var start: [Float] = [0, 0, 0]
    return VoxelGrid(shape: [grid.channelCount] + result) { destination in
      guard let target = destination.baseAddress else { return }
      grid.elements.withUnsafeBufferPointer { elements in
        guard let source = elements.baseAddress else { return }
        for channel in 0..<grid.channelCount {
          for z in 0..<result[0] {
            for y in 0..<result[1] {
              let position = matrix.apply(
                z: isPlanar ? 0 : Double(z) - Double(result[0] - 1) / 2, y: Double(y) - Double(result[1] - 1) / 2,
                x: -Double(result[2] - 1) / 2)
              start[0] = Float(position.0 + Double(sourceSize[0] - 1) / 2)
              start[1] = Float(position.1 + Double(sourceSize[1] - 1) / 2)
              start[2] = Float(position.2 + Double(sourceSize[2] - 1) / 2)
              let row = ((channel * result[0] + z) * result[1] + y) * result[2]
              let volume = (channel * size[0] + (isPlanar ? z : 0)) * sliceVoxels
              sampler(kernels, target + row, result[2], source + volume, sourceSize, start, step)
            }
          }
        }
      }
    }
  }
}

/// A 3 by 3 matrix on z, y, x positions.
public struct AffineMatrix: Hashable, Sendable {
  /// Row-major, 9 numbers.
  public var elements: [Double]

  /// `Rz Ry Rx S`: rotations in radians about the axes 0, 1 and 2 after scaling along each axis.
  ///
  /// batchgeneratorsv2: `create_affine_matrix_3d`.
  public init(rotations: [Double], scales: [Double]) {
    check(
      rotations.count == 3 && scales.count == 3,
      "AffineMatrix: needs three angles and three scales, got \(rotations) and \(scales)")
    let (sx, cx) = (sin(rotations[0]), cos(rotations[0]))
    let (sy, cy) = (sin(rotations[1]), cos(rotations[1]))
    let (sz, cz) = (sin(rotations[2]), cos(rotations[2]))
    elements = [
      cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx,
      sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx,
      -sy, cy * sx, cy * cx,
    ]
    for index in 0..<9 { elements[index] *= scales[index % 3] }
  }

  /// A rotation in the plane of the last two axes after scaling along these axes.
  ///
  /// batchgeneratorsv2: `create_affine_matrix_2d`.
  public init(rotationInPlane angle: Double, scales: [Double]) {
    check(scales.count == 2, "AffineMatrix: a plane needs two scales, got \(scales)")
    let (s, c) = (sin(angle), cos(angle))
    elements = [1, 0, 0, 0, c * scales[0], -s * scales[1], 0, s * scales[0], c * scales[1]]
  }

  /// One column, the image of a unit step along `axis`.
  func column(_ axis: Int) -> [Double] {
    [elements[axis], elements[3 + axis], elements[6 + axis]]
  }

  func apply(z: Double, y: Double, x: Double) -> (Double, Double, Double) {
    (
      elements[0] * z + elements[1] * y + elements[2] * x, elements[3] * z + elements[4] * y + elements[5] * x,
      elements[6] * z + elements[7] * y + elements[8] * x
    )
  }
}
