import Foundation

/// Why a training can't start or go on.
public enum TrainingError: Error, CustomStringConvertible {
  case unknownTrainer(String)
  case noPreprocessedCases(folder: URL, missing: [String])
  case notFinished(folder: URL)
  case incompatibleCheckpoint(file: URL, problem: String)
  case lossNotFinite(epoch: Int, iteration: Int, loss: Float, cases: [String])
  case batchFailed(case: String, reason: String)
  case outputNotWritable(file: URL, reason: String)
  case cascadeStage(configuration: String, previousStage: String)
  case validationInterrupted(folder: URL)
  case emptyFold(fold: String, part: String)

  public var description: String {
    switch self {
    case .unknownTrainer(let name):
      "there is no trainer '\(name)'; the trainers are \(TrainerSettings.names.joined(separator: ", "))"
    case .noPreprocessedCases(let folder, let missing):
      "\(folder.path): \(missing.count) preprocessed case(s) are missing or incomplete "
        + "(\(missing.prefix(5).joined(separator: ", "))\(missing.count > 5 ? ", ..." : "")); "
        + "run nnUNetv2_plan_and_preprocess or nnUNetv2_preprocess for this configuration"
    case .notFinished(let folder):
      "\(folder.path): there is no checkpoint_final.h5, so the training is not finished; "
        + "continue it with --c, or validate the best checkpoint with --val_best"
    case .incompatibleCheckpoint(let file, let problem):
      "\(file.path): the checkpoint does not fit this network: \(problem)"
    case .lossNotFinite(let epoch, let iteration, let loss, let cases):
      "the loss is \(loss) in epoch \(epoch), iteration \(iteration) (cases \(cases.joined(separator: ", "))); "
        + "training stopped before the weights were changed by it. Check these cases for odd intensities or labels"
    case .batchFailed(let name, let reason):
      "case \(name): its patch could not be loaded: \(reason)"
    case .outputNotWritable(let file, let reason):
      "\(file.path): \(reason); check the folder's permissions and the free space"
    case .cascadeStage(let configuration, let previousStage):
      "configuration \(configuration) takes the predictions of \(previousStage) as input, and this version can't train on "
        + "them; train \(previousStage) or 3d_fullres. Cascades trained in Python can be predicted with"
    case .validationInterrupted(let folder):
      "the validation was stopped on request; what it predicted is in \(folder.path). Repeat it with --val"
    case .emptyFold(let fold, let part):
      "fold \(fold) has no \(part) cases; check splits_final.json"
    }
  }
}
