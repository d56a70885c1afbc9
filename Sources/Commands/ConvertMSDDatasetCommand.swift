import ArgumentParser
import DatasetConversion
import Datasets
import Foundation
import TensorCore

struct ConvertMSDDatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_convert_MSD_dataset",
    abstract: "Makes a raw data set from a task of the Medical Segmentation Decathlon.",
    aliases: ["convert_MSD_dataset"])

  @Option(
    name: .customShort("i"),
    help: "The downloaded and extracted folder, such as Task05_Prostate; not a data set of nnU-Net version 1.")
  var input: String

  @Option(
    name: .customLong("overwrite_id", withSingleDash: true),
    help: "The number of the new data set, where that of the task is taken. Default: the task's.")
  var number: Int?

  @OptionGroup var concurrency: ConcurrencyArgument

  func validate() throws {
    if let number, number < 0 { throw ValidationError("-overwrite_id \(number): it can't be negative.") }
  }

  func run() throws {
    let conversion = try MSDConversion(
      sourceFolder: URL(fileURLWithPath: input), number: number, folders: DatasetFolders())
    for remark in conversion.remarks { print(remark) }
    try ConversionReport.run(conversion.folder) { progress in
      try conversion.run(pool: .running(concurrency.threads), progress: progress)
    }
  }
}

/// What both conversions tell about their work.
enum ConversionReport {
  /// - Throws: `ExitCode(1)` after listing the files that failed.
  static func run(
    _ folder: URL, _ convert: (@escaping @Sendable (Int, Int) -> Void) throws -> [CaseFailure]
  ) throws {
    let bar = ProgressBar(title: "converting")
    let failures = try convert { bar.update($0, of: $1) }
    bar.finish()
    if failures.isEmpty {
      print("Made \(folder.path)")
      return
    }
    for failure in failures { printError("FAILED \(failure)") }
    printError(
      "\(failures.count) file(s) failed; the others are in \(folder.path), still without dataset.json. Correct or remove "
        + "the files and run again: only what is missing is done.")
    throw ExitCode(1)
  }
}

extension WorkerPool {
  /// A pool of so many threads; by default the shared pool.
  static func running(_ threads: Int?) -> WorkerPool {
    threads.map { WorkerPool(threads: $0) } ?? .shared
  }
}
