import ArgumentParser
import Datasets
import Evaluation
import Foundation
import Volumes

struct DeterminePostprocessingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_determine_postprocessing",
    abstract: "Finds out whether keeping only the largest components improves predictions.",
    discussion: "Writes postprocessing.pkl and postprocessing.json into the input folder.",
    aliases: ["determine_postprocessing"])

  @Option(name: .customShort("i"), help: "Input folder: predictions of the whole training set.")
  var input: String

  @Option(name: .customLong("ref", withSingleDash: true), help: "Folder with ground truth segmentations.")
  var reference: String

  @OptionGroup var description: PredictionFolderArguments

  @OptionGroup var concurrency: ConcurrencyArgument

  @Flag(name: .customLong("remove_postprocessed"), help: "Don't keep the postprocessed segmentations.")
  var removesFiles = false

  func run() throws {
    let folder = URL(fileURLWithPath: input)
    let (dataset, readerWriter) = try description.read(besides: folder)
    let search = try PostprocessingSearch(
      predictionFolder: folder, referenceFolder: URL(fileURLWithPath: reference), description: dataset,
      readerWriter: readerWriter)
    let result = try search.runAndWrite(
      threads: concurrency.threads, keepsFiles: !removesFiles,
      trialDone: { trial in
        let what =
          switch trial.step {
          case .keepLargestForeground: "all foreground labels together"
          case .keepLargest(let target): "\(target)"
          }
        print(
          "largest component of \(what): Dice \(trial.diceBefore) -> \(trial.diceAfter), "
            + (trial.isAccepted ? "accepted" : "rejected"))
      })
    print(
      "Mean foreground Dice: \(result.before.foregroundMean.dice) before, \(result.after.foregroundMean.dice) after")
    print("Written: \(folder.appendingPathComponent("postprocessing.pkl").path)")
  }
}

/// Where `plans.json` and `dataset.json` of a folder of predictions are.
struct PredictionFolderArguments: ParsableArguments {
  @Option(
    name: .customLong("plans_json", withSingleDash: true),
    help: "The plans file. Default: plans.json in the input folder.")
  var plans: String?

  @Option(
    name: .customLong("dataset_json", withSingleDash: true),
    help: "The dataset.json file. Default: dataset.json in the input folder.")
  var dataset: String?

  func read(besides folder: URL) throws -> (DatasetDescription, any ImageReaderWriter) {
    func file(_ given: String?, _ name: String) -> URL {
      given.map { URL(fileURLWithPath: $0) } ?? folder.appendingPathComponent(name)
    }
    let plans = try Plans(contentsOf: file(plans, "plans.json"))
    let description = try DatasetDescription(contentsOf: file(dataset, "dataset.json"))
    return (description, try ReaderWriters.named(plans.imageReaderWriter))
  }
}
