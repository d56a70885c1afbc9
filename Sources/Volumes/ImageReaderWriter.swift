import Foundation

/// Reads images and segmentations of some file formats, and writes segmentations that lie on the image's grid.
///
/// nnU-Net: `nnunetv2/imageio/base_reader_writer.py`.
public protocol ImageReaderWriter: Sendable {
  /// nnU-Net's class name, as in `image_reader_writer` of plans.json.
  var name: String { get }
  /// The file endings that select this reader, each with its dot, in lower case.
  static var fileEndings: [String] { get }

  /// Reads the channels of one image, one or several from each file, as float32 `[C, Z, Y, X]`.
  func readImages(_ files: [URL]) throws -> (VoxelGrid<Float>, ImageProperties)
  /// Reads only what the file's header says: the shape `[C, Z, Y, X]` and the properties that `readImages` would give.
  func readProperties(_ file: URL) throws -> (shape: [Int], properties: ImageProperties)
  /// Reads a label map `[1, Z, Y, X]`.
  func readSegmentation(_ file: URL) throws -> (VoxelGrid<Int16>, ImageProperties)
  /// Writes a label map `[1, Z, Y, X]` with the geometry in `properties`: uint8 if every label is below 255, otherwise
  /// uint16. The file appears whole or not at all.
  func writeSegmentation(_ segmentation: VoxelGrid<Int16>, to file: URL, properties: ImageProperties) throws
}

/// Chooses readers by name or by file ending.
public enum ReaderWriters {
  private static let all: [any ImageReaderWriter] = [
    NaturalImageReaderWriter(), SimpleITKReaderWriter(), Tiff3DReaderWriter(), NibabelReaderWriter(),
    NibabelReaderWriter(reorients: true),
  ]

  /// The reader for a data set: the one that `overwriteName` names if this program has it, otherwise the first that
  /// knows the file ending and can open the example.
  ///
  /// nnU-Net: `determine_reader_writer_from_dataset_json`.
  /// - Parameters:
  ///   - fileEnding: `file_ending` of dataset.json.
  ///   - overwriteName: `overwrite_image_reader_writer` of dataset.json or `image_reader_writer` of plans.json.
  ///   - exampleFile: an image of the data set, which tells flat `.tif` files from those of several slices.
  public static func choose(
    fileEnding: String, overwriteName: String?, exampleFile: URL?
  ) throws -> any ImageReaderWriter {
    if let overwriteName, let reader = all.first(where: { $0.name == overwriteName }) { return reader }
    let ending = fileEnding.lowercased()
    let readers = all.filter { type(of: $0).fileEndings.contains(ending) }
    guard let first = readers.first else {
      throw ImageError.unknownReader(
        name: "file ending \(fileEnding)", known: Set(all.flatMap { type(of: $0).fileEndings }).sorted())
    }
    guard let exampleFile, readers.count > 1, FileManager.default.fileExists(atPath: exampleFile.path) else {
      return first
    }
    // Where no reader can open the example, the first will say why when it is read as a case.
    return readers.first { (try? $0.readProperties(exampleFile)) != nil } ?? first
  }

  /// The reader with nnU-Net's class name `name`.
  public static func named(_ name: String) throws -> any ImageReaderWriter {
    guard let reader = all.first(where: { $0.name == name }) else {
      throw ImageError.unknownReader(name: name, known: all.map(\.name))
    }
    return reader
  }
}

/// Whether two lists of numbers agree as numpy's `allclose` has it (relative 1e-5, absolute 1e-8).
package func allClose(_ a: [Double], _ b: [Double]) -> Bool {
  a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= 1e-8 + 1e-5 * abs($1) }
}
