import Foundation

/// What can be wrong with an image file, or with a request to read or write one.
public enum ImageError: Error, CustomStringConvertible, Hashable {
  case cannotOpen(file: String, reason: String)
  case cannotWrite(file: String, reason: String)
  /// The file is not of the format that its name promises.
  case wrongFormat(file: String, expected: String, found: String)
  /// A valid file with something this program does not read.
  case unsupported(file: String, found: String, supported: String)
  /// The header says something that cannot be.
  case badHeader(file: String, field: String, found: String, expected: String)
  case truncated(file: String, expectedBytes: Int, foundBytes: Int)
  case corrupt(file: String, reason: String)
  /// Files that should be channels of one image disagree.
  case mismatch(property: String, file: String, value: String, otherFile: String, otherValue: String)
  /// A segmentation contains a value that is no label.
  case badLabel(file: String, value: Float, index: [Int])
  case noFiles
  case unknownReader(name: String, known: [String])
  case missingGeometry(file: String, expected: String)

  public var description: String {
    switch self {
    case .cannotOpen(let file, let reason): "\(file): cannot be opened: \(reason)"
    case .cannotWrite(let file, let reason): "\(file): cannot be written: \(reason)"
    case .wrongFormat(let file, let expected, let found): "\(file): expected \(expected), found \(found)"
    case .unsupported(let file, let found, let supported):
      "\(file): contains \(found), which is not supported; convert it to \(supported)"
    case .badHeader(let file, let field, let found, let expected):
      "\(file): header field \(field) is \(found), expected \(expected); the file is damaged or not an image"
    case .truncated(let file, let expected, let found):
      "\(file): the header promises \(expected) bytes, the file has \(found); copy or export it again"
    case .corrupt(let file, let reason): "\(file): damaged compressed data (\(reason)); copy or export it again"
    case .mismatch(let property, let file, let value, let otherFile, let otherValue):
      "channels of one image disagree in their \(property): \(file) has \(value), \(otherFile) has \(otherValue); "
        + "resample them onto one grid"
    case .badLabel(let file, let value, let index):
      "\(file): voxel \(index) (z, y, x) has the value \(value), which is not an integer label between -32768 and 32767"
    case .noFiles: "an image needs at least one file"
    case .unknownReader(let name, let known):
      "no reader for \(name); available: \(known.joined(separator: ", "))"
    case .missingGeometry(let file, let expected):
      "\(file): the image's properties have no \(expected), which this writer needs; "
        + "read the image with the same reader that writes"
    }
  }
}
