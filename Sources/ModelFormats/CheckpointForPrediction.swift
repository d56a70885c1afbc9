import HDF5Files
import TensorCore

/// The part of a checkpoint that prediction takes: opening reads the description, weights come when they are asked for,
/// and the optimizer's state never.
package struct CheckpointForPrediction: Sendable {
  package let path: String
  package let trainerName: String
  package let configuration: String
  package let inferenceAllowedMirroringAxes: [Int]?
  private let file: HDF5File

  /// - Throws: `HDF5Error` for a damaged file, `CheckpointError` for one of another program or a later version.
  package init(contentsOf path: String) throws {
    self.path = path
    file = try HDF5File.open(path)
    let root = file.root
    try TrainingCheckpoint.checkFormat(root, path)
    trainerName = try root.attribute("trainer_name", as: String.self)
    configuration = try root.attribute("configuration", as: String.self)
    inferenceAllowedMirroringAxes =
      root.hasAttribute("inference_allowed_mirroring_axes")
      ? try root.attributeArray("inference_allowed_mirroring_axes", as: Int.self).elements : nil
  }

  /// - Parameter aliases: names that need not be read where the name they stand for is there.
  package func networkWeights(aliases: [String: String]) throws -> [(name: String, value: Tensor)] {
    try TrainingCheckpoint.readTensors(file.root.group("network_weights"), aliases: aliases)
  }
}
