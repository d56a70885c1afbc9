import Foundation
import ModelFormats
import TensorCore

/// What prediction takes from a checkpoint, ours (`.h5`) or nnU-Net's (`.pth`). Opening reads the description;
/// ``weights(aliases:)`` reads the weights.
package struct FoldCheckpoint {
  private enum Content {
    case own(CheckpointForPrediction)
    case pyTorch(PyTorchCheckpoint)
  }

  package let file: String
  package let trainerName: String
  package let configuration: String
  /// `nil` where the checkpoint allows none.
  package let allowedMirroringAxes: [Int]?
  private let content: Content

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
      content = .pyTorch(checkpoint)
    } else {
      let checkpoint = try CheckpointForPrediction(contentsOf: file.path)
      trainerName = checkpoint.trainerName
      configuration = checkpoint.configuration
      allowedMirroringAxes = checkpoint.inferenceAllowedMirroringAxes
      content = .own(checkpoint)
    }
  }

  /// PyTorch's names and axis order; names may come twice.
  /// - Parameter aliases: names that need not be read where the name they stand for is there.
  package func weights(aliases: [String: String]) throws -> [(name: String, value: Tensor)] {
    switch content {
    case .own(let checkpoint): return try checkpoint.networkWeights(aliases: aliases)
    case .pyTorch(let checkpoint):
      // Names that share memory in PyTorch share it here.
      var tensors: [PyTorchTensor: Tensor] = [:]
      return try checkpoint.weights.map { weight in
        if let tensor = tensors[weight.tensor] { return (weight.name, tensor) }
        let elements = try checkpoint.file.elements(of: weight.tensor, name: weight.name)
        let tensor = Tensor(elements, shape: Shape(weight.shape))
        tensors[weight.tensor] = tensor
        return (weight.name, tensor)
      }
    }
  }
}
