import Datasets
import Evaluation
import Foundation
import Inference
import Preprocessing
import TensorCore
import Volumes

/// What the final validation found.
public struct ValidationResult: Sendable {
  public let summary: EvaluationSummary
  /// Cases that could not be predicted or compared.
  public let failures: [CaseFailure]
}

extension Trainer {
  /// Predicts the fold's validation cases as whole images with the current weights, writes them to `validation`, and
  /// compares them with the references there: `validation/summary.json`.
  ///
  /// nnU-Net: `nnUNetTrainer.perform_actual_validation`.
  /// - Parameter savingProbabilities: also writes `.npz` and `.pkl`, which ensembling needs.
  /// - Throws: what concerns all cases, ``TrainingError/validationInterrupted(folder:)`` between two tiles when a stop is
  ///   requested; a case that fails is in the result.
  public func validate(savingProbabilities: Bool) throws -> ValidationResult {
    let folder = outputFolder.appendingPathComponent("validation", isDirectory: true)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let stage = NetworkStage(
      slidingWindow: SlidingWindowPredictor(
        network: network, parameterSets: [parameters], patchSize: run.configuration.patchSize,
        allowedMirroringAxes: mirroringAxes, logger: log.logger),
      exporter: try SegmentationExport(
        plans: run.plans, configuration: run.configuration, datasetDescription: run.description))
    let readerWriter = try ReaderWriters.named(run.plans.imageReaderWriter)
    var failures: [CaseFailure] = []
    let cancellation = Cancellation()
    for identifier in split.val {
      guard !isStopRequested() else {
        throw TrainingError.validationInterrupted(folder: folder)
      }
      log.write("predicting \(identifier)")
      do {
        let item = try caseStore.load(identifier)
        log.write("\(identifier), shape \(item.data.shape)")
        let segmentation = try stage.segmentation(
          of: item,
          writingProbabilitiesTo: savingProbabilities ? folder.appendingPathComponent(identifier + ".npz") : nil,
          temporaryFolder: folder, cancellation: cancellation
        ) { tiles in
          if isStopRequested() { cancellation.cancel() }
          log.progress("\(identifier)  \(Int(tiles.fraction * 100)) %  tile \(tiles.tilesDone)/\(tiles.tileCount)")
        }
        if savingProbabilities {
          try PredictionFiles.write(
            properties: item.properties, to: folder.appendingPathComponent(identifier + ".pkl"))
        }
        try readerWriter.writeSegmentation(
          segmentation, to: folder.appendingPathComponent(identifier + run.description.fileEnding),
          properties: item.properties.image)
      } catch is CancellationError {
        throw TrainingError.validationInterrupted(folder: folder)
      } catch {
        log.write("FAILED \(identifier): \(error)")
        failures.append(CaseFailure(identifier: identifier, reason: "\(error)"))
      }
    }
    var evaluation = try FolderEvaluation(
      datasetDescription: run.description,
      referenceFolder: run.datasetFolder.appendingPathComponent("gt_segmentations", isDirectory: true),
      predictionFolder: folder, allowsMissingPredictions: true)
    evaluation.readerWriter = readerWriter
    let result = try evaluation.run(threads: nil) { _, _ in }
    try result.summary.write(to: folder.appendingPathComponent("summary.json"))
    log.write("Validation complete")
    log.write("Mean Validation Dice: \(result.summary.foregroundMean.dice)")
    return ValidationResult(summary: result.summary, failures: failures + result.failures)
  }
}
