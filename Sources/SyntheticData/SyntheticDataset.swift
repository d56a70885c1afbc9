import Datasets
import Foundation
import TensorCore
import Volumes

/// Writes synthetic cases as a raw data set of nnU-Net.
public enum SyntheticDataset {
  /// Makes `<rawFolder>/<datasetName>` with `imagesTr`, `labelsTr`, `imagesTs`, `labelsTs` and `dataset.json`.
  ///
  /// The same settings give the same files. Existing files of the same names are replaced.
  /// - Returns: the data set's folder.
  @discardableResult
  public static func write(_ settings: SyntheticDatasetSettings, inRawFolder rawFolder: URL) throws -> URL {
    let folder = rawFolder.appendingPathComponent(settings.datasetName, isDirectory: true)
    for part in ["imagesTr", "labelsTr", "imagesTs", "labelsTs"] {
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(part), withIntermediateDirectories: true)
    }
    let writer = SimpleITKReaderWriter()
    let streams = RandomGenerator(seed: settings.seed)
    for number in 0..<settings.trainingCases + settings.testCases {
      var generator = RandomGenerator(seed: streams.word(at: UInt64(number)))
      let spacing = settings.spacings[number % settings.spacings.count]
      let shape = zip(settings.fieldOfView, spacing).map { max(1, Int(($0 / $1).rounded())) }
      let phantom = Phantom(settings: settings, generator: &generator)
      let (image, labels) = phantom.sample(
        shape: shape, spacing: spacing, noise: settings.noise, generator: &generator)
      let properties = ImageProperties(
        spacing: spacing,
        sitkStuff: SimpleITKGeometry(
          spacing: spacing.reversed(), origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1]))
      let isTraining = number < settings.trainingCases
      let name = "case_\(String(number + 1000).dropFirst())"
      try writer.writeImage(
        image, to: folder.appendingPathComponent("images\(isTraining ? "Tr" : "Ts")/\(name)_0000.nii.gz"),
        properties: properties)
      try writer.writeSegmentation(
        labels, to: folder.appendingPathComponent("labels\(isTraining ? "Tr" : "Ts")/\(name).nii.gz"),
        properties: properties)
    }
    let description: JSONValue = [
      "channel_names": ["0": "synthetic MR"],
      "labels": ["background": 0, "outer organ": 1, "inner organ": 2],
      "numTraining": .integer(settings.trainingCases),
      "file_ending": ".nii.gz",
    ]
    try description.write(to: folder.appendingPathComponent("dataset.json"))
    return folder
  }
}
