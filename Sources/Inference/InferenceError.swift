import Foundation
import Preprocessing

/// What can go wrong in a prediction.
public enum InferenceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The network's output overflowed or is not a number.
  case nonFiniteLogits
  /// A voxel is infinite or not a number, in the file or, if not there, after preprocessing.
  case nonFiniteImage(channel: Int, index: [Int], isInFile: Bool)
  case nonFiniteWeights(file: String, name: String)
  case noFolds(folder: String, checkpoint: String)
  case badMirroringAxes(file: String, axes: [Int], dimensions: Int)
  case badCheckpoint(file: String, problem: String)
  /// A case has other channels than the data set.
  case wrongChannels(identifier: String, expected: [String], found: [Int])
  case wrongChannelCount(expected: Int, found: Int)
  case previousStageNeeded(configuration: String, previousStage: String)
  case previousStageMissing(file: String)
  case noCases(folder: String, ending: String)
  case badPart(part: Int, count: Int)
  case cannotWrite(path: String, problem: String)
  /// Refused before it starts.
  case notEnoughMemory(needed: Int, limit: Int, parts: String)

  public var description: String {
    switch self {
    case .nonFiniteLogits:
      "the network's output is infinite or not a number; check the image for infinite or missing values"
    case .nonFiniteImage(let channel, let index, let isInFile):
      "channel \(channel) of the image \(isInFile ? "has voxels that are" : "is, after preprocessing,") infinite or not a "
        + "number, first at \(index) (z, y, x); repair the image"
    case .nonFiniteWeights(let file, let name):
      "\(file): the weight \(name) is infinite or not a number; use an earlier checkpoint"
    case .noFolds(let folder, let checkpoint):
      "\(folder): no fold has \(checkpoint).h5 or \(checkpoint).pth; name folds with -f and the checkpoint with -chk, "
        + "or let training finish"
    case .badMirroringAxes(let file, let axes, let dimensions):
      "\(file): inference_allowed_mirroring_axes is \(axes), but the network has \(dimensions) axes"
    case .badCheckpoint(let file, let problem): "\(file): \(problem); give a checkpoint of nnU-Net or of this program"
    case .wrongChannels(let identifier, let expected, let found):
      "\(identifier): expected one file for each channel (\(expected.joined(separator: ", "))), named "
        + expected.indices.map { String(format: "_%04d", $0) }.joined(separator: ", ") + ", found "
        + (found.isEmpty ? "none" : found.map { String(format: "_%04d", $0) }.joined(separator: ", "))
    case .wrongChannelCount(let expected, let found): "expected an image of \(expected) channels, found \(found)"
    case .previousStageNeeded(let configuration, let previousStage):
      "configuration '\(configuration)' is the second part of a cascade and needs the segmentations of "
        + "'\(previousStage)'; predict those first and give their folder with -prev_stage_predictions"
    case .previousStageMissing(let file):
      "\(file): there is nothing from the previous stage; predict that first, or check -prev_stage_predictions"
    case .noCases(let folder, let ending):
      "\(folder): no images named CASE_0000\(ending); check the folder, and file_ending in the model's dataset.json"
    case .badPart(let part, let count):
      "part \(part) of \(count) does not exist; parts are numbered from 0 to one less than their number"
    case .notEnoughMemory(let needed, let limit, let parts):
      "needs about \(AvailableMemory.text(needed)) of memory (\(parts)), but \(AvailableMemory.text(limit)) may be "
        + "used; free memory, raise --memory_limit if there is more, or use another machine"
    case .cannotWrite(let path, let problem): "\(path): \(problem); check permissions and free space"
    }
  }
}
