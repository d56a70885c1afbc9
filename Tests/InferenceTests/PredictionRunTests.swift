import Archives
import Datasets
import Foundation
import Inference
import ModelFormats
import Synchronization
import TensorTestSupport
import Testing
import Volumes

/// What happens around predictions: broken cases, continued and split runs, repeated use.
@Suite(.serialized)
struct PredictionRunTests {
  let folder: URL?
  let model: URL?

  init() throws {
    folder = Golden.folder("modelfolder/regions_resenc_transposed")
    model = folder?.appendingPathComponent("nnUNetTrainer__nnUNetPlans__3d_fullres")
  }

  static let fast = PredictionOptions(usesMirroring: false)

  @Test
  func brokenCasesEndAlone() throws {
    guard let folder, let model else { return }
    try withTemporaryFolder { temporary in
      let input = temporary.appendingPathComponent("in")
      let output = temporary.appendingPathComponent("out")
      try FileManager.default.createDirectory(at: input, withIntermediateDirectories: true)
      let images = folder.appendingPathComponent("imagesTs")
      func copy(_ source: String, _ target: String) throws {
        try FileManager.default.copyItem(
          at: images.appendingPathComponent(source), to: input.appendingPathComponent(target))
      }
      func replace(_ name: String, _ data: Data) throws {
        try FileManager.default.removeItem(at: input.appendingPathComponent(name))
        try data.write(to: input.appendingPathComponent(name))
      }
      for index in 0..<12 {
        let source = index % 2 == 0 ? "case_6" : "case_7"
        let name = "case_" + (index < 10 ? "0" : "") + String(index)
        try copy(source + "_0000.nii.gz", name + "_0000.nii.gz")
        try copy(source + "_0001.nii.gz", name + "_0001.nii.gz")
      }
      // Not an image; cut off; a channel missing; channels of different shapes; infinite voxels.
      try replace("case_01_0000.nii.gz", Data("no image at all".utf8))
      let whole = try Data(contentsOf: images.appendingPathComponent("case_6_0000.nii.gz"))
      try replace("case_03_0001.nii.gz", whole.prefix(whole.count / 2))
      try FileManager.default.removeItem(at: input.appendingPathComponent("case_04_0001.nii.gz"))
      try replace("case_07_0001.nii.gz", Data(contentsOf: images.appendingPathComponent("case_6_0000.nii.gz")))
      try Self.writeUnusable(
        to: input.appendingPathComponent("case_10_0000.nii.gz"),
        like: images.appendingPathComponent("case_6_0000.nii.gz"))
      let broken = ["case_01", "case_03", "case_04", "case_07", "case_10"]

      let predictor = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
      let settings = PredictionRun.Settings(inputFolder: input, outputFolder: output)
      let events = EventList()
      let report = try PredictionRun(predictor: predictor, settings: settings).run(progress: events)
      #expect(report.failures.map(\.identifier) == broken, "\(report.failures)")
      #expect(report.outcomes.count { $0.status == .done } == 7)
      #expect(!report.isComplete && !report.isCancelled)
      for outcome in report.failures {
        guard case .failed(let stage, let reason) = outcome.status else { continue }
        #expect([.reading, .preprocessing].contains(stage) && !reason.isEmpty, "\(outcome)")
      }
      let written = try FileManager.default.contentsOfDirectory(atPath: output.path)
      #expect(written.filter { $0.hasSuffix(".nii.gz") }.count == 7)
      for name in ["dataset.json", "plans.json", "predict_from_raw_data_args.json", "prediction_report.json"] {
        #expect(written.contains(name))
      }
      let json = try JSONField(contentsOf: output.appendingPathComponent("prediction_report.json"))
      #expect(try json.field("failed").int() == 5 && json.field("done").int() == 7)
      #expect(events.doneCount == 7 && events.failedCount == 5)
      // Told once, before the first case, with the peak of memory.
      #expect(events.summaries.count == 1)
      #expect(events.summaries[0].hasPrefix("compiled the network in ") && events.summaries[0].contains(" at most "))

      // Continuing does what is missing and nothing else.
      let good = output.appendingPathComponent("case_02.nii.gz")
      let date = try FileManager.default.attributesOfItem(atPath: good.path)[.modificationDate] as? Date
      try replace("case_01_0000.nii.gz", Data(contentsOf: images.appendingPathComponent("case_7_0000.nii.gz")))
      try FileManager.default.removeItem(at: output.appendingPathComponent("case_00.nii.gz"))
      var again = settings
      again.overwrites = false
      let second = try PredictionRun(predictor: predictor, settings: again).run(progress: SilentProgress())
      #expect(second.outcomes.filter { $0.status == .done }.map(\.identifier) == ["case_00", "case_01"])
      #expect(second.outcomes.count { $0.status == .skipped } == 6)
      #expect(second.failures.map(\.identifier) == Array(broken.dropFirst()))
      #expect(try FileManager.default.attributesOfItem(atPath: good.path)[.modificationDate] as? Date == date)
      // Copies of one image in one process give one result.
      let reader = SimpleITKReaderWriter()
      let first = try reader.readSegmentation(output.appendingPathComponent("case_00.nii.gz")).0
      for name in ["case_02", "case_06", "case_08"] {
        #expect(try reader.readSegmentation(output.appendingPathComponent(name + ".nii.gz")).0 == first)
      }
    }
  }

  @Test
  func partsAndOrderDoNotChangeResults() throws {
    guard let folder, let model else { return }
    try withTemporaryFolder { temporary in
      let predictor = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
      let input = folder.appendingPathComponent("imagesTs")
      var settings = PredictionRun.Settings(
        inputFolder: input, outputFolder: temporary.appendingPathComponent("together"))
      let whole = try PredictionRun(predictor: predictor, settings: settings).run(progress: SilentProgress())
      #expect(whole.outcomes.count == 2)
      // Half of the cases in each run, one case after the other.
      settings.outputFolder = temporary.appendingPathComponent("parts")
      settings.partCount = 2
      settings.preprocessingThreads = 0
      settings.exportThreads = 0
      for part in 0..<2 {
        settings.part = part
        let report = try PredictionRun(predictor: predictor, settings: settings).run(progress: SilentProgress())
        let identifiers = report.outcomes.map(\.identifier)
        #expect(identifiers == ["case_\(6 + part)"])
      }
      let reader = SimpleITKReaderWriter()
      for name in ["case_6.nii.gz", "case_7.nii.gz"] {
        let together = try reader.readSegmentation(temporary.appendingPathComponent("together/" + name)).0
        let parts = try reader.readSegmentation(temporary.appendingPathComponent("parts/" + name)).0
        #expect(together == parts)
      }
      settings.part = 2
      let impossible = settings
      #expect(throws: InferenceError.self) { try PredictionRun(predictor: predictor, settings: impossible) }
    }
  }

  @Test
  func otherWeightsDoNotDisturbAPredictor() throws {
    guard let folder, let model else { return }
    let reader = SimpleITKReaderWriter()
    let images = ["case_6_0000.nii.gz", "case_6_0001.nii.gz"].map {
      folder.appendingPathComponent("imagesTs").appendingPathComponent($0)
    }
    let (image, properties) = try reader.readImages(images)
    let first = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
    let before = try first.predict(image, properties: properties, keepsProbabilities: true)
    let second = try Predictor(modelFolder: model, folds: ["1"], options: Self.fast)
    let other = try second.predict(image, properties: properties, keepsProbabilities: true)
    let after = try first.predict(image, properties: properties, keepsProbabilities: true)
    #expect(before.segmentation == after.segmentation && before.probabilities == after.probabilities)
    #expect(other.probabilities != before.probabilities)
    // Without probabilities the same labels come by another way.
    #expect(try first.predict(image, properties: properties).segmentation == before.segmentation)
  }

  @Test
  func cancelledRunsLeaveWholeFilesOnly() throws {
    guard let folder, let model else { return }
    try withTemporaryFolder { temporary in
      let cancellation = Cancellation()
      let predictor = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
      let report = try PredictionRun(
        predictor: predictor,
        settings: .init(inputFolder: folder.appendingPathComponent("imagesTs"), outputFolder: temporary)
      ).run(progress: CancelAtFirstTile(cancellation: cancellation), cancellation: cancellation)
      #expect(report.isCancelled)
      let files = try FileManager.default.contentsOfDirectory(atPath: temporary.path).filter { $0.contains("case_") }
      #expect(files.isEmpty, "\(files)")
    }
  }

  @Test
  func ownCheckpointsPredictTheSame() throws {
    guard let folder, let model else { return }
    try withTemporaryFolder { temporary in
      let reference = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
      let own = temporary.appendingPathComponent("model")
      let fold = own.appendingPathComponent("fold_all")
      try FileManager.default.createDirectory(at: fold, withIntermediateDirectories: true)
      for name in ["plans.json", "dataset.json"] {
        try Data(contentsOf: model.appendingPathComponent(name)).write(to: own.appendingPathComponent(name))
      }
      let layout = reference.model.network.layout
      try TrainingCheckpoint(
        trainerName: "nnUNetTrainer_5epochs", configuration: reference.model.configuration.name, currentEpoch: 5,
        bestEMA: nil, inferenceAllowedMirroringAxes: [0, 2],
        networkWeights: reference.model.parameterSets[0].namedValues, aliases: layout.aliases, optimizerState: [],
        generators: [:], logging: [:]
      ).write(to: fold.appendingPathComponent("checkpoint_best.h5").path)
      let predictor = try Predictor(
        modelFolder: own, folds: ["all"], checkpointName: "checkpoint_best.pth", options: Self.fast)
      #expect(predictor.model.trainerName == "nnUNetTrainer_5epochs")
      #expect(predictor.model.allowedMirroringAxes == [0, 2])
      let (image, properties) = try SimpleITKReaderWriter().readImages(
        ["case_6_0000.nii.gz", "case_6_0001.nii.gz"].map {
          folder.appendingPathComponent("imagesTs").appendingPathComponent($0)
        })
      let found = try predictor.predict(image, properties: properties, keepsProbabilities: true)
      let expected = try reference.predict(image, properties: properties, keepsProbabilities: true)
      #expect(found.probabilities == expected.probabilities)
    }
  }

  @Test
  func casesThatDoNotFitAreRefused() throws {
    guard let folder, let model else { return }
    try withTemporaryFolder { temporary in
      let predictor = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
      var stages: [PredictionStage] = []
      // Enough for nothing; enough to preprocess.
      for limit in [1000, 3_000_000] {
        let settings = PredictionRun.Settings(
          inputFolder: folder.appendingPathComponent("imagesTs"), outputFolder: temporary, memoryLimit: limit)
        let report = try PredictionRun(predictor: predictor, settings: settings).run(progress: SilentProgress())
        #expect(report.failures.count == 2)
        for failure in report.failures {
          guard case .failed(let stage, let reason) = failure.status else { continue }
          stages.append(stage)
          #expect(reason.contains("memory") && reason.contains("MB"), "\(reason)")
        }
      }
      #expect(stages == [.reading, .reading, .network, .network])
    }
  }

  /// A large case among small ones is refused; the others share what there is.
  @Test
  func casesOnTheirWayShareTheLimit() throws {
    guard let folder, let model else { return }
    try withTemporaryFolder { temporary in
      let input = temporary.appendingPathComponent("in")
      try FileManager.default.createDirectory(at: input, withIntermediateDirectories: true)
      let images = folder.appendingPathComponent("imagesTs")
      let reader = SimpleITKReaderWriter()
      for channel in ["_0000.nii.gz", "_0001.nii.gz"] {
        for index in 0..<6 {
          try FileManager.default.copyItem(
            at: images.appendingPathComponent("case_6" + channel),
            to: input.appendingPathComponent("case_\(index)" + channel))
        }
        let properties = try reader.readProperties(images.appendingPathComponent("case_6" + channel)).1
        var large = VoxelGrid<Int16>(shape: [1, 120, 120, 120], repeating: 1)
        for index in large.elements.indices where index % 3 == 0 { large.elements[index] = 2 }
        try reader.writeSegmentation(
          large, to: input.appendingPathComponent("case_3x" + channel), properties: properties)
      }
      let predictor = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
      func report(limit: Int?, _ name: String) throws -> PredictionReport {
        try PredictionRun(
          predictor: predictor,
          settings: .init(
            inputFolder: input, outputFolder: temporary.appendingPathComponent(name), savesProbabilities: true,
            memoryLimit: limit)
        ).run(progress: SilentProgress())
      }
      // Room for one small case and a half.
      let alone = try #require(try needOfOneCase(predictor, images, temporary))
      let limit = alone * 3 / 2
      let limited = try report(limit: limit, "limited")
      #expect(limited.failures.map(\.identifier) == ["case_3x"], "\(limited.failures)")
      #expect(limited.largestReservation <= limit && limited.memoryLimit == limit)
      #expect(limited.outcomes.count { $0.status == .done } == 6)
      let free = try report(limit: nil, "free")
      #expect(free.isComplete && free.largestReservation > limit)
      for index in 0..<6 {
        let name = "case_\(index).nii.gz"
        let one = try reader.readSegmentation(temporary.appendingPathComponent("limited/" + name)).0
        #expect(try one == reader.readSegmentation(temporary.appendingPathComponent("free/" + name)).0)
      }
    }
  }

  /// What one small case reserves.
  private func needOfOneCase(_ predictor: Predictor, _ images: URL, _ temporary: URL) throws -> Int? {
    try PredictionRun(
      predictor: predictor,
      settings: .init(
        inputFolder: images, outputFolder: temporary.appendingPathComponent("one"), savesProbabilities: true,
        preprocessingThreads: 0, exportThreads: 0, partCount: 2)
    ).run(progress: SilentProgress()).largestReservation
  }

  /// What goes through a file class by class is what a prediction in memory gives, bit by bit.
  @Test
  func writtenProbabilitiesAreThoseInMemory() throws {
    for name in ["regions_resenc_transposed", "hippocampus_3d"] {
      guard let folder = Golden.folder("modelfolder/" + name) else { return }
      try withTemporaryFolder { temporary in
        let predictor = try Predictor(
          modelFolder: folder.appendingPathComponent("nnUNetTrainer__nnUNetPlans__3d_fullres"), folds: ["0"],
          options: Self.fast)
        let report = try PredictionRun(
          predictor: predictor,
          settings: .init(
            inputFolder: folder.appendingPathComponent("imagesTs"), outputFolder: temporary, savesProbabilities: true)
        ).run(progress: SilentProgress())
        #expect(report.isComplete, "\(report.failures)")
        let identifier = try #require(report.outcomes.first).identifier
        let files = (0..<predictor.model.datasetDescription.channelNames.count).map {
          folder.appendingPathComponent("imagesTs/\(identifier)_000\($0).nii.gz")
        }
        let (image, properties) = try predictor.readerWriter.readImages(files)
        let inMemory = try predictor.predict(image, properties: properties, keepsProbabilities: true)
        let expected = try #require(inMemory.probabilities)
        let written = try NumPyArchive(path: temporary.path + "/\(identifier).npz").array("probabilities")
        #expect(written.shape == expected.shape)
        let elements = try written.elements(as: Float.self)
        #expect(elements == expected.elements)
        let segmentation = try predictor.readerWriter.readSegmentation(
          temporary.appendingPathComponent(identifier + ".nii.gz")
        ).0
        #expect(segmentation == inMemory.segmentation)
        // Labels go together with probabilities.
        if predictor.model.labels.hasRegions { return }
        let count = expected.voxelCount
        #expect(
          segmentation.elements.indices.allSatisfy { voxel in
            let largest = (0..<expected.channelCount).map { elements[$0 * count + voxel] }.max() ?? 0
            return elements[Int(segmentation.elements[voxel]) * count + voxel] == largest
          })
        let hidden = try FileManager.default.contentsOfDirectory(atPath: temporary.path).filter { $0.hasPrefix(".") }
        #expect(hidden.isEmpty)
      }
    }
  }

  @Test
  func loadingNamesWhatIsWrong() throws {
    guard let folder, let model else { return }
    // What is there instead is named.
    let noFold = #expect(throws: DatasetError.self) { try Predictor(modelFolder: model, folds: ["3"]) }
    #expect(noFold?.advice == "Name folds that have it: -f 0 1", "\(String(describing: noFold))")
    let noModel = #expect(throws: DatasetError.self) { try Predictor(modelFolder: folder) }
    #expect(noModel?.advice.contains(model.lastPathComponent) == true, "\(String(describing: noModel))")
    let nowhere = #expect(throws: DatasetError.self) {
      try Predictor(modelFolder: folder.appendingPathComponent("nnUNetTrainer__nnUNetPlans__2d"))
    }
    #expect(nowhere?.advice.contains(model.lastPathComponent) == true, "\(String(describing: nowhere))")
    let noCheckpoint = #expect(throws: DatasetError.self) {
      try Predictor(modelFolder: model, folds: ["0"], checkpointName: "checkpoint_best.pth")
    }
    #expect(noCheckpoint?.advice.contains("checkpoint_final.pth") == true, "\(String(describing: noCheckpoint))")
    #expect(throws: InferenceError.self) { try Predictor(modelFolder: model, checkpointName: "checkpoint_best.pth") }
    #expect(try Predictor(modelFolder: model).model.folds == ["0", "1"])
    if let cascade = Golden.folder("modelfolder/cascade") {
      let predictor = try Predictor(
        modelFolder: cascade.appendingPathComponent("nnUNetTrainer__nnUNetPlans__3d_cascade_fullres"), folds: ["0"])
      #expect(throws: InferenceError.self) {
        try PredictionRun(
          predictor: predictor,
          settings: .init(inputFolder: cascade.appendingPathComponent("imagesTs"), outputFolder: folder))
      }
      let missing = cascade.appendingPathComponent("nowhere")
      #expect(throws: InferenceError.previousStageMissing(file: missing.path)) {
        try PredictionRun(
          predictor: predictor,
          settings: .init(
            inputFolder: cascade.appendingPathComponent("imagesTs"), outputFolder: folder,
            previousStageFolder: missing))
      }
    }
  }

  /// A run into its own input folder can be repeated: the results are no cases.
  @Test
  func resultsBesideTheImagesAreNoCases() throws {
    guard let folder, let model else { return }
    try withTemporaryFolder { temporary in
      for channel in ["_0000.nii.gz", "_0001.nii.gz"] {
        try FileManager.default.copyItem(
          at: folder.appendingPathComponent("imagesTs/case_6" + channel),
          to: temporary.appendingPathComponent("case_6" + channel))
      }
      let predictor = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
      func identifiers(input: URL) throws -> [String] {
        let settings = PredictionRun.Settings(inputFolder: input, outputFolder: temporary)
        let report = try PredictionRun(predictor: predictor, settings: settings).run(progress: SilentProgress())
        #expect(report.isComplete, "\(report.failures)")
        return report.outcomes.map(\.identifier)
      }
      #expect(try identifiers(input: temporary) == ["case_6"])
      let detour = temporary.appendingPathComponent("../" + temporary.lastPathComponent)
      #expect(try identifiers(input: detour) == ["case_6"])
    }
  }

  @Test
  func aVoxelThatIsNotANumberIsFoundInTheFile() throws {
    guard let folder, let model else { return }
    let predictor = try Predictor(modelFolder: model, folds: ["0"], options: Self.fast)
    let files = ["_0000.nii.gz", "_0001.nii.gz"].map { folder.appendingPathComponent("imagesTs/case_6" + $0) }
    var (image, properties) = try predictor.readerWriter.readImages(files)
    let (height, width) = (image.shape[2], image.shape[3])
    image.elements[image.voxelCount + (5 * height + 4) * width + 3] = .nan
    #expect(throws: InferenceError.nonFiniteImage(channel: 1, index: [5, 4, 3], isInFile: true)) {
      try predictor.predict(image, properties: properties)
    }
  }

  /// A float image of the same shape with a voxel that is not a number, not compressed in spite of its name.
  private static func writeUnusable(to file: URL, like other: URL) throws {
    let (image, _) = try SimpleITKReaderWriter().readImages([other])
    var header = [UInt8](repeating: 0, count: 352)
    func put<Value>(_ value: Value, _ offset: Int) {
      withUnsafeBytes(of: value) { header.replaceSubrange(offset..<offset + $0.count, with: $0) }
    }
    put(Int32(348), 0)
    put(Int16(3), 40)
    for axis in 0..<3 { put(Int16(image.shape[3 - axis]), 42 + 2 * axis) }
    for axis in 3..<7 { put(Int16(1), 42 + 2 * axis) }
    put(Int16(16), 70)
    put(Int16(32), 72)
    for axis in 0..<8 { put(Float(1), 76 + 4 * axis) }
    put(Float(352), 108)
    put((UInt8(ascii: "n"), UInt8(ascii: "+"), UInt8(ascii: "1"), UInt8(0)), 344)
    var voxels = image.elements
    voxels[voxels.count / 2] = .nan
    try FileManager.default.removeItem(at: file)
    try (Data(header) + voxels.withUnsafeBytes { Data($0) }).write(to: file)
  }
}

/// Counts what a run tells.
private final class EventList: PredictionProgress {
  private let counts = Mutex((done: 0, failed: 0, summaries: [String]()))
  var doneCount: Int { counts.withLock { $0.done } }
  var failedCount: Int { counts.withLock { $0.failed } }
  /// What was said of the compilation before any case was done.
  var summaries: [String] { counts.withLock { $0.summaries } }

  func report(_ event: PredictionEvent) {
    counts.withLock { counts in
      switch event {
      case .caseDone: counts.done += 1
      case .caseFailed: counts.failed += 1
      case .networkCompiled(let summary): if counts.done == 0 { counts.summaries.append(summary) }
      default: break
      }
    }
  }
}

private struct CancelAtFirstTile: PredictionProgress {
  let cancellation: Cancellation

  func report(_ event: PredictionEvent) {
    if case .tiles = event { cancellation.cancel() }
  }
}
