/// What went wrong with an HDF5 file, which object in it, what was expected and what was found.
public struct HDF5Error: Error, Sendable, Equatable, CustomStringConvertible {
  /// The kind of failure, for callers that react to it.
  public enum Kind: Sendable, Equatable {
    /// The file does not exist or may not be read.
    case cannotOpen
    /// The file, or an object in it, is not what HDF5 writes: truncated, overwritten, or its checksum fails.
    case damaged
    /// A group, dataset or attribute is missing.
    case missing
    /// The object exists and has another type.
    case wrongType
    /// The shape, or the part of it that was asked for, does not fit.
    case wrongShape
    /// A number in the file does not fit the type asked for.
    case outOfRange
    /// The header declares more data than the file can hold.
    case implausibleSize
    /// The file uses a feature that this reader refuses (unknown filters, data in other files).
    case unsupported
    /// Writing failed: no space, no permission, or the name is taken.
    case cannotWrite
    /// The file was closed before.
    case closed
  }

  public let kind: Kind
  /// Where the file lies.
  public let file: String
  /// The object's path inside the file; an attribute follows after `@`.
  public let object: String
  public let expected: String
  public let found: String

  package init(_ kind: Kind, file: String, object: String, expected: String, found: String) {
    self.kind = kind
    self.file = file
    self.object = object
    self.expected = expected
    self.found = found
  }

  public var description: String {
    "\(file): \(object): expected \(expected), found \(found)"
  }
}
