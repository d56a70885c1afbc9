import Datasets
import Foundation
import Preprocessing
import Synchronization
import TensorCore
import Volumes

/// What is wrong with a raw data set, all of it at once.
///
/// nnU-Net: experiment_planning/verify_dataset_integrity.py, which stops at the first kind of error; here every check
/// that still makes sense goes on, and files that nothing refers to and duplicated cases are found too.
public struct DatasetIntegrity: Sendable {
  public struct Finding: Sendable, Hashable, CustomStringConvertible {
    public enum Severity: String, Sendable, Hashable {
      /// Planning, preprocessing or training would fail, or learn from wrong data.
      case fatal
      /// Worth a look; nothing fails.
      case warning
    }

    public let severity: Severity
    public let file: String
    public let problem: String
    /// What to do.
    public let advice: String

    public var description: String {
      "[\(severity.rawValue)] \(file): \(problem)" + (advice.isEmpty ? "" : ". \(advice)")
    }
  }

  /// Those of the data set as a whole first, then case by case.
  public let findings: [Finding]
  public let caseCount: Int

  public var isFatal: Bool { findings.contains { $0.severity == .fatal } }

  /// Checks a raw data set's folder.
  /// - Parameter progress: is told how many cases are done and how many there are, from any thread.
  public init(
    rawFolder: URL, pool: WorkerPool = .shared,
    progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
  ) {
    var checker = IntegrityChecker(rawFolder: rawFolder)
    checker.check(pool: pool, progress: progress)
    findings = checker.findings
    caseCount = checker.cases.count
  }

  /// One line per finding, and a summary.
  public var report: String {
    let fatal = findings.count { $0.severity == .fatal }
    let summary =
      findings.isEmpty
      ? "\(caseCount) cases checked, nothing found: the data set is most likely fine"
      : "\(caseCount) cases checked: \(fatal) fatal findings, \(findings.count - fatal) warnings"
    return (findings.map(\.description) + [summary]).joined(separator: "\n")
  }
}

private typealias Finding = DatasetIntegrity.Finding

private struct IntegrityChecker {
  let rawFolder: URL
  var findings: [Finding] = []
  var cases: [DatasetCase] = []

  init(rawFolder: URL) {
    self.rawFolder = rawFolder
  }

  private mutating func add(_ severity: Finding.Severity, _ file: String, _ problem: String, _ advice: String) {
    findings.append(Finding(severity: severity, file: file, problem: problem, advice: advice))
  }

  private mutating func add(_ error: any Error, _ file: String) {
    if let error = error as? DatasetError {
      add(.fatal, error.file ?? file, error.problem, error.advice)
    } else {
      add(.fatal, file, "\(error)", "Correct the file")
    }
  }

  mutating func check(pool: WorkerPool, progress: @escaping @Sendable (Int, Int) -> Void) {
    let descriptionFile = rawFolder.appendingPathComponent("dataset.json")
    let description: DatasetDescription
    do {
      description = try DatasetDescription(contentsOf: descriptionFile)
    } catch {
      return add(error, descriptionFile.path)
    }
    for remark in description.remarks { add(.warning, descriptionFile.path, remark, "") }
    let labels = checkLabels(description, descriptionFile.path)
    do {
      cases = try DatasetFolders.trainingCases(rawFolder: rawFolder, description: description)
    } catch {
      return add(error, rawFolder.path)
    }
    checkCaseCount(description, descriptionFile.path)
    checkFiles(description)
    let reader: any ImageReaderWriter
    do {
      reader = try ReaderWriters.choose(for: description, rawFolder: rawFolder)
    } catch {
      return add(error, descriptionFile.path)
    }

    let channelCount = description.channelNames.count
    let results = Mutex([CaseResult?](repeating: nil, count: cases.count))
    let done = Atomic<Int>(0)
    let cases = cases
    let gate: MemoryGate
    do {
      gate = try MemoryGate(configured: nil)
    } catch {
      return add(.fatal, descriptionFile.path, "no case was read: \(error)", "Correct the environment variable")
    }
    pool.run(tasks: cases.count) { index in
      let result = CaseResult(cases[index], channelCount: channelCount, labels: labels, reader: reader, gate: gate)
      results.withLock { $0[index] = result }
      progress(done.add(1, ordering: .relaxed).newValue, cases.count)
    }
    var first: [UInt64: DatasetCase] = [:]
    for (item, result) in zip(cases, results.withLock { $0 }) {
      guard let result else { continue }
      findings += result.findings
      guard let digest = result.digest else { continue }
      if let other = first[digest] {
        add(
          .warning, item.images.first?.path ?? item.identifier,
          "the case \(item.identifier) has the same voxels as the case \(other.identifier)",
          "Remove one of them: in different folds the same image would be trained on and validated with")
      } else {
        first[digest] = item
      }
    }
  }

  // MARK: The data set as a whole

  /// The labels that may occur, or `nil` if they aren't known.
  private mutating func checkLabels(_ description: DatasetDescription, _ file: String) -> Set<Int>? {
    do {
      let manager = try LabelManager(description)
      let labels = manager.allLabels + (manager.ignoreLabel.map { [$0] } ?? [])
      for (label, next) in zip(labels, labels.dropFirst()) where next != label + 1 {
        add(
          .fatal, file, "the labels are not consecutive: \(label) is followed by \(next)",
          "Renumber the labels in dataset.json and in the segmentations to 0, 1, 2, ...")
      }
      return Set(labels)
    } catch {
      add(error, file)
      return nil
    }
  }

  private mutating func checkCaseCount(_ description: DatasetDescription, _ file: String) {
    guard let expected = description.trainingCaseCount else {
      return add(.fatal, file, "the key 'numTraining' is missing", "Add \"numTraining\": \(cases.count)")
    }
    if expected != cases.count {
      add(
        .fatal, file, "'numTraining' is \(expected), but there are \(cases.count) training cases",
        "Correct the number, or add what is missing")
    } else if cases.isEmpty {
      add(
        .fatal, file, "there are no training cases", "Put images named CASE_0000\(description.fileEnding) into imagesTr"
      )
    }
  }

  private mutating func checkFiles(_ description: DatasetDescription) {
    let ending = description.fileEnding
    var users: [String: String] = [:]
    for item in cases {
      if item.images.isEmpty {
        add(.fatal, item.identifier, "the case has no image", "List its images in dataset.json")
      }
      for file in item.images + (item.label.map { [$0] } ?? []) {
        if !FileManager.default.fileExists(atPath: file.path) {
          let isLabel = file == item.label
          add(
            .fatal, file.path, "the \(isLabel ? "segmentation" : "image") of the case \(item.identifier) is missing",
            isLabel ? "Add it, or remove the case's images" : "Add it, or remove the case from dataset.json")
        }
        if let other = users[file.path], other != item.identifier {
          add(.fatal, file.path, "the cases \(other) and \(item.identifier) use the same file", "Correct dataset.json")
        }
        users[file.path] = item.identifier
      }
      if item.label == nil {
        add(.fatal, item.identifier, "the case has no segmentation", "Give it a 'label' in dataset.json")
      }
      if description.listedCases == nil {
        for (channel, file) in item.images.enumerated()
        where DatasetCase.parseImageFileName(file.lastPathComponent, fileEnding: ending)?.channel != channel {
          let name = DatasetCase.imageFileName(item.identifier, channel: channel, fileEnding: ending)
          add(.fatal, file.path, "the file before it, \(name), is missing", "Number the channels 0000, 0001, ...")
          break
        }
      }
    }
    guard description.listedCases == nil else { return }
    let images = rawFolder.appendingPathComponent("imagesTr")
    let labels = rawFolder.appendingPathComponent("labelsTr")
    for name in (try? DatasetCase.unrecognizedFiles(in: images, fileEnding: ending)) ?? [] {
      add(
        .warning, images.appendingPathComponent(name).path, "the file belongs to no case and is left out",
        "Name images CASE_0000\(ending), with the channel's number in four digits")
    }
    checkEndings(of: [images, labels], ending)
    let identifiers = Set(cases.map(\.identifier))
    do {
      for name in try DatasetCase.fileNames(in: labels)
      where name.hasSuffix(ending) && !identifiers.contains(String(name.dropLast(ending.count))) {
        add(
          .warning, labels.appendingPathComponent(name).path, "there is no image for this segmentation",
          "Add the image to imagesTr, or remove the segmentation")
      }
    } catch {
      add(error, labels.path)
    }
  }
}

extension IntegrityChecker {
  /// Images of another format than the data set's take no part, which is easily overlooked.
  private mutating func checkEndings(of folders: [URL], _ ending: String) {
    let known = [
      ".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".gipl",
    ]
    for folder in folders {
      for name in (try? DatasetCase.fileNames(in: folder)) ?? [] where !name.hasPrefix(".") && !name.hasSuffix(ending) {
        guard known.contains(where: { name.lowercased().hasSuffix($0) }) else { continue }
        add(
          .warning, folder.appendingPathComponent(name).path,
          "the file's ending is not the data set's 'file_ending' (\(ending)), so it is left out",
          "Convert it, or move it elsewhere")
      }
    }
  }
}

// MARK: One case

private struct CaseResult {
  var findings: [Finding] = []
  /// Equal for cases with equal voxels.
  var digest: UInt64?

  /// Looks at a case when there is memory for it.
  init(
    _ item: DatasetCase, channelCount: Int, labels: Set<Int>?, reader: any ImageReaderWriter, gate: MemoryGate
  ) {
    do {
      // A file whose header can't be read is reported by the attempt to read all of it.
      let bytes = (try? item.estimatedMemory(reader: reader)) ?? 0
      self = try gate.run(bytes: bytes) {
        CaseResult(item, channelCount: channelCount, labels: labels, reader: reader)
      }
    } catch {
      self.init()
      add(
        .fatal, item.images.first ?? URL(fileURLWithPath: item.identifier), "\(error)",
        "Preprocessing would need the same memory")
    }
  }

  private init() {}

  private init(_ item: DatasetCase, channelCount: Int, labels: Set<Int>?, reader: any ImageReaderWriter) {
    // Missing files were reported with the data set.
    let isThere = { (file: URL) in FileManager.default.fileExists(atPath: file.path) }
    var image: (grid: VoxelGrid<Float>, properties: ImageProperties)?
    if let first = item.images.first, item.images.allSatisfy(isThere) {
      do {
        image = try reader.readImages(item.images)
      } catch {
        addFailure(error, first)
      }
      if let image { checkImage(image.grid, item, first, channelCount) }
    }
    guard let label = item.label, isThere(label) else { return }
    let segmentation: (grid: VoxelGrid<Int16>, properties: ImageProperties)
    do {
      segmentation = try reader.readSegmentation(label)
    } catch {
      addFailure(error, label)
      return
    }
    if let labels { checkLabels(segmentation.grid, label, labels) }
    guard let image else { return }
    if image.grid.spatialShape != segmentation.grid.spatialShape {
      add(
        .fatal, label, "its shape \(segmentation.grid.spatialShape) isn't the image's \(image.grid.spatialShape)",
        "Resample the segmentation onto the image's grid")
    }
    checkGeometry(image.properties, segmentation.properties, label)
  }

  private mutating func add(_ severity: Finding.Severity, _ file: URL, _ problem: String, _ advice: String) {
    findings.append(Finding(severity: severity, file: file.path, problem: problem, advice: advice))
  }

  private mutating func addFailure(_ error: any Error, _ file: URL) {
    // The error names the file itself.
    var text = "\(error)"
    if text.hasPrefix(file.path + ": ") { text.removeFirst(file.path.count + 2) }
    add(.fatal, file, text, "Correct or replace the file")
  }

  private mutating func checkImage(_ image: VoxelGrid<Float>, _ item: DatasetCase, _ file: URL, _ channelCount: Int) {
    if image.channelCount != channelCount {
      add(
        .fatal, file,
        "the case \(item.identifier) has \(image.channelCount) channels, but dataset.json names \(channelCount)",
        "Add or remove files, or correct 'channel_names'")
    }
    var hash = image.shape.reduce(UInt64(0x9E37_79B9_7F4A_7C15)) { Self.mix($0, UInt64(bitPattern: Int64($1))) }
    var nanCounts = [Int](repeating: 0, count: image.channelCount)
    var infiniteCounts = nanCounts
    image.elements.withUnsafeBufferPointer { values in
      for channel in 0..<image.channelCount {
        var finite = true
        for index in channel * image.voxelCount..<(channel + 1) * image.voxelCount {
          hash = Self.mix(hash, UInt64(values[index].bitPattern))
          finite = finite && values[index].isFinite
        }
        if finite { continue }
        for value in values[channel * image.voxelCount..<(channel + 1) * image.voxelCount] {
          nanCounts[channel] += value.isNaN ? 1 : 0
          infiniteCounts[channel] += value.isInfinite ? 1 : 0
        }
      }
    }
    for channel in 0..<image.channelCount {
      let file = item.images.count == image.channelCount ? item.images[channel] : file
      if nanCounts[channel] > 0 {
        add(
          .fatal, file, "\(nanCounts[channel]) voxels are NaN",
          "Replace them by a number that makes sense for the image")
      }
      if infiniteCounts[channel] > 0 {
        add(.fatal, file, "\(infiniteCounts[channel]) voxels are infinite", "Replace them by the largest finite value")
      }
    }
    digest = hash
  }

  private static func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
    let product = (hash ^ word) &* 0xD6E8_FEB8_6659_FD93
    return product ^ (product >> 32)
  }

  private mutating func checkLabels(_ segmentation: VoxelGrid<Int16>, _ file: URL, _ labels: Set<Int>) {
    var found = Set<Int16>()
    var last: Int16?
    // Labels come in runs, so most voxels need no look into the set.
    for label in segmentation.elements where label != last {
      found.insert(label)
      last = label
    }
    let unexpected = found.map(Int.init).filter { !labels.contains($0) }.sorted()
    if !unexpected.isEmpty {
      add(
        .fatal, file, "it has the labels \(unexpected), which dataset.json doesn't name",
        "Name them in dataset.json, or correct the segmentation (allowed are \(labels.sorted()))")
    }
    if found == [0] { add(.warning, file, "it is all background", "Check that this is meant") }
  }

  private mutating func checkGeometry(_ image: ImageProperties, _ segmentation: ImageProperties, _ file: URL) {
    func differs(_ a: [Double], _ b: [Double]) -> Bool { !allClose(b, a) }
    if differs(image.spacing, segmentation.spacing) {
      add(
        .fatal, file, "its spacing \(segmentation.spacing) isn't the image's \(image.spacing)",
        "Give both the same header, or resample the segmentation onto the image's grid")
    }
    let advice = "Check that they lie on each other, with nnUNetv2_plot_overlay_pngs or a viewer"
    if let a = image.sitkStuff, let b = segmentation.sitkStuff {
      if differs(a.origin, b.origin) {
        add(.warning, file, "its origin \(b.origin) isn't the image's \(a.origin)", advice)
      }
      if differs(a.direction, b.direction) {
        add(.warning, file, "its direction \(b.direction) isn't the image's \(a.direction)", advice)
      }
    }
    if let a = image.nibabelStuff?.originalAffine, let b = segmentation.nibabelStuff?.originalAffine,
      differs(a.flatMap { $0 }, b.flatMap { $0 })
    {
      add(.warning, file, "its affine matrix \(b) isn't the image's \(a)", advice)
    }
  }
}
