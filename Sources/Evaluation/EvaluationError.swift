import Datasets

/// What can go wrong when folders of segmentations are compared.
public enum EvaluationError: Error, Hashable, Sendable, CustomStringConvertible {
  case noFiles(folder: String, ending: String)
  /// Reference files without a prediction of the same name.
  case predictionsMissing(folder: String, files: [String])
  case referenceMissing(prediction: String, reference: String)
  case shapesDiffer(reference: String, referenceShape: [Int], prediction: String, predictionShape: [Int])
  case noLabels
  case allCasesFailed([CaseFailure])
  case someCasesFailed([CaseFailure])
  case unreadableSummary(file: String, problem: String)
  case unreadableSteps(file: String, problem: String)
  case membersDiffer(folder: String, missing: [String])
  case arraysDiffer(file: String, shape: [Int], otherFile: String, otherShape: [Int])
  case wrongArray(file: String, expected: String, found: String)
  case fileMissing(file: String, advice: String)
  case cannotChange(path: String, problem: String)
  case foldMissing(folder: String)
  case noProbabilities(folder: String)
  case caseInTwoFolds(file: String, other: String)
  /// A folder that results would be mixed into.
  case folderNotEmpty(String)
  case noModels(dataset: String)

  public var description: String {
    switch self {
    case .noFiles(let folder, let ending):
      "\(folder): no file ends with '\(ending)'; check the folder and file_ending in dataset.json"
    case .predictionsMissing(let folder, let files):
      "\(folder): \(files.count) files of the reference folder have no prediction here: "
        + files.prefix(10).joined(separator: ", ") + (files.count > 10 ? ", ..." : "")
        + ". Predict them, or evaluate only what is there with --chill"
    case .referenceMissing(let prediction, let reference):
      "\(prediction): its reference \(reference) does not exist; remove the prediction or add the reference"
    case .shapesDiffer(let reference, let referenceShape, let prediction, let predictionShape):
      "\(prediction) has shape \(predictionShape), but its reference \(reference) has \(referenceShape) "
        + "(channels, z, y, x); both must lie on the same grid"
    case .noLabels: "there is no label or region to evaluate; name at least one"
    case .allCasesFailed(let failures):
      "no case could be evaluated:\n" + failures.map { "  " + $0.description }.joined(separator: "\n")
    case .someCasesFailed(let failures):
      "\(failures.count) cases failed, but all are needed:\n"
        + failures.map { "  " + $0.description }.joined(separator: "\n")
    case .unreadableSummary(let file, let problem): "\(file): not a summary as nnU-Net writes it: \(problem)"
    case .unreadableSteps(let file, let problem):
      "\(file): not a list of postprocessing steps: \(problem); let nnUNetv2_determine_postprocessing write it"
    case .membersDiffer(let folder, let missing):
      "\(folder): predictions that other folders have are missing: "
        + missing.prefix(10).joined(separator: ", ") + (missing.count > 10 ? ", ..." : "")
        + ". All folders must hold the same cases, predicted with --save_probabilities"
    case .arraysDiffer(let file, let shape, let otherFile, let otherShape):
      "\(file) has shape \(shape), but \(otherFile) has \(otherShape); ensemble only predictions of the same images"
    case .wrongArray(let file, let expected, let found): "\(file): expected \(expected), found \(found)"
    case .fileMissing(let file, let advice): "\(file): there is no such file. \(advice)"
    case .cannotChange(let path, let problem): "\(path): \(problem); check permissions and free space"
    case .foldMissing(let folder):
      "\(folder): this fold has not been validated; train it to its end, or leave it out (-f)"
    case .noProbabilities(let folder):
      "\(folder): there are no probabilities (.npz); validate again with nnUNetv2_train ... --val --npz"
    case .caseInTwoFolds(let file, let other):
      "\(file) and \(other) are predictions of the same case; every case belongs into one fold's validation"
    case .folderNotEmpty(let folder): "\(folder): the output folder is not empty; name another, or empty it yourself"
    case .noModels(let dataset):
      "\(dataset): none of the configurations is in its plans; name others with -c, or other plans with -p"
    }
  }
}
