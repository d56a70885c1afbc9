import Datasets
import Foundation
import TensorCore

/// Makes a raw data set from one of nnU-Net version 1.
///
/// nnU-Net: dataset_conversion/convert_raw_dataset_from_old_nnunet_format.py.
public struct OldDatasetConversion: Sendable {
  /// Where the data set is made.
  public var folder: URL { target.folder }

  private let target: ConversionTarget
  private let jobs: [ConversionJob]
  private let description: JSONValue.Object

  /// - Parameters:
  ///   - sourceFolder: the folder of the task, with `imagesTr`, `labelsTr` and `dataset.json`.
  ///   - datasetName: the new name, such as `Dataset004_Hippocampus`.
  public init(sourceFolder: URL, datasetName: String, folders: DatasetFolders) throws {
    let required = ["imagesTr", "labelsTr"]
    let old = try OldDescription(folder: sourceFolder, subfolders: required)
    target = try ConversionTarget(
      datasetName: datasetName, folders: folders, advice: "Choose another number, or remove what is there")
    description = try old.converted(
      dropping: ["tensorImageSize", "numTest", "training", "test"], adding: ["channel_names", "file_ending"])
    let folder = target.folder
    jobs = try (required + ["imagesTs", "labelsTs", "imagesVal", "labelsVal"]).flatMap { name -> [ConversionJob] in
      let subfolder = sourceFolder.appendingPathComponent(name)
      guard required.contains(name) || FileManager.default.fileExists(atPath: subfolder.path) else { return [] }
      // Hidden files are other programs' notes.
      return try DatasetCase.fileNames(in: subfolder).filter { !$0.hasPrefix(".") }.map { file in
        let source = subfolder.appendingPathComponent(file)
        return ConversionJob(source: source) {
          try FileCopy.copyIfNewer(source, to: folder.appendingPathComponent(name).appendingPathComponent(file))
        }
      }
    }
  }

  /// Copies; what an interrupted run left is kept.
  /// - Returns: the files that could not be copied. The others are done, and `dataset.json` is written when all are.
  public func run(
    pool: WorkerPool, progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
  ) throws -> [CaseFailure] {
    try target.run(jobs, description: description, pool: pool, progress: progress)
  }
}
