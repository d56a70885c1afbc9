import Datasets
import Foundation
import Preprocessing
import Synchronization
import TensorCore
import TensorTestSupport
import Testing
import Volumes

@Suite struct PreprocessingRunTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

  private func preprocessor(_ golden: URL) throws -> Preprocessor {
    let plans = try Plans(contentsOf: golden.appendingPathComponent("plans.json"))
    return try Preprocessor(
      plans: plans, configuration: plans.configuration(named: "3d_fullres"),
      datasetDescription: DatasetDescription(contentsOf: golden.appendingPathComponent("dataset.json")))
  }

  private func cases(_ golden: URL) throws -> [DatasetCase] {
    try DatasetCase.list(in: golden.appendingPathComponent("imagesTr"), fileEnding: ".nii.gz").map {
      DatasetCase(
        identifier: $0.identifier, images: $0.images,
        label: golden.appendingPathComponent("labelsTr/\($0.identifier).nii.gz"))
    }
  }

  @Test func oneBadCaseDoesNotStopTheOthers() throws {
    guard let golden = Golden.folder("preprocess/hippocampus_no_resampling") else { return }
    defer { try? FileManager.default.removeItem(at: folder) }
    let good = try cases(golden)
    #expect(good.count == 2)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let broken = folder.appendingPathComponent("broken_0000.nii.gz")
    try Data("not an image".utf8).write(to: broken)
    let mixed = [
      good[0], DatasetCase(identifier: "broken", images: [broken], label: good[0].label),
      DatasetCase(identifier: "mismatch", images: good[0].images, label: good[1].label),
      DatasetCase(
        identifier: "missing", images: [URL(fileURLWithPath: "/nowhere/$DATA/x_0000.nii.gz")], label: good[0].label),
      DatasetCase(identifier: "channels", images: good[0].images + good[0].images, label: good[0].label), good[1],
    ]
    let store = folder.appendingPathComponent("store")
    let run = PreprocessingRun(preprocessor: try preprocessor(golden), folder: store)
    let seen = Mutex<[String]>([])
    let outcomes = try run.run(mixed) { progress in
      seen.withLock { $0.append(progress.identifier) }
      #expect(progress.total == 6)
    }
    #expect(outcomes[0] == .done && outcomes[5] == .done)
    for (index, word) in [
      (1, "broken_0000.nii.gz"), (2, "shape"), (3, "Set the environment variable"), (4, "2 channels"),
    ] {
      guard case .failed(let reason) = outcomes[index] else {
        Issue.record("case \(index): \(outcomes[index])")
        continue
      }
      #expect(reason.contains(word), "\(reason)")
    }
    #expect(seen.withLock { $0.sorted() } == mixed.map(\.identifier).sorted())
    let made = try CaseStore(folder: store)
    #expect(made.identifiers == good.map(\.identifier))
    let direct = try preprocessor(golden).run(images: good[1].images, segmentation: good[1].label)
    let loaded = try made.load(good[1].identifier)
    #expect(loaded.data == direct.data && loaded.segmentation == direct.segmentation)
    #expect(loaded.classLocations == direct.classLocations && loaded.properties == direct.properties)
  }

  @Test func keepsWhatIsUpToDate() throws {
    guard let golden = Golden.folder("preprocess/hippocampus_no_resampling") else { return }
    defer { try? FileManager.default.removeItem(at: folder) }
    let cases = try cases(golden)
    var run = PreprocessingRun(preprocessor: try preprocessor(golden), folder: folder)
    #expect(try run.run(cases) == [.done, .done])
    #expect(try run.run(cases) == [.kept, .kept])
    // A file that a crash left behind, or that is damaged, is made again.
    let file = folder.appendingPathComponent(cases[0].identifier + ".h5")
    try Data(contentsOf: file).prefix(1000).write(to: file)
    #expect(try run.run(cases) == [.done, .kept])
    run.overwrites = true
    #expect(try run.run(cases) == [.done, .done])
    // Other settings make other results.
    let plans = try Plans(contentsOf: golden.appendingPathComponent("plans.json"))
    var json = plans.json
    json["transpose_forward"] = [1, 0, 2]
    json["transpose_backward"] = [1, 0, 2]
    let other = try Plans(json: .object(json))
    let changed = PreprocessingRun(
      preprocessor: try Preprocessor(
        plans: other, configuration: other.configuration(named: "3d_fullres"),
        datasetDescription: DatasetDescription(contentsOf: golden.appendingPathComponent("dataset.json"))),
      folder: folder)
    #expect(try changed.run(cases) == [.done, .done])
  }

  @Test func casesInWorkAreLimitedByTheirMemory() throws {
    guard let golden = Golden.folder("preprocess/hippocampus_no_resampling") else { return }
    defer { try? FileManager.default.removeItem(at: folder) }
    let cases = try cases(golden)
    let many = (0..<12).map { index in
      let item = cases[index % 2]
      return DatasetCase(identifier: "case\(index)", images: item.images, label: item.label)
    }
    let preprocessor = try preprocessor(golden)
    let largest = try #require(many.map { try preprocessor.estimatedMemory(of: $0) }.max())
    var run = PreprocessingRun(preprocessor: preprocessor, folder: folder, overwrites: true, concurrency: 4)
    for (limit, count) in [(1, 1), (largest, 1), (2 * largest, 2)] {
      let gate = MemoryGate(limit: limit)
      #expect(try run.run(many, gate: gate, progress: { _ in }) == Array(repeating: .done, count: 12))
      #expect(gate.peak.count <= max(count, 1))
      // A case that is too large by itself is worked on alone.
      #expect(gate.peak.bytes <= max(limit, largest))
    }
    run.concurrency = 1
    let gate = try MemoryGate(configured: nil)
    #expect(try run.run(many, gate: gate, progress: { _ in }) == Array(repeating: .done, count: 12))
    #expect(gate.peak.count == 1)
  }

  @Test func theGateNeverLetsInMoreThanFits() throws {
    let gate = MemoryGate(limit: 10)
    let inside = Mutex((bytes: 0, count: 0, most: 0))
    let sizes = (0..<200).map { [1, 3, 9, 25, 5][$0 % 5] }
    WorkerPool(threads: 6).run(tasks: sizes.count) { index in
      try? gate.run(bytes: sizes[index]) {
        inside.withLock {
          $0 = ($0.bytes + sizes[index], $0.count + 1, max($0.most, $0.count + 1))
          #expect($0.bytes <= 10 || $0.count == 1)
        }
        usleep(50)
        inside.withLock { $0 = ($0.bytes - sizes[index], $0.count - 1, $0.most) }
      }
    }
    #expect(inside.withLock { $0.bytes == 0 && $0.count == 0 && $0.most > 1 })
    #expect(gate.peak.bytes <= 25 && gate.peak.count == inside.withLock { $0.most })
    // What no machine has is refused, and said in numbers.
    let error = #expect(throws: PreprocessingError.self) { try gate.run(bytes: 1 << 60) {} }
    #expect(error?.description.contains("GB of memory") == true)
  }

  @Test func aFailureLeavesNoOldResultBehind() throws {
    guard let golden = Golden.folder("preprocess/hippocampus_no_resampling") else { return }
    defer { try? FileManager.default.removeItem(at: folder) }
    let item = try cases(golden)[0]
    let image = folder.appendingPathComponent("in_0000.nii.gz")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try FileManager.default.copyItem(at: item.images[0], to: image)
    let store = folder.appendingPathComponent("store")
    let run = PreprocessingRun(preprocessor: try preprocessor(golden), folder: store)
    let copy = DatasetCase(identifier: "a", images: [image], label: item.label)
    #expect(try run.run([copy]) == [.done])
    try Data("damaged".utf8).write(to: image)
    guard case .failed = try run.run([copy])[0] else {
      Issue.record("a damaged image was preprocessed")
      return
    }
    #expect(try CaseStore(folder: store).identifiers.isEmpty)
  }

  @Test func aCascadeAddsOneChannelForEachLabel() {
    let item = PreprocessedCase(
      data: VoxelGrid(shape: [1, 1, 1, 3], elements: [5, 6, 7]),
      segmentation: VoxelGrid(shape: [1, 1, 1, 3], elements: [-1, 2, 1]),
      properties: CaseProperties(
        image: ImageProperties(spacing: [1, 1, 1]), shapeBeforeCropping: [1, 1, 3],
        boxUsedForCropping: BoundingBox(lower: [0, 0, 0], upper: [1, 1, 3]),
        shapeAfterCroppingAndBeforeResampling: [1, 1, 3]), classLocations: ClassLocations(entries: []))
    let result = item.appendingOneHot(of: [1, 2])
    #expect(result.data == VoxelGrid(shape: [3, 1, 1, 3], elements: [5, 6, 7, 0, 0, 1, 0, 1, 0]))
  }
}
