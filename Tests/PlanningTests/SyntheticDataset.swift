import Datasets
import Foundation
import TensorCore
import Volumes

/// Small raw data sets of one channel with labels 0, 1 and 2.
enum SyntheticDataset {
  static func describe(_ raw: URL, cases: Int) throws {
    let description = try DatasetDescription(json: [
      "channel_names": ["0": "MRI"], "labels": ["background": 0, "a": 1, "b": 2], "numTraining": .integer(cases),
      "file_ending": ".nii.gz",
    ])
    try description.write(to: raw.appendingPathComponent("dataset.json"))
  }

  static func writeCase(
    _ identifier: String, to raw: URL, seed: Int, labelShape: [Int] = [1, 5, 6, 7],
    imageGeometry: SimpleITKGeometry = geometry(), labelGeometry: SimpleITKGeometry = geometry(),
    labels: (Int) -> Int16 = { Int16($0 % 3) }, change: (inout VoxelGrid<Float>) -> Void = { _ in }
  ) throws {
    var generator = RandomGenerator(seed: UInt64(seed))
    var image = VoxelGrid<Float>(shape: [1, 5, 6, 7], elements: (0..<210).map { _ in generator.uniform() + 0.5 })
    change(&image)
    let segmentation = VoxelGrid<Int16>(shape: labelShape, elements: (0..<labelShape.reduce(1, *)).map(labels))
    let reader = SimpleITKReaderWriter()
    try reader.writeImage(
      image, to: raw.appendingPathComponent("imagesTr/\(identifier)_0000.nii.gz"),
      properties: ImageProperties(spacing: imageGeometry.spacing.reversed(), sitkStuff: imageGeometry))
    try reader.writeSegmentation(
      segmentation, to: raw.appendingPathComponent("labelsTr/\(identifier).nii.gz"),
      properties: ImageProperties(spacing: labelGeometry.spacing.reversed(), sitkStuff: labelGeometry))
  }

  static func geometry(
    spacing: [Double] = [1, 1, 2], origin: [Double] = [0, 0, 0], direction: [Double] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
  ) -> SimpleITKGeometry {
    SimpleITKGeometry(spacing: spacing, origin: origin, direction: direction)
  }
}
