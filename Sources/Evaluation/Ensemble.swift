import Archives
import Datasets
import Foundation
import TensorCore
import Volumes

/// Averages the probabilities that several models predicted for the same cases, and turns the means into segmentations.
///
/// Piece by piece: of the probabilities memory holds a million values of a class and of each member; besides, for every
/// voxel its largest probability so far and its label, 6 bytes.
///
/// nnU-Net: `ensemble_folders` of `nnunetv2/ensembling/ensemble.py`.
public struct Ensemble: Sendable {
  /// What is averaged.
  public enum Source: Sendable {
    /// Folders with `CASE.npz` and `CASE.pkl`, written with `--save_probabilities`.
    case predictions([URL])
    /// Trained models whose folds were validated with `--npz`.
    case crossValidations(modelFolders: [URL], folds: [FoldSelection])
  }

  public var source: Source
  public var outputFolder: URL
  public var description: DatasetDescription
  public var labels: LabelManager
  public var readerWriter: any ImageReaderWriter
  /// Whether the averaged probabilities are written, too.
  public var savesProbabilities: Bool
  /// Whether cases with a segmentation are averaged again.
  public var overwrites = true

  /// - Parameters:
  ///   - datasetFile, plansFile: `nil` takes `dataset.json` and `plans.json` of the first folder.
  public init(
    inputFolders: [URL], outputFolder: URL, datasetFile: URL? = nil, plansFile: URL? = nil, savesProbabilities: Bool
  ) throws {
    try self.init(
      .predictions(inputFolders), firstFolder: inputFolders.first, outputFolder: outputFolder,
      datasetFile: datasetFile, plansFile: plansFile, savesProbabilities: savesProbabilities)
  }

  /// Of the validations of trained models; `dataset.json` and `plans.json` are the first one's.
  public init(modelFolders: [URL], folds: [FoldSelection], outputFolder: URL) throws {
    try self.init(
      .crossValidations(modelFolders: modelFolders, folds: folds), firstFolder: modelFolders.first,
      outputFolder: outputFolder, datasetFile: nil, plansFile: nil, savesProbabilities: false)
  }

  private init(
    _ source: Source, firstFolder: URL?, outputFolder: URL, datasetFile: URL?, plansFile: URL?,
    savesProbabilities: Bool
  ) throws {
    guard let first = firstFolder else {
      throw EvaluationError.fileMissing(file: "input folders", advice: "Name at least one folder")
    }
    self.source = source
    self.outputFolder = outputFolder
    self.savesProbabilities = savesProbabilities
    description = try DatasetDescription(contentsOf: datasetFile ?? first.appendingPathComponent("dataset.json"))
    labels = try LabelManager(description)
    let plans = try Plans(contentsOf: plansFile ?? first.appendingPathComponent("plans.json"))
    readerWriter = try ReaderWriters.choose(
      fileEnding: description.fileEnding, overwriteName: plans.imageReaderWriter, exampleFile: nil)
  }

  /// Averages all cases, several at a time, and writes segmentations and `dataset.json`.
  /// - Returns: the cases that could not be done, with their reasons; the others are written.
  /// - Throws: ``EvaluationError`` if the folders do not hold the same cases.
  public func run(threads: Int?, caseDone: @Sendable (Int, Int) -> Void) throws -> [CaseFailure] {
    let members = try members()
    let all = members.reduce(into: Set()) { $0.formUnion($1.files.keys) }
    for member in members {
      let missing = all.subtracting(member.files.keys)
      guard missing.isEmpty else {
        throw EvaluationError.membersDiffer(
          folder: member.folder.path, missing: missing.sorted(by: precedesByCodePoint))
      }
    }
    try FileManager.default.makeFolder(outputFolder)
    try description.write(to: outputFolder.appendingPathComponent("dataset.json"))
    let identifiers = all.sorted(by: precedesByCodePoint).map { String($0.dropLast(4)) }.filter {
      overwrites || !FileManager.default.fileExists(atPath: segmentationFile($0).path)
    }
    let outcomes = inParallel(identifiers, threads: threads, done: caseDone) { identifier in
      try merge(members.compactMap { $0.files[identifier + ".npz"] }, identifier)
    }
    return zip(identifiers, outcomes).compactMap { identifier, outcome in
      if case .failure(let error) = outcome { CaseFailure(identifier: identifier, reason: "\(error)") } else { nil }
    }
  }

  private func segmentationFile(_ identifier: String) -> URL {
    outputFolder.appendingPathComponent(identifier + description.fileEnding)
  }

  private struct Member {
    let folder: URL
    /// By name.
    let files: [String: URL]
  }

  private func members() throws -> [Member] {
    func files(_ folder: URL) throws -> [String: URL] {
      let names = try fileNames(in: folder, ending: ".npz")
      return Dictionary(uniqueKeysWithValues: names.map { ($0, folder.appendingPathComponent($0)) })
    }
    switch source {
    case .predictions(let folders):
      let members = try folders.map { Member(folder: $0, files: try files($0)) }
      guard members.contains(where: { !$0.files.isEmpty }) else {
        throw EvaluationError.noFiles(folder: folders[0].path, ending: ".npz")
      }
      return members
    case .crossValidations(let models, let folds):
      return try models.map { model in
        Member(
          folder: model,
          files: try folds.reduce(into: [:]) { all, fold in
            let folder = try CrossValidationResults.validationFolder(model, fold)
            let found = try files(folder)
            guard !found.isEmpty else { throw EvaluationError.noProbabilities(folder: folder.path) }
            try all.merge(found) { throw EvaluationError.caseInTwoFolds(file: $0.path, other: $1.path) }
          })
      }
    }
  }

  private func merge(_ urls: [URL], _ identifier: String) throws {
    let files = urls.map(\.path)
    let propertiesFile = String(files[0].dropLast(4)) + ".pkl"
    guard FileManager.default.fileExists(atPath: propertiesFile) else {
      throw EvaluationError.fileMissing(
        file: propertiesFile, advice: "It lies beside the .npz file; predict again with --save_probabilities")
    }
    let pickled = try Pickle.read(path: propertiesFile)
    let properties = try ImageProperties(pickled: pickled, file: propertiesFile)
    let readers = try files.map { try NumPyArchive(path: $0).reader("probabilities") }
    let shape = readers[0].shape
    for (file, reader) in zip(files, readers) {
      guard reader.shape == shape else {
        throw EvaluationError.arraysDiffer(
          file: file, shape: reader.shape, otherFile: files[0], otherShape: shape)
      }
    }
    guard shape.count == 4, shape[0] == labels.segmentationHeadCount else {
      throw EvaluationError.wrongArray(
        file: files[0], expected: "probabilities of \(labels.segmentationHeadCount) classes or regions and three axes",
        found: "the shape \(shape)")
    }
    var classifier = ProbabilityClassifier(labels: labels, spatialShape: Array(shape.dropFirst()))
    let output = outputFolder.appendingPathComponent(identifier)
    if savesProbabilities {
      try NumPyArchiveWriter.create(atomicallyAt: output.path + ".npz") { writer in
        try writer.begin("probabilities", shape: shape, kind: .float32)
        try average(readers, voxelCount: classifier.voxelCount) { probabilities, start in
          try writer.append(probabilities)
          classifier.add(probabilities, at: start)
        }
      }
      try Pickle.write(pickled, atomicallyAt: output.path + ".pkl")
    } else {
      try average(readers, voxelCount: classifier.voxelCount) { classifier.add($0, at: $1) }
    }
    try readerWriter.writeSegmentation(
      classifier.segmentation, to: segmentationFile(identifier), properties: properties)
  }

  /// The mean of one class after the other in pieces, added in the order of the members and divided in float32.
  private func average(
    _ readers: [NumPyReader], voxelCount: Int, _ body: (_ probabilities: [Float], _ start: Int) throws -> Void
  ) throws {
    let pieceSize = 1 << 20
    let count = Float(readers.count)
    for _ in 0..<labels.segmentationHeadCount {
      for start in stride(from: 0, to: voxelCount, by: pieceSize) {
        let size = min(pieceSize, voxelCount - start)
        var mean = try readers[0].read(size, as: Float.self)
        for reader in readers.dropFirst() {
          let other = try reader.read(size, as: Float.self)
          for index in mean.indices { mean[index] += other[index] }
        }
        for index in mean.indices { mean[index] /= count }
        try body(mean, start)
      }
    }
  }
}

/// Makes a label map of probabilities that come class by class, each in pieces.
///
/// nnU-Net: `LabelManager.convert_probabilities_to_segmentation`: the first largest class, or for regions in their
/// order whatever is above one half, later ones over earlier ones.
struct ProbabilityClassifier {
  private let labels: LabelManager
  private var best: [Float]
  private var index = 0
  private(set) var segmentation: VoxelGrid<Int16>

  init(labels: LabelManager, spatialShape: [Int]) {
    self.labels = labels
    segmentation = VoxelGrid(shape: [1] + spatialShape, repeating: 0)
    best = labels.hasRegions ? [] : Array(repeating: -.infinity, count: segmentation.voxelCount)
  }

  var voxelCount: Int { segmentation.voxelCount }

  /// - Parameter start: the voxel of the first probability; a class begins at 0 and ends with the last voxel.
  mutating func add(_ probabilities: [Float], at start: Int) {
    let regionLabel = labels.hasRegions ? Int16(clamping: labels.regionsClassOrder[index]) : nil
    let classLabel = Int16(clamping: index)
    segmentation.elements.withUnsafeMutableBufferPointer { segmentation in
      best.withUnsafeMutableBufferPointer { best in
        for (offset, probability) in probabilities.enumerated() {
          let voxel = start + offset
          if let regionLabel {
            if probability > 0.5 { segmentation[voxel] = regionLabel }
          } else if probability > best[voxel] {
            best[voxel] = probability
            segmentation[voxel] = classLabel
          }
        }
      }
    }
    if start + probabilities.count == voxelCount { index += 1 }
  }
}

extension ImageProperties {
  /// Reads what a writer needs from the properties in nnU-Net's `.pkl` files.
  init(pickled value: PickleValue, file: String) throws {
    func numbers(_ value: PickleValue?) -> [Double]? { value?.numbers }
    guard let spacing = numbers(value["spacing"]) else {
      throw EvaluationError.wrongArray(
        file: file, expected: "properties with a list 'spacing'", found: "something else")
    }
    var geometry: SimpleITKGeometry?
    if let stuff = value["sitk_stuff"] {
      guard let spacing = numbers(stuff["spacing"]), let origin = numbers(stuff["origin"]),
        let direction = numbers(stuff["direction"])
      else {
        throw EvaluationError.wrongArray(
          file: file, expected: "'sitk_stuff' with spacing, origin and direction", found: "something else")
      }
      geometry = SimpleITKGeometry(spacing: spacing, origin: origin, direction: direction)
    }
    var nibabel: NibabelGeometry?
    func matrix(_ key: String) throws -> [[Double]]? {
      guard let affine = value["nibabel_stuff"]?[key] else { return nil }
      let flat = affine.numPyArray.flatMap { try? $0.elements(as: Double.self) }
      let rows =
        flat.map { flat in (0..<4).map { Array(flat.dropFirst($0 * 4).prefix(4)) } }
        ?? affine.elements?.compactMap(\.numbers)
      guard let rows, rows.count == 4, rows.allSatisfy({ $0.count == 4 }) else {
        throw EvaluationError.wrongArray(
          file: file, expected: "'\(key)' of four by four numbers", found: "something else")
      }
      return rows
    }
    if let affine = try matrix("original_affine") {
      nibabel = NibabelGeometry(originalAffine: affine, reorientedAffine: try matrix("reoriented_affine"))
    }
    self.init(spacing: spacing, sitkStuff: geometry, nibabelStuff: nibabel)
  }
}
