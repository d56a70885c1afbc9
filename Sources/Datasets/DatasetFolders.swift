import Foundation

/// Where nnU-Net's folders are, and the names and cases of the data sets in them.
public struct DatasetFolders: Sendable {
  /// `nnUNet_raw`, `nil` if unset.
  public let raw: URL?
  /// `nnUNet_preprocessed`, `nil` if unset.
  public let preprocessed: URL?
  /// `nnUNet_results`, `nil` if unset.
  public let results: URL?

  public init(raw: URL?, preprocessed: URL?, results: URL?) {
    self.raw = raw
    self.preprocessed = preprocessed
    self.results = results
  }

  /// Reads `nnUNet_raw`, `nnUNet_preprocessed` and `nnUNet_results`.
  public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
    func folder(_ name: String) -> URL? {
      environment[name].flatMap { $0.isEmpty ? nil : URL(fileURLWithPath: $0, isDirectory: true) }
    }
    self.init(
      raw: folder("nnUNet_raw"), preprocessed: folder("nnUNet_preprocessed"), results: folder("nnUNet_results"))
  }

  // MARK: Folders

  public func requireRaw() throws -> URL { try require(raw, "nnUNet_raw", "raw data sets") }
  public func requirePreprocessed() throws -> URL {
    try require(preprocessed, "nnUNet_preprocessed", "preprocessed data sets")
  }
  public func requireResults() throws -> URL { try require(results, "nnUNet_results", "trained models") }

  private func require(_ folder: URL?, _ variable: String, _ content: String) throws -> URL {
    guard let folder else {
      throw DatasetError(
        .notFound, file: nil, problem: "the environment variable \(variable) is not set",
        advice: "Set it to the folder of the \(content), for example: export \(variable)=/path/to/\(variable)")
    }
    return folder
  }

  public func rawFolder(_ datasetName: String) throws -> URL {
    try requireRaw().appendingPathComponent(datasetName, isDirectory: true)
  }

  public func preprocessedFolder(_ datasetName: String) throws -> URL {
    try requirePreprocessed().appendingPathComponent(datasetName, isDirectory: true)
  }

  /// Reads `nnUNet_preprocessed/DATASET/PLANS.json`.
  /// - Throws: ``DatasetError``, which says how plans are made where there are none of this name.
  public func plans(named name: String, of datasetName: String) throws -> Plans {
    let file = try preprocessedFolder(datasetName).appendingPathComponent(name + ".json")
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw DatasetError(
        .notFound, file: file.path, problem: "\(datasetName) has no such plans",
        advice: "Run nnUNetv2_plan_and_preprocess for it first, or correct the name")
    }
    return try Plans(contentsOf: file)
  }

  /// `nnUNet_results/DATASET/TRAINER__PLANS__CONFIGURATION`.
  public func modelFolder(
    _ datasetName: String, trainer: String, plans: String, configuration: String
  ) throws -> URL {
    try modelFolder(datasetName, ModelIdentifier(trainer: trainer, plans: plans, configuration: configuration))
  }

  /// `fold_0`, ..., `fold_all`.
  public static func foldFolderName(_ fold: FoldSelection) -> String { "fold_\(fold)" }

  // MARK: Names

  /// The name of a data set given by its number (`4`) or its name (`Dataset004_Hippocampus`, returned unchanged).
  public func datasetName(_ nameOrNumber: String) throws -> String {
    if nameOrNumber.hasPrefix("Dataset") { return nameOrNumber }
    guard let number = Int(nameOrNumber), number >= 0 else {
      throw DatasetError(
        .invalidValue, file: nil, problem: "'\(nameOrNumber)' is neither a data set's name nor its number",
        advice: "Give a number such as 4, or a name such as Dataset004_Hippocampus")
    }
    return try datasetName(number: number)
  }

  /// The names of the data sets with this number in any of the three folders, in code point order.
  public func datasetNames(number: Int) -> [String] {
    let prefix = Self.datasetPrefix(number)
    var candidates: Set<String> = []
    for folder in [preprocessed, raw, results].compactMap({ $0 }) {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      for name in names where name.hasPrefix(prefix) {
        // `Dataset100` is no name of number 1000.
        if let next = name.dropFirst(prefix.count).first, next.isNumber { continue }
        var isFolder: ObjCBool = false
        let path = folder.appendingPathComponent(name).path
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue {
          candidates.insert(name)
        }
      }
    }
    return candidates.sorted(by: precedesByCodePoint)
  }

  /// `Dataset004` for 4.
  package static func datasetPrefix(_ number: Int) -> String {
    let digits = String(number)
    return "Dataset" + String(repeating: "0", count: max(0, 3 - digits.utf8.count)) + digits
  }

  /// The name of the data set with this number in any of the three folders.
  public func datasetName(number: Int) throws -> String {
    let prefix = Self.datasetPrefix(number)
    let candidates = datasetNames(number: number)
    if candidates.count == 1, let name = candidates.first { return name }
    let places = [("nnUNet_raw", raw), ("nnUNet_preprocessed", preprocessed), ("nnUNet_results", results)]
      .map { "\($0)=\($1?.path ?? "(not set)")" }.joined(separator: ", ")
    if candidates.isEmpty {
      throw DatasetError(
        .notFound, file: nil, problem: "there is no data set with the number \(number) (no folder \(prefix)_*)",
        advice: "Check the number and the environment variables: \(places)")
    }
    throw DatasetError(
      .ambiguous, file: nil,
      problem: "several data sets have the number \(number): "
        + candidates.joined(separator: ", "),
      advice: "Give the name, or rename all but one in these folders: \(places)")
  }

  /// The number in a data set's name: 4 for `Dataset004_Hippocampus`.
  public static func datasetNumber(of name: String) -> Int? {
    guard name.hasPrefix("Dataset") else { return nil }
    return Int(name.dropFirst(7).prefix { $0.isASCII && $0.isNumber })
  }

  // MARK: Cases

  /// The training cases of a raw data set: of the explicit `dataset` list, or of `imagesTr` and `labelsTr`.
  ///
  /// Files of a list may be relative to the data set's folder and may name environment variables.
  /// Whether the files exist is not checked here.
  public static func trainingCases(
    rawFolder: URL, description: DatasetDescription,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws -> [DatasetCase] {
    if let listed = description.listedCases {
      func file(_ path: String) -> URL {
        let expanded = expandVariables(path, environment)
        if expanded.hasPrefix("/") { return URL(fileURLWithPath: expanded) }
        return rawFolder.appendingPathComponent(expanded).standardizedFileURL
      }
      return listed.map {
        DatasetCase(identifier: $0.identifier, images: $0.images.map(file), label: $0.label.map(file))
      }
    }
    let labels = rawFolder.appendingPathComponent("labelsTr", isDirectory: true)
    let images = rawFolder.appendingPathComponent("imagesTr", isDirectory: true)
    return try DatasetCase.list(in: images, fileEnding: description.fileEnding).map {
      DatasetCase(
        identifier: $0.identifier, images: $0.images,
        label: labels.appendingPathComponent($0.identifier + description.fileEnding))
    }
  }

  /// Python's `os.path.expandvars`: `$NAME` and `${NAME}`, unknown ones left as they are.
  package static func expandVariables(_ path: String, _ environment: [String: String]) -> String {
    var result = ""
    var rest = Substring(path)
    while let dollar = rest.firstIndex(of: "$") {
      result += rest[..<dollar]
      let tail = rest[rest.index(after: dollar)...]
      let name: Substring
      let end: Substring.Index
      if tail.first == "{", let brace = tail.firstIndex(of: "}") {
        name = tail[tail.index(after: tail.startIndex)..<brace]
        end = tail.index(after: brace)
      } else {
        name = tail.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        end = name.endIndex
      }
      result += environment[String(name)] ?? String(rest[dollar..<end])
      rest = rest[end...]
    }
    return result + rest
  }
}
