import Foundation
import ModelFormats
import TensorCore

/// What prediction takes from a checkpoint, ours (`.h5`) or nnU-Net's (`.pth`).
package struct FoldCheckpoint {
  package let file: String
  package let trainerName: String
  package let configuration: String
  /// `nil` where the checkpoint allows none.
  package let allowedMirroringAxes: [Int]?
  /// PyTorch's names and axis order; names may come twice.
  package let weights: [(name: String, value: Tensor)]

  package init(contentsOf file: URL) throws {
    self.file = file.path
    if file.pathExtension == "pth" {
      let checkpoint = try PyTorchCheckpoint(path: file.path)
      guard let trainerName = checkpoint.trainerName else {
        throw InferenceError.badCheckpoint(file: file.path, problem: "it has no trainer_name")
      }
      guard let configuration = checkpoint.initializationArguments["configuration"]?.string else {
        throw InferenceError.badCheckpoint(file: file.path, problem: "its init_args name no configuration")
      }
      self.trainerName = trainerName
      self.configuration = configuration
      allowedMirroringAxes = checkpoint.inferenceAllowedMirroringAxes
      // Names that share memory in PyTorch share it here.
      var tensors: [PyTorchTensor: Tensor] = [:]
      weights = try checkpoint.weights.map { weight in
        if let tensor = tensors[weight.tensor] { return (weight.name, tensor) }
        let elements = try checkpoint.file.elements(of: weight.tensor, name: weight.name)
        let tensor = Tensor(elements, shape: Shape(weight.shape))
        tensors[weight.tensor] = tensor
        return (weight.name, tensor)
      }
    } else {
      let checkpoint = try TrainingCheckpoint(contentsOf: file.path)
      trainerName = checkpoint.trainerName
      configuration = checkpoint.configuration
      allowedMirroringAxes = checkpoint.inferenceAllowedMirroringAxes
      weights = checkpoint.networkWeights
    }
  }
}
