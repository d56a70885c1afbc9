import Foundation
import Testing

/// Holds the package's targets to the layers that docs/architecture.md draws: imports go only to targets listed earlier,
/// and only along the edges named here.
@Suite struct TargetGraphTests {
  /// Every target with what it may import from this package; the order is the order of the layers.
  static let allowed: [(name: String, imports: Set<String>)] = [
    ("COpenBLAS", []), ("CHDF5", []), ("CZlib", []), ("CNIfTI", []), ("CPNG", []), ("CTIFF", []),
    ("CCairo", []),
    ("CKernels", []),
    ("TensorCore", ["CKernels", "COpenBLAS"]),
    ("Autograd", ["TensorCore"]),
    ("GraphCompiler", ["TensorCore"]),
    ("NeuralNetworks", ["Autograd", "GraphCompiler", "TensorCore", "CKernels"]),
    ("Archives", ["CZlib"]),
    ("HDF5Files", ["CHDF5"]),
    ("ModelFormats", ["Archives", "HDF5Files", "NeuralNetworks", "TensorCore"]),
    ("Volumes", ["TensorCore", "CKernels", "CNIfTI", "CPNG", "CTIFF", "CZlib"]),
    ("Plotting", ["CCairo"]),
    ("Datasets", []),
    ("Preprocessing", ["Volumes", "Datasets", "HDF5Files", "TensorCore"]),
    ("Planning", ["Preprocessing", "Volumes", "Datasets", "TensorCore"]),
    ("DatasetConversion", ["Volumes", "Datasets", "TensorCore"]),
    ("Augmentation", ["Volumes", "TensorCore", "CKernels"]),
    ("SyntheticData", ["Volumes", "Datasets", "TensorCore"]),
    (
      "Inference",
      [
        "Preprocessing", "ModelFormats", "NeuralNetworks", "GraphCompiler", "Volumes", "Datasets", "Archives",
        "TensorCore", "CKernels",
      ]
    ),
    ("Evaluation", ["Preprocessing", "Volumes", "Datasets", "TensorCore", "Archives"]),
    (
      "Training",
      [
        "Augmentation", "Inference", "Evaluation", "Preprocessing", "ModelFormats", "NeuralNetworks", "GraphCompiler",
        "Autograd",
        "Datasets", "Volumes", "TensorCore", "Plotting",
      ]
    ),
    (
      "Commands",
      [
        "Training", "Inference", "Evaluation", "Planning", "DatasetConversion", "SyntheticData", "Preprocessing",
        "Plotting", "Datasets", "Volumes", "TensorCore",
      ]
    ),
  ]

  /// May import everything.
  static let support = ["TensorTestSupport", "FuzzTargets", "nnunet-bench"]
  static let executables = ["nnUNetv2_plan_and_preprocess", "nnUNetv2_train", "nnUNetv2_predict", "nnunet"]

  @Test func importsFollowTheLayers() throws {
    let targets = try Self.dumpPackage().filter { $0.kind != "test" }
    let allowed = Dictionary(uniqueKeysWithValues: Self.allowed.map { ($0.name, $0.imports) })
    let order = Dictionary(uniqueKeysWithValues: Self.allowed.enumerated().map { ($1.name, $0) })
    #expect(targets.count > 15, "the package description lists only \(targets.count) targets")
    for target in targets where !Self.support.contains(target.name) {
      if Self.executables.contains(target.name) {
        #expect(target.imports == ["Commands"], "\(target.name) imports \(target.imports), not Commands alone")
        continue
      }
      guard let edges = allowed[target.name], let position = order[target.name] else {
        Issue.record("target \(target.name) is in no layer; add it here and to docs/architecture.md")
        continue
      }
      #expect(
        target.imports.isSubset(of: edges), "\(target.name) may not import \(target.imports.subtracting(edges))")
      for other in target.imports {
        #expect((order[other] ?? .max) < position, "\(target.name) imports \(other), which lies above it")
      }
    }
    for (name, _) in Self.allowed {
      #expect(targets.contains { $0.name == name }, "\(name) is in the list of layers but not in the package")
    }
  }

  @Test func computeNeverImportsFoundation() throws {
    let sources = Self.packageFolder.appendingPathComponent("Sources")
    var files = 0
    for target in ["TensorCore", "Autograd", "GraphCompiler", "NeuralNetworks"] {
      let folder = sources.appendingPathComponent(target)
      let enumerator = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
      while let file = enumerator?.nextObject() as? URL {
        guard file.pathExtension == "swift" else { continue }
        files += 1
        let text = try String(contentsOf: file, encoding: .utf8)
        #expect(!text.contains("import Foundation"), "\(file.lastPathComponent) imports Foundation")
      }
    }
    #expect(files > 10)
  }

  private struct Target {
    let name: String
    let kind: String
    let imports: Set<String>
  }

  private static let packageFolder = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  private static func dumpPackage() throws -> [Target] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // A scratch folder of its own: the one of the running tests is locked.
    let scratch = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: scratch) }
    process.arguments = [
      "swift", "package", "--package-path", packageFolder.path, "--scratch-path", scratch.path, "dump-package",
    ]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    try #require(process.terminationStatus == 0, "swift package dump-package failed")
    let package = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let targets = try #require(package["targets"] as? [[String: Any]])
    return try targets.map { target in
      let dependencies = try #require(target["dependencies"] as? [[String: Any]])
      let imports = dependencies.compactMap { ($0["byName"] as? [Any])?.first as? String }
      return Target(
        name: try #require(target["name"] as? String), kind: try #require(target["type"] as? String),
        imports: Set(imports))
    }
  }
}
