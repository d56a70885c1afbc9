import Datasets
import Foundation
import Volumes

extension ReaderWriters {
  /// The reader of a raw data set, tried on its first training image.
  static func choose(for description: DatasetDescription, rawFolder: URL) throws -> any ImageReaderWriter {
    let cases = try? DatasetFolders.trainingCases(rawFolder: rawFolder, description: description)
    return try choose(
      fileEnding: description.fileEnding, overwriteName: description.readerWriterName,
      exampleFile: cases?.first?.images.first)
  }
}
