import Archives
import Datasets
import Evaluation
import Foundation
import HDF5Files
import Inference
import ModelFormats
import NeuralNetworks
import Planning
import Preprocessing

extension FuzzTarget {
  /// Any JSON text, and as each of the files that the program reads.
  static func json(_ bytes: [UInt8], _ file: URL) throws -> [String?] {
    try Data(bytes).write(to: file)
    return [
      try refusal {
        let value = try JSONValue(parsing: bytes)
        let again = try JSONValue(parsing: value.text())
        // A NaN differs from itself.
        try require(again.text() == value.text(), "JSON changed on its way through text")
      },
      try refusal { _ = try LabelManager(DatasetDescription(contentsOf: file)) },
      try refusal { try checkPlans(Plans(contentsOf: file)) },
      try refusal { _ = try DatasetFingerprint(contentsOf: file) },
      try refusal { _ = try CrossValidationSplits(contentsOf: file) },
      try refusal { _ = try Postprocessing(contentsOf: file) },
    ]
  }

  private static func checkPlans(_ plans: Plans) throws {
    for name in ["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"] {
      _ = try refusal {
        let architecture = try plans.configuration(named: name).architecture
        _ = try UNetArchitecture(
          networkClassName: architecture.networkClassName, arguments: ConfigurationValue(architecture.archKwargs),
          importedArguments: architecture.kwRequiresImport)
      }
    }
  }

  /// A preprocessed case, and a checkpoint.
  static func hdf5(_ folder: URL, _ file: URL) throws -> [String?] {
    [
      try refusal { _ = try CaseStore(folder: folder).load("case") },
      try refusal { _ = try TrainingCheckpoint(contentsOf: file.path) },
    ]
  }

  /// A postprocessing file, and the pickle inside a checkpoint.
  static func pickle(_ bytes: [UInt8], _ file: URL) throws -> [String?] {
    [
      try refusal { _ = try Postprocessing(pickle: file) },
      try refusal {
        // Storages of 64 bytes, so that small tensors find their elements.
        let storages = (0..<3).map { (name: "archive/data/\($0)", bytes: [UInt8](repeating: 63, count: 64)) }
        let archive = storedZip([(name: "archive/data.pkl", bytes: bytes)] + storages)
        try readTensors(PyTorchFile(MemoryBytes(archive, name: "pickle")))
      },
    ]
  }

  /// Reads every tensor of a PyTorch file, also as a checkpoint.
  static func readTensors(_ file: PyTorchFile) throws {
    var values = [file.root]
    var problem: (any Error)?
    while let value = values.popLast() {
      do {
        if let tensor = try file.tensor(value) {
          let elements = try file.elements(of: tensor)
          try require(elements.count == tensor.shape.reduce(1, *), "a tensor of \(elements.count) elements")
        }
      } catch let error as ArchiveError {
        problem = error
      }
      switch value {
      case .list(let members), .tuple(let members), .set(let members): values += members
      case .dictionary(let dictionary): values += dictionary.values
      default: break
      }
    }
    let checkpoint = try PyTorchCheckpoint(file)
    _ = try checkpoint.networkWeights()
    if let problem { throw problem }
  }

  /// Every entry of a zip file, in one piece and in small pieces.
  static func zip(_ bytes: [UInt8]) throws -> [String?] {
    [
      try refusal {
        let archive = try ZipArchive(bytes: bytes, name: "zip")
        for entry in archive.entries {
          let whole = try archive.read(entry, maximum: 1 << 24)
          let reader = try archive.reader(for: entry)
          var pieces: [UInt8] = []
          while reader.remaining > 0 { pieces += try reader.bytes(min(reader.remaining, 1000)) }
          try require(whole == pieces, "an entry differs in pieces")
        }
      },
      try refusal { try readTensors(PyTorchFile(MemoryBytes(bytes, name: "zip"))) },
      try refusal { _ = try Gzip.decompress(bytes, maximum: 1 << 24) },
    ]
  }

  /// An array, alone and inside an archive.
  static func npy(_ bytes: [UInt8]) throws -> [String?] {
    func check(_ array: NumPyArray) throws {
      let elements = try array.elements(as: Float.self)
      try require(elements.count == array.shape.reduce(1, *), "an array of \(elements.count) elements")
      _ = try? array.elements(as: Int16.self)
    }
    return [
      try refusal { try check(NumPyArray(npy: bytes, name: "npy")) },
      try refusal {
        let archive = storedZip([(name: "probabilities.npy", bytes: bytes)])
        let numpy = try NumPyArchive(bytes: archive, name: "npz")
        try check(numpy.array("probabilities"))
        let reader = try numpy.reader("probabilities")
        _ = try reader.read(1, as: Float.self)
      },
    ]
  }

  /// A zip file with right checksums around bytes that need not make sense: past the checksums the fuzzer can't guess.
  static func storedZip(_ files: [(name: String, bytes: [UInt8])]) -> [UInt8] {
    var body: [UInt8] = []
    var directory: [UInt8] = []
    func put<T: FixedWidthInteger>(_ value: T, _ target: inout [UInt8]) {
      withUnsafeBytes(of: value.littleEndian) { target += $0 }
    }
    for file in files {
      let offset = UInt32(body.count)
      let checksum = file.bytes.withUnsafeBytes { checksumCRC32($0) }
      for (signature, isDirectory) in [(UInt32(0x0403_4B50), false), (0x0201_4B50, true)] {
        var header: [UInt8] = []
        put(signature, &header)
        if isDirectory { put(UInt16(20), &header) }
        for value in [UInt16(20), 0, 0, 0, 0] { put(value, &header) }
        for value in [checksum, UInt32(file.bytes.count), UInt32(file.bytes.count)] { put(value, &header) }
        put(UInt16(file.name.utf8.count), &header)
        put(UInt16(0), &header)
        if isDirectory {
          for value in [UInt16(0), 0, 0] { put(value, &header) }
          put(UInt32(0), &header)
          put(offset, &header)
          directory += header + file.name.utf8
        } else {
          body += header + file.name.utf8 + file.bytes
        }
      }
    }
    var end: [UInt8] = []
    put(UInt32(0x0605_4B50), &end)
    for value in [UInt16(0), 0, UInt16(files.count), UInt16(files.count)] { put(value, &end) }
    for value in [UInt32(directory.count), UInt32(body.count)] { put(value, &end) }
    put(UInt16(0), &end)
    return body + directory + end
  }
}
