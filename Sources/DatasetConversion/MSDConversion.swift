import Datasets
import Foundation
import TensorCore
import Volumes

/// Makes a raw data set from a task of the Medical Segmentation Decathlon, whose images of several channels are 4-D files.
///
/// nnU-Net: dataset_conversion/convert_MSD_dataset.py.
public struct MSDConversion: Sendable {
  public let datasetName: String
  /// Where the data set is made.
  public var folder: URL { target.folder }
  /// Remarks for the user.
  public let remarks: [String]

  private let target: ConversionTarget
  private let jobs: [ConversionJob]
  private let description: JSONValue.Object

  /// Looks at a folder named such as `Task05_Prostate`, with `imagesTr`, `imagesTs`, `labelsTr` and `dataset.json`.
  /// - Parameter number: the new data set's number; `nil` for the task's.
  public init(sourceFolder: URL, number: Int?, folders: DatasetFolders) throws {
    let source = sourceFolder.standardizedFileURL
    let old = try OldDescription(folder: source, subfolders: ["imagesTr", "imagesTs", "labelsTr"])
    let name = source.lastPathComponent
    guard name.hasPrefix("Task"), let underscore = name.firstIndex(of: "_"),
      let task = Int(name[name.index(name.startIndex, offsetBy: 4)..<underscore]), task >= 0, number ?? 0 >= 0
    else {
      throw DatasetError(
        .invalidValue, file: source.path, problem: "the folder's name is not that of a task",
        advice: "Name it as it was downloaded, such as Task05_Prostate")
    }
    datasetName = DatasetFolders.datasetPrefix(number ?? task) + name[underscore...]
    target = try ConversionTarget(
      datasetName: datasetName, folders: folders, advice: "Give another number with -overwrite_id")
    description = try old.converted(
      dropping: ["training", "test"], adding: ["file_ending", "channel_names"])

    let folder = target.folder
    func files(_ subfolder: String) throws -> [URL] {
      try DatasetCase.fileNames(in: source.appendingPathComponent(subfolder))
        .filter { $0.hasSuffix(".nii.gz") && !$0.hasPrefix(".") && !$0.hasPrefix("_") }
        .map { source.appendingPathComponent(subfolder).appendingPathComponent($0) }
    }
    let training = try files("imagesTr")
    func images(_ sources: [URL], _ subfolder: String) -> [ConversionJob] {
      sources.map { file in
        ConversionJob(source: file) { try Self.split(file, into: folder.appendingPathComponent(subfolder)) }
      }
    }
    jobs =
      images(training, "imagesTr") + images(try files("imagesTs"), "imagesTs")
      + (try files("labelsTr")).map { file in
        ConversionJob(source: file) {
          try FileCopy.copyIfNewer(
            file, to: folder.appendingPathComponent("labelsTr").appendingPathComponent(file.lastPathComponent))
        }
      }
    var remarks: [String] = []
    if let expected = old.trainingCaseCount, expected != training.count {
      remarks.append("'numTraining' in dataset.json is \(expected), but there are \(training.count) training images")
    }
    self.remarks = remarks
  }

  /// Converts; what an interrupted run left is kept.
  /// - Returns: the files that could not be converted. The others are done, and `dataset.json` is written when all are.
  public func run(
    pool: WorkerPool, progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
  ) throws -> [CaseFailure] {
    for name in ["imagesTr", "imagesTs", "labelsTr"] {
      try FileManager.default.createDirectory(
        at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
    }
    return try target.run(jobs, description: description, pool: pool, progress: progress)
  }

  /// Writes `CASE_0000.nii.gz`, `CASE_0001.nii.gz` and so on; an image of three dimensions is copied as it is.
  private static func split(_ file: URL, into folder: URL) throws {
    let ending = ".nii.gz"
    let identifier = String(file.lastPathComponent.dropLast(ending.count))
    let count = try SimpleITKReaderWriter.volumeCount(of: file)
    let targets = (0..<count).map {
      folder.appendingPathComponent(DatasetCase.imageFileName(identifier, channel: $0, fileEnding: ending))
    }
    if count == 1, let target = targets.first { return try FileCopy.copyIfNewer(file, to: target) }
    let date = FileCopy.modificationDate(file)
    let isDone = targets.allSatisfy { target in
      guard let made = FileCopy.modificationDate(target), let date else { return false }
      return made >= date
    }
    if !isDone { try SimpleITKReaderWriter.splitVolumes(of: file, into: targets) }
  }
}
