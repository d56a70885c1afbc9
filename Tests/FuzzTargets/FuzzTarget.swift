import Archives
import Datasets
import Evaluation
import Foundation
import HDF5Files
import ModelFormats
import NeuralNetworks
import Preprocessing
import Volumes

/// A reader of files from outside, with everything that can be asked of what it read.
///
/// Used twice: the fuzzer (`make fuzz READER=name`) feeds it what it invents, and the tests feed it the corpus that
/// earlier fuzzing left.
public enum FuzzTarget: String, CaseIterable, Sendable {
  case nifti, nrrd, metaimage, png, tiff, bmp, json, hdf5, pickle, torch, zip, npy

  /// Files of this target that lie on disk get this name, because some readers look at the ending.
  var fileName: String {
    switch self {
    case .nifti: "image.nii"
    case .nrrd: "image.nrrd"
    case .metaimage: "image.mha"
    case .png: "image.png"
    case .tiff: "image.tif"
    case .bmp: "image.bmp"
    case .json: "text.json"
    case .hdf5: "case.h5"
    case .pickle: "postprocessing.pkl"
    case .torch, .zip: "checkpoint.pth"
    case .npy: "array.npy"
    }
  }

  /// Reads `bytes` in every way this target knows.
  /// - Parameter folder: a folder for the target's own use; the bytes are written there where a reader wants a file.
  /// - Returns: for every way the text of the typed error that refused the bytes, or `nil` where they were accepted.
  /// - Throws: an error of another type, which is a bug.
  public func read(_ bytes: [UInt8], folder: URL) throws -> [String?] {
    let file = folder.appendingPathComponent(fileName)
    switch self {
    case .nifti:
      return try images(
        bytes, file,
        [
          SimpleITKReaderWriter { _ in }, NibabelReaderWriter { _ in }, NibabelReaderWriter(reorients: true) { _ in },
        ])
    case .nrrd, .metaimage: return try images(bytes, file, [SimpleITKReaderWriter { _ in }])
    case .png, .bmp: return try images(bytes, file, [NaturalImageReaderWriter()])
    case .tiff: return try images(bytes, file, [NaturalImageReaderWriter(), Tiff3DReaderWriter { _ in }])
    case .json: return try Self.json(bytes, file)
    case .hdf5:
      try write(bytes, to: file)
      return try Self.hdf5(folder, file)
    case .pickle:
      try write(bytes, to: file)
      return try Self.pickle(bytes, file)
    case .torch: return [try Self.refusal { try Self.readTensors(PyTorchFile(MemoryBytes(bytes, name: "torch"))) }]
    case .zip: return try Self.zip(bytes)
    case .npy: return try Self.npy(bytes)
    }
  }

  /// The text of the typed error that `body` throws, or `nil` where it throws none.
  static func refusal(_ body: () throws -> Void) throws -> String? {
    do {
      try body()
      return nil
    } catch let error where isTyped(error) {
      return "\(error)"
    }
  }

  /// Whether an error is one of those that name the file, what was expected and what was found.
  private static func isTyped(_ error: any Error) -> Bool {
    error is ImageError || error is ArchiveError || error is HDF5Error || error is DatasetError
      || error is JSONSyntaxError || error is CheckpointError || error is CaseStoreError || error is EvaluationError
      || error is ArchitectureError
  }

  private func write(_ bytes: [UInt8], to file: URL) throws {
    try Data(bytes).write(to: file)
  }

  private func images(_ bytes: [UInt8], _ file: URL, _ readers: [any ImageReaderWriter]) throws -> [String?] {
    try write(bytes, to: file)
    return try readers.flatMap { reader in
      [
        try Self.refusal {
          let (image, properties) = try reader.readImages([file])
          let header = try reader.readProperties(file)
          try Self.require(header.shape == image.shape && header.properties == properties, "header and image disagree")
        },
        try Self.refusal { try Self.checkSegmentation(reader, file) },
      ]
    }
  }

  /// What was read as a label map must survive being written and read again.
  private static func checkSegmentation(_ reader: any ImageReaderWriter, _ file: URL) throws {
    let (labels, properties) = try reader.readSegmentation(file)
    // Larger ones would only test the disk.
    guard labels.elements.count < 1 << 16, labels.elements.allSatisfy({ $0 >= 0 }) else { return }
    let copy = file.deletingLastPathComponent().appendingPathComponent("copy-" + file.lastPathComponent)
    try reader.writeSegmentation(labels, to: copy, properties: properties)
    let (again, _) = try reader.readSegmentation(copy)
    try require(again == labels, "a label map changed on its way through a file")
  }

  static func require(_ condition: Bool, _ problem: String) throws {
    if !condition { throw FuzzFinding(problem: problem) }
  }
}

/// A wrong result, as opposed to a refusal.
struct FuzzFinding: Error {
  let problem: String
}
