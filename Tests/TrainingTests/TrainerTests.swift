import Archives
import Datasets
import Foundation
import ModelFormats
import Planning
import Preprocessing
import Synchronization
import SyntheticData
import TensorCore
import Testing
import Training
import Volumes

/// A small synthetic data set, planned and preprocessed, with a network that trains in a moment.
private struct SmallDataset {
  let root = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
  let folders: DatasetFolders
  static let name = "Dataset903_Tiny"

  init() throws {
    folders = DatasetFolders(
      raw: root.appendingPathComponent("raw"), preprocessed: root.appendingPathComponent("preprocessed"),
      results: root.appendingPathComponent("results"))
    let settings = SyntheticDatasetSettings(
      datasetName: Self.name, seed: 3, trainingCases: 5, testCases: 0, fieldOfView: [24, 24, 24],
      spacings: [[1, 1, 1]], noise: 0.05, biasField: 0.1)
    try SyntheticDataset.write(settings, inRawFolder: folders.requireRaw())
    var extractor = DatasetFingerprintExtractor()
    extractor.sampleCount = 100_000
    _ = try extractor.run(datasetName: Self.name, folders: folders, overwrite: true)
    _ = try ExperimentPlanner.named("ExperimentPlanner").planExperiment(datasetName: Self.name, folders: folders)
    try makeSmall(folders.preprocessedFolder(Self.name).appendingPathComponent("nnUNetPlans.json"))
    for configuration in ["3d_fullres", "2d"] {
      let failures = try DatasetPreprocessing(
        datasetName: Self.name, plansName: "nnUNetPlans", configurationName: configuration, folders: folders
      ).run { _ in }.failures
      try #require(failures.isEmpty)
    }
  }

  /// Three narrow stages and a patch of 16 voxels, in both configurations; and a cascade.
  private func makeSmall(_ plans: URL) throws {
    var json = try JSONValue(contentsOf: plans).object ?? [:]
    var configurations = json["configurations"]?.object ?? [:]
    for (name, dimensions) in [("3d_fullres", 3), ("2d", 2)] {
      func repeated(_ value: Int) -> JSONValue { JSONValue([Int](repeating: value, count: dimensions)) }
      var configuration = configurations[name]?.object ?? [:]
      configuration["batch_size"] = 2
      configuration["patch_size"] = repeated(16)
      var architecture = configuration["architecture"]?.object ?? [:]
      var arguments = architecture["arch_kwargs"]?.object ?? [:]
      arguments["n_stages"] = 3
      arguments["features_per_stage"] = [4, 8, 8]
      arguments["kernel_sizes"] = .array([repeated(3), repeated(3), repeated(3)])
      arguments["strides"] = .array([repeated(1), repeated(2), repeated(2)])
      arguments["n_conv_per_stage"] = [1, 1, 1]
      arguments["n_conv_per_stage_decoder"] = [1, 1]
      architecture["arch_kwargs"] = .object(arguments)
      configuration["architecture"] = .object(architecture)
      configurations[name] = .object(configuration)
    }
    configurations["3d_cascade_fullres"] = ["inherits_from": "3d_fullres", "previous_stage": "3d_lowres"]
    json["configurations"] = .object(configurations)
    try JSONValue.object(json).write(to: plans)
  }

  func run(
    epochs: Int, trainer: String = "nnUNetTrainer", configuration: String = "3d_fullres"
  ) throws -> TrainingRun {
    var run = try TrainingRun(
      folders: folders, dataset: Self.name, configuration: configuration, fold: .number(0), trainer: trainer,
      plansIdentifier: "nnUNetPlans")
    run.settings.epochCount = epochs
    run.settings.iterationsPerEpoch = 4
    run.settings.validationIterationsPerEpoch = 2
    return run
  }

  func remove() { try? FileManager.default.removeItem(at: root) }
}

@Suite struct TrainerTests {
  private func weights(_ trainer: Trainer, _ name: String) throws -> [String: [Float]] {
    let checkpoint = try TrainingCheckpoint(
      contentsOf: trainer.outputFolder.appendingPathComponent(name + ".h5").path)
    return Dictionary(uniqueKeysWithValues: checkpoint.networkWeights.map { ($0.name, $0.value.elements()) })
  }

  @Test func aTrainingLeavesWhatNnUNetLeaves() throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let trainer = try Trainer(data.run(epochs: 2), seed: 1, silent: true)
    let outcome = try trainer.train()
    #expect(outcome == .finished)
    let validation = try trainer.validate(savingProbabilities: true)
    #expect(validation.failures.isEmpty && validation.summary.cases.count == 1)
    let model = trainer.outputFolder.deletingLastPathComponent()
    #expect(model.lastPathComponent == "nnUNetTrainer__nnUNetPlans__3d_fullres")
    #expect(trainer.outputFolder.lastPathComponent == "fold_0")
    for file in [
      "plans.json", "dataset.json", "dataset_fingerprint.json", "fold_0/checkpoint_final.h5",
      "fold_0/checkpoint_best.h5",
      "fold_0/progress.png", "fold_0/debug.json", "fold_0/validation/summary.json",
    ] {
      #expect(FileManager.default.fileExists(atPath: model.appendingPathComponent(file).path), "\(file) is missing")
    }
    let left = try FileManager.default.contentsOfDirectory(atPath: trainer.outputFolder.path)
    #expect(!left.contains("checkpoint_latest.h5") && !left.contains { $0.hasSuffix(".tmp") })
    let log = try #require(left.first { $0.hasPrefix("training_log_") })
    let text = try String(contentsOf: trainer.outputFolder.appendingPathComponent(log), encoding: .utf8)
    for line in ["Epoch 0", "Epoch 1", "Current learning rate: 0.01", "train_loss", "Pseudo dice [", "Epoch time:"] {
      #expect(text.contains(line), "the log lacks '\(line)'")
    }
    // What the compiler found comes before the first step, with the peak of memory.
    let beginning = text.prefix(upTo: try #require(text.firstRange(of: "Epoch 0")).lowerBound)
    for function in ["the training step", "the network"] {
      let line = try #require(beginning.split(separator: "\n").first { $0.contains("compiled \(function) in ") })
      #expect(line.contains("at most ") && line.contains(" MB beside the inputs"), "\(line)")
    }
    let checkpoint = try TrainingCheckpoint(
      contentsOf: trainer.outputFolder.appendingPathComponent("checkpoint_final.h5").path)
    #expect(checkpoint.currentEpoch == 2 && checkpoint.logging["train_losses"]?.count == 2)
    #expect(checkpoint.inferenceAllowedMirroringAxes == [0, 1, 2])
    #expect(!checkpoint.optimizerState.isEmpty)
    let cases = try FileManager.default.contentsOfDirectory(
      atPath: trainer.outputFolder.appendingPathComponent("validation").path)
    #expect(
      Set(cases.compactMap { $0.split(separator: ".", maxSplits: 1).last.map(String.init) }) == [
        "json", "nii.gz", "npz", "pkl",
      ])
    let predictions = trainer.outputFolder.appendingPathComponent("validation")
    for name in cases where name.hasSuffix(".npz") {
      let stored = try NumPyArchive(path: predictions.appendingPathComponent(name).path).array("probabilities")
      let (labels, _) = try SimpleITKReaderWriter().readSegmentation(
        predictions.appendingPathComponent(name.dropLast(4) + ".nii.gz"))
      try #require(stored.shape == [stored.shape[0]] + labels.spatialShape && stored.shape[0] > 1)
      let probabilities = try stored.elements(as: Float.self)
      let count = labels.voxelCount
      let isRight = (0..<count).allSatisfy { voxel in
        let values = (0..<stored.shape[0]).map { probabilities[$0 * count + voxel] }
        return abs(values.reduce(0, +) - 1) <= 1e-5
          && values.firstIndex(of: values.max() ?? -1) == Int(labels.elements[voxel])
      }
      #expect(isRight, "the probabilities in \(name) don't go with its segmentation")
    }
  }

  /// Stops in the middle of an epoch, in its validation and between epochs, and compares bit for bit.
  @Test(arguments: [2, 5, 6, 7]) func aResumedRunEndsWithTheSameBits(stopAfter: Int) throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let whole = try Trainer(data.run(epochs: 3), seed: 5, silent: true)
    _ = try whole.train()
    let expected = try weights(whole, "checkpoint_final")
    try FileManager.default.removeItem(at: whole.outputFolder)

    let first = try Trainer(data.run(epochs: 3), seed: 5, silent: true)
    let asked = Mutex(0)
    first.isStopRequested = {
      asked.withLock {
        $0 += 1
        return $0 >= stopAfter
      }
    }
    let outcome = try first.train()
    #expect(outcome == .interrupted)
    let second = try Trainer(data.run(epochs: 3), seed: 999, silent: true)
    try second.resume()
    let end = try second.train()
    #expect(end == .finished)
    let actual = try weights(second, "checkpoint_final")
    #expect(actual.count > 10 && actual == expected)
  }

  @Test func twoDimensionalConfigurationsTrainAndValidate() throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let trainer = try Trainer(data.run(epochs: 1, configuration: "2d"), seed: 1, silent: true)
    let outcome = try trainer.train()
    let validation = try trainer.validate(savingProbabilities: false)
    #expect(outcome == .finished && validation.failures.isEmpty && validation.summary.cases.count == 1)
  }

  @Test(arguments: [false, true]) func aStopRequestEndsTheValidationBetweenTiles(savingProbabilities: Bool) throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let trainer = try Trainer(data.run(epochs: 1, configuration: "2d"), seed: 1, silent: true)
    let asked = Mutex(0)
    trainer.isStopRequested = {
      asked.withLock {
        $0 += 1
        return $0 >= 3
      }
    }
    let error = #expect(throws: TrainingError.self) {
      try trainer.validate(savingProbabilities: savingProbabilities)
    }
    guard case .validationInterrupted = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    // Before the case and after two passes of its network; no more passes followed, and no file is left.
    let count = asked.withLock { $0 }
    #expect(count == 3)
    let left = try FileManager.default.contentsOfDirectory(
      atPath: trainer.outputFolder.appendingPathComponent("validation").path)
    #expect(left.isEmpty, "\(left)")
  }

  @Test func cascadesAreRefusedByName() throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let error = #expect(throws: TrainingError.self) { try data.run(epochs: 1, configuration: "3d_cascade_fullres") }
    #expect(error?.description.contains("3d_lowres") == true)
  }

  @Test func pretrainedWeightsComeWithoutTheHeads() throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let source = try Trainer(data.run(epochs: 1), seed: 1, silent: true)
    _ = try source.train()
    let file = source.outputFolder.appendingPathComponent("checkpoint_final.h5")
    let pretrained = try weights(source, "checkpoint_final")
    let target = try Trainer(data.run(epochs: 0, trainer: "nnUNetTrainer_1epoch"), seed: 2, silent: true)
    try target.loadPretrainedWeights(file)
    _ = try target.train()
    let started = try weights(target, "checkpoint_final")
    #expect(!pretrained.isEmpty)
    for (name, values) in pretrained where values.contains(where: { $0 != 0 }) {
      #expect((started[name] == values) == !name.contains(".seg_layers."), "\(name)")
    }
  }

  @Test func aNaNInACaseStopsTheTrainingAndNamesTheCase() throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let run = try data.run(epochs: 1)
    let store = try CaseStore(folder: run.caseFolder)
    for identifier in store.identifiers {
      var item = try store.load(identifier)
      for index in item.data.elements.indices { item.data.elements[index] = .nan }
      try CaseStore.write(item, identifier: identifier, to: store.folder)
    }
    let trainer = try Trainer(run, seed: 1, silent: true)
    let error = #expect(throws: TrainingError.self) { try trainer.train() }
    #expect(error?.description.contains("case_00") == true)
  }

  @Test func aDamagedCaseIsNamed() throws {
    let data = try SmallDataset()
    defer { data.remove() }
    let run = try data.run(epochs: 1)
    let store = try CaseStore(folder: run.caseFolder)
    for identifier in store.identifiers {
      try Data("damaged".utf8).write(to: store.folder.appendingPathComponent(identifier + ".h5"))
    }
    let trainer = try Trainer(run, seed: 1, silent: true)
    let error = #expect(throws: TrainingError.self) { try trainer.train() }
    #expect(error?.description.contains(".h5") == true)
  }
}
