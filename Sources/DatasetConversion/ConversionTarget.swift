import Datasets
import Foundation
import Synchronization
import TensorCore

/// A raw data set that is being made from one of another layout: cases first, `dataset.json` last, so that a folder
/// without one is an unfinished conversion, which the next run carries on.
struct ConversionTarget: Sendable {
  let datasetName: String
  let folder: URL

  /// - Throws: `DatasetError` if another data set has the number, or there is a finished one of this name.
  init(datasetName: String, folders: DatasetFolders, advice: String) throws {
    guard let number = DatasetFolders.datasetNumber(of: datasetName) else {
      throw DatasetError(
        .invalidValue, file: nil, problem: "'\(datasetName)' is no name of a data set",
        advice: "Names are Dataset, three digits, an underscore and a word, such as Dataset004_Hippocampus")
    }
    self.datasetName = datasetName
    folder = try folders.rawFolder(datasetName)
    let taken = folders.datasetNames(number: number)
    let isUnfinished =
      taken == [datasetName] && FileManager.default.fileExists(atPath: folder.path)
      && !FileManager.default.fileExists(atPath: folder.appendingPathComponent("dataset.json").path)
    guard taken.isEmpty || isUnfinished else {
      throw DatasetError(
        .ambiguous, file: folder.path,
        problem: "the number \(number) is taken by \(taken.joined(separator: ", ")) in nnUNet_raw, "
          + "nnUNet_preprocessed or nnUNet_results", advice: advice)
    }
  }

  /// Runs the jobs in parallel; when all succeeded, writes `dataset.json`.
  /// - Returns: the jobs that failed; the others are done.
  func run(
    _ jobs: [ConversionJob], description: JSONValue.Object, pool: WorkerPool,
    progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void
  ) throws -> [CaseFailure] {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let failures = Mutex([CaseFailure?](repeating: nil, count: jobs.count))
    let done = Atomic<Int>(0)
    pool.run(tasks: jobs.count) { index in
      do {
        try jobs[index].run()
      } catch {
        failures.withLock {
          $0[index] = CaseFailure(identifier: jobs[index].source.lastPathComponent, reason: "\(error)")
        }
      }
      progress(done.add(1, ordering: .relaxed).newValue, jobs.count)
    }
    let failed = failures.withLock { $0.compactMap { $0 } }
    if failed.isEmpty { try JSONValue.object(description).write(to: folder.appendingPathComponent("dataset.json")) }
    return failed
  }
}

/// One file to be brought into a raw data set.
struct ConversionJob: Sendable {
  let source: URL
  let run: @Sendable () throws -> Void
}
