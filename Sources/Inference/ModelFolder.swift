import Datasets
import Foundation
import NeuralNetworks

/// A trained model, complete when its initialiser returns: plans, data set description, network, and the parameters of
/// every fold.
public struct ModelFolder: Sendable {
  public let folder: URL
  public let plans: Plans
  public let datasetDescription: DatasetDescription
  public let configuration: PlannedConfiguration
  public let labels: LabelManager
  public let trainerName: String
  /// Spatial axes of the network along which predictions may be mirrored.
  public let allowedMirroringAxes: [Int]
  public let network: UNet
  /// Folds by the names of their folders: `0`, `1`, ... or `all`.
  public let folds: [String]
  /// One per fold.
  public let parameterSets: [ParameterSet]

  /// Loads a folder `TRAINER__PLANS__CONFIGURATION` with `plans.json`, `dataset.json` and `fold_X/CHECKPOINT`.
  ///
  /// nnU-Net: `initialize_from_trained_model_folder`.
  /// - Parameters:
  ///   - folds: names such as `0` or `all`; `nil` takes every numbered fold that has the checkpoint.
  ///   - checkpointName: such as `checkpoint_best.pth`; if there is none, the same name with the other ending (`.h5`,
  ///     `.pth`) is taken. `nil` stands for `checkpoint_final`.
  /// - Throws: typed errors that name the file.
  public init(contentsOf folder: URL, folds: [String]? = nil, checkpointName: String? = nil) throws {
    self.folder = folder
    try Self.checkIsModel(folder)
    plans = try Plans(contentsOf: folder.appendingPathComponent("plans.json"))
    datasetDescription = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
    labels = try LabelManager(datasetDescription)
    let name = checkpointName ?? "checkpoint_final.h5"
    let folds = try folds ?? Self.foldsWithCheckpoint(name, in: folder)
    guard !folds.isEmpty else {
      throw InferenceError.noFolds(folder: folder.path, checkpoint: checkpointName ?? "checkpoint_final")
    }
    self.folds = folds
    var checkpoints: [FoldCheckpoint] = []
    for fold in folds {
      guard let file = try? Self.checkpointFile(name, in: folder.appendingPathComponent("fold_\(fold)")) else {
        throw Self.missingCheckpoint(name, fold: fold, in: folder)
      }
      checkpoints.append(try FoldCheckpoint(contentsOf: file))
    }
    trainerName = checkpoints[0].trainerName
    configuration = try plans.configuration(named: checkpoints[0].configuration)
    allowedMirroringAxes = checkpoints[0].allowedMirroringAxes ?? []
    let dimensions = configuration.patchSize.count
    guard allowedMirroringAxes.allSatisfy({ (0..<dimensions).contains($0) }) else {
      throw InferenceError.badMirroringAxes(
        file: checkpoints[0].file, axes: allowedMirroringAxes, dimensions: dimensions)
    }
    let network = try UNet(
      configuration: configuration, datasetDescription: datasetDescription, plansFile: plans.file,
      trainerName: trainerName)
    self.network = network
    parameterSets = try checkpoints.map { checkpoint in
      let parameters = try ParameterSet(
        layout: network.layout, loading: checkpoint.weights(aliases: network.layout.aliases), from: checkpoint.file)
      if let name = parameters.firstNonFiniteName {
        throw InferenceError.nonFiniteWeights(file: checkpoint.file, name: name)
      }
      return parameters
    }
  }

  /// Whoever gives the folder above or a configuration that was not trained should see what there is.
  private static func checkIsModel(_ folder: URL) throws {
    func isModel(_ folder: URL) -> Bool {
      FileManager.default.fileExists(atPath: folder.appendingPathComponent("plans.json").path)
    }
    guard !isModel(folder) else { return }
    let exists = FileManager.default.fileExists(atPath: folder.path)
    let parent = exists ? folder : folder.deletingLastPathComponent()
    let found = names(in: parent).filter { isModel(parent.appendingPathComponent($0)) }
    throw DatasetError(
      .notFound, file: folder.path,
      problem: exists ? "this is not a model's folder, it has no plans.json" : "there is no such model",
      advice: "Give the folder TRAINER__PLANS__CONFIGURATION of a trained model"
        + (found.isEmpty ? "" : ". In \(parent.path) there are: " + found.joined(separator: ", ")))
  }

  private static func missingCheckpoint(_ name: String, fold: String, in folder: URL) -> DatasetError {
    let stem = checkpointStem(name)
    let folds = names(in: folder).filter { $0.hasPrefix("fold_") }.map { String($0.dropFirst(5)) }
    let complete = folds.filter {
      (try? checkpointFile(name, in: folder.appendingPathComponent("fold_\($0)"))) != nil
    }
    let others = names(in: folder.appendingPathComponent("fold_\(fold)")).filter { $0.hasPrefix("checkpoint_") }
    var advice: [String] = []
    if !complete.isEmpty {
      advice.append("Name folds that have it: -f \(complete.joined(separator: " "))")
    }
    if !others.isEmpty {
      advice.append("Name a checkpoint that fold \(fold) has: -chk \(others.joined(separator: " or "))")
    }
    return DatasetError(
      .notFound, file: folder.appendingPathComponent("fold_\(fold)").path,
      problem: folds.contains(fold)
        ? "there is neither \(stem).h5 nor \(stem).pth" : "there is no fold \(fold)",
      advice: advice.isEmpty ? "Check the folder, or let training finish" : advice.joined(separator: ". "))
  }

  private static func names(in folder: URL) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  }

  /// The numbered folds that have a checkpoint of that name, in order.
  public static func foldsWithCheckpoint(_ name: String, in folder: URL) throws -> [String] {
    let entries: [String]
    do {
      entries = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    } catch {
      throw DatasetError(
        .notFound, file: folder.path, problem: "there is no such model folder, or it can't be listed",
        advice: "Give the folder that holds plans.json, dataset.json and fold_X")
    }
    return entries.compactMap { entry -> Int? in
      guard entry.hasPrefix("fold_") else { return nil }
      return Int(entry.dropFirst(5))
    }.sorted().map(String.init).filter { fold in
      (try? checkpointFile(name, in: folder.appendingPathComponent("fold_\(fold)"))) != nil
    }
  }

  private static func checkpointStem(_ name: String) -> String {
    ["h5", "pth"].contains((name as NSString).pathExtension) ? (name as NSString).deletingPathExtension : name
  }

  /// The checkpoint of a fold under its name, or under the same name with the other ending.
  public static func checkpointFile(_ name: String, in fold: URL) throws -> URL {
    let stem = checkpointStem(name)
    var candidates = [stem + ".h5", stem + ".pth"]
    if stem != name { candidates.insert(name, at: 0) }
    for candidate in candidates {
      let file = fold.appendingPathComponent(candidate, isDirectory: false)
      if FileManager.default.fileExists(atPath: file.path) { return file }
    }
    throw DatasetError(
      .notFound, file: fold.path, problem: "there is neither \(stem).h5 nor \(stem).pth",
      advice: "Check the fold and the checkpoint's name, or let training finish")
  }
}
