import ArgumentParser
import Datasets
import Planning

struct ExtractFingerprintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_extract_fingerprint",
    abstract: "Collects shapes, spacings and intensities of data sets.", aliases: ["extract_fingerprint"])

  @OptionGroup var data: DatasetArguments
  @OptionGroup var fingerprint: FingerprintArguments

  @OptionGroup var concurrency: ConcurrencyArgument

  func run() throws {
    let folders = DatasetFolders()
    var queue = try data.queue(folders)
    fingerprint.extract(
      &queue, folders: folders, threads: concurrency.threads, showsProgress: !data.disablesProgressBar,
      isVerbose: data.isVerbose)
    try queue.finish()
  }
}

extension FingerprintArguments {
  /// Checks the data sets if asked to, and extracts their fingerprints.
  func extract(
    _ queue: inout DatasetQueue, folders: DatasetFolders, threads: Int?, showsProgress: Bool, isVerbose: Bool
  ) {
    var extractor = DatasetFingerprintExtractor()
    extractor.pool = .running(threads)
    queue.forEach { name in
      print("Fingerprint extraction of \(name)")
      if verifiesIntegrity {
        let bar = ProgressBar(title: "checking", isShown: showsProgress)
        let integrity = try DatasetIntegrity(rawFolder: folders.rawFolder(name), pool: extractor.pool) {
          bar.update($0, of: $1)
        }
        bar.finish()
        print(integrity.report)
        if integrity.isFatal { throw ExitCode(1) }
      }
      let bar = ProgressBar(title: "fingerprint", isShown: showsProgress)
      let result = try extractor.run(datasetName: name, folders: folders, overwrite: replacesExisting) {
        bar.update($0, of: $1)
      }
      bar.finish()
      if isVerbose { print(result.json.text()) }
    }
  }
}
