import ArgumentParser
import Evaluation
import Foundation

struct ApplyPostprocessingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_apply_postprocessing",
    abstract: "Applies postprocessing steps that nnUNetv2_determine_postprocessing chose.",
    aliases: ["apply_postprocessing"])

  @Option(name: .customShort("i"), help: "Input folder.")
  var input: String

  @Option(name: .customShort("o"), help: "Output folder; made if it does not exist.")
  var output: String

  @Option(
    name: .customLong("pp_pkl_file", withSingleDash: true),
    help: "The steps: postprocessing.pkl, ours or nnU-Net's, or postprocessing.json.")
  var steps: String

  @OptionGroup var concurrency: ConcurrencyArgument

  @OptionGroup var description: PredictionFolderArguments

  func run() throws {
    let folder = URL(fileURLWithPath: input)
    let (dataset, readerWriter) = try description.read(besides: folder)
    let postprocessing = try Postprocessing(contentsOf: URL(fileURLWithPath: steps))
    let bar = ProgressBar(title: "postprocessing")
    let failures = try postprocessing.apply(
      to: folder, writingTo: URL(fileURLWithPath: output), fileEnding: dataset.fileEnding, readerWriter: readerWriter,
      threads: concurrency.threads
    ) { done, all in bar.update(done, of: all) }
    bar.finish()
    print("Written: \(output)")
    try failures.reportAndThrow()
  }
}
