import Datasets
import Foundation
import Preprocessing
import Synchronization
import TensorCore
import Volumes

/// Collects shapes, spacings and foreground intensities of all training cases.
///
/// nnU-Net: experiment_planning/dataset_fingerprint/fingerprint_extractor.py. It draws 10^8 intensities with replacement
/// from NumPy's generator, the same number from every case, and takes statistics of all draws. Here the same stream is
/// drawn, but only how often each voxel comes up is kept, so the statistics are equal without an array of draws.
public struct DatasetFingerprintExtractor: Sendable {
  /// Draws per channel over the whole data set.
  public var sampleCount = 100_000_000
  /// Cases are worked on in parallel on these threads.
  public var pool = WorkerPool.shared
  /// Bytes that all cases in work may take, by estimate; `nil` for `nnUNet_memory_limit`, else nine tenths of what is
  /// available.
  public var memoryLimit: Int?

  /// The seed of every case.
  private let seed: UInt32 = 1234

  public init() {}

  /// Extracts the fingerprint of a raw data set and writes it to the preprocessed folder.
  /// - Parameters:
  ///   - overwrite: `false` reads an existing file instead.
  ///   - progress: is told how many cases are done and how many there are, from any thread.
  public func run(
    datasetName: String, folders: DatasetFolders, overwrite: Bool,
    progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
  ) throws -> DatasetFingerprint {
    let raw = try folders.rawFolder(datasetName)
    let preprocessed = try folders.preprocessedFolder(datasetName)
    let file = preprocessed.appendingPathComponent("dataset_fingerprint.json")
    if !overwrite, FileManager.default.fileExists(atPath: file.path) {
      return try DatasetFingerprint(contentsOf: file)
    }
    let description = try DatasetDescription(contentsOf: raw.appendingPathComponent("dataset.json"))
    let cases = try DatasetFolders.trainingCases(rawFolder: raw, description: description)
    guard !cases.isEmpty else {
      throw DatasetError(
        .notFound, file: raw.path, problem: "the data set has no training cases",
        advice: "Put images named CASE_0000\(description.fileEnding) into imagesTr, or list the cases in dataset.json")
    }
    let reader = try ReaderWriters.choose(for: description, rawFolder: raw)
    let fingerprint = try extract(
      cases: cases, channelCount: description.channelNames.count, reader: reader, progress: progress)
    do {
      try FileManager.default.createDirectory(at: preprocessed, withIntermediateDirectories: true)
    } catch {
      throw DatasetError(
        .inaccessible, file: preprocessed.path, problem: "can't be created (\(error.localizedDescription))",
        advice: "Check the environment variable nnUNet_preprocessed and permissions")
    }
    try fingerprint.write(to: file)
    return fingerprint
  }

  /// Extracts the fingerprint of cases; at least one.
  /// - Throws: ``CaseFailures`` naming every case that can't be read or makes no sense.
  public func extract(
    cases: [DatasetCase], channelCount: Int, reader: any ImageReaderWriter,
    progress: @escaping @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }
  ) throws -> DatasetFingerprint {
    check(!cases.isEmpty, "DatasetFingerprintExtractor: no cases")
    let sampleCountPerCase = sampleCount / cases.count
    let gate = try MemoryGate(configured: memoryLimit)
    let analyses = try mapCases(cases, work: "Extracting the fingerprint", pool: pool, progress: progress) { item in
      try gate.run(bytes: item.estimatedMemory(reader: reader)) {
        try analyze(item, channelCount: channelCount, reader: reader, sampleCount: sampleCountPerCase)
      }
    }
    let properties = try (0..<channelCount).map { channel in
      let pooled = PooledIntensities(
        samples: analyses.map { $0.samples[channel] },
        hasEmptyCase: analyses.contains { $0.samples[channel].count == 0 })
      guard let properties = pooled.properties() else {
        throw DatasetError(
          .invalidValue, file: nil, problem: "no case has a foreground voxel: all segmentations are background",
          advice: "Check the segmentations in labelsTr")
      }
      return properties
    }
    return DatasetFingerprint(
      spacings: analyses.map(\.spacing), shapesAfterCrop: analyses.map(\.shapeAfterCrop),
      foregroundIntensityProperties: properties,
      medianRelativeSizeAfterCropping: Statistics.median(analyses.map(\.relativeSizeAfterCrop)))
  }

  // MARK: One case

  struct Analysis: Sendable {
    let shapeAfterCrop: [Int]
    let spacing: [Double]
    let relativeSizeAfterCrop: Double
    /// One per channel, empty without foreground.
    let samples: [IntensitySample]
  }

  private func analyze(
    _ item: DatasetCase, channelCount: Int, reader: any ImageReaderWriter, sampleCount: Int
  ) throws -> Analysis {
    guard let label = item.label else {
      throw DatasetError(
        .missingKey, file: nil, problem: "the case has no segmentation", advice: "Give it a 'label' in dataset.json")
    }
    let (image, properties) = try reader.readImages(item.images)
    let (segmentation, _) = try reader.readSegmentation(label)
    let file = item.images.first?.path
    guard image.channelCount >= channelCount else {
      throw DatasetError(
        .invalidValue, file: file,
        problem: "the case has \(image.channelCount) channels, but dataset.json names \(channelCount)",
        advice: "Add the missing channels, or correct 'channel_names'")
    }
    guard image.spatialShape == segmentation.spatialShape else {
      throw DatasetError(
        .invalidValue, file: label.path,
        problem: "the segmentation has shape \(segmentation.spatialShape), but the image has \(image.spatialShape)",
        advice: "Resample the segmentation onto the image's grid")
    }
    return try analyze(
      image: image, segmentation: segmentation, spacing: properties.spacing, channelCount: channelCount,
      sampleCount: sampleCount, file: file)
  }

  func analyze(
    image: VoxelGrid<Float>, segmentation: VoxelGrid<Int16>, spacing: [Double], channelCount: Int, sampleCount: Int,
    file: String?
  ) throws -> Analysis {
    let box = image.nonzeroBox
    var generator = NumPyRandomState(seed: seed)
    let samples = try (0..<channelCount).map { channel in
      let values = foreground(image, channel: channel, segmentation, box)
      if values.isEmpty { return IntensitySample(values: [], counts: []) }
      guard !values.contains(where: \.isNaN) else {
        throw DatasetError(
          .invalidValue, file: file, problem: "channel \(channel) has NaN voxels",
          advice: "Replace them by a number that makes sense for the image")
      }
      return IntensitySample(
        values: values, counts: generator.choiceCounts(from: values.count, count: sampleCount))
    }
    let shape = box.shape
    return Analysis(
      shapeAfterCrop: shape, spacing: spacing,
      relativeSizeAfterCrop: Double(shape.reduce(1, *)) / Double(image.voxelCount), samples: samples)
  }

  /// The values of a channel where the segmentation is above 0 (the ignore label counts), in the array's order.
  private func foreground(
    _ image: VoxelGrid<Float>, channel: Int, _ segmentation: VoxelGrid<Int16>, _ box: BoundingBox
  ) -> [Float] {
    image.elements.withUnsafeBufferPointer { values in
      segmentation.elements.withUnsafeBufferPointer { labels in
        var result: [Float] = []
        for z in box.lower[0]..<box.upper[0] {
          for y in box.lower[1]..<box.upper[1] {
            let (from, row) = (image.offset(channel, z, y, 0), segmentation.offset(0, z, y, 0))
            for x in box.lower[2]..<box.upper[2] where labels[row + x] > 0 { result.append(values[from + x]) }
          }
        }
        return result
      }
    }
  }
}

extension DatasetCase {
  /// About how many bytes reading a case and looking at every voxel takes, from the header of its first file.
  func estimatedMemory(reader: any ImageReaderWriter) throws -> Int {
    guard let first = images.first else { return 0 }
    let (shape, _) = try reader.readProperties(first)
    let (channels, voxels) = (images.count * (shape.first ?? 1), shape.dropFirst().reduce(1, *))
    // Bytes a voxel: the image, twice while channels are stacked, or with a label map under way; then the foreground of
    // a channel and how often each of its voxels was drawn.
    return voxels * (max(8 * channels, 4 * channels + 6) + 8)
  }
}

/// Runs `body` for every case in parallel and returns the results in order.
/// - Throws: ``CaseFailures`` after all cases were tried, if any failed.
func mapCases<Result: Sendable>(
  _ cases: [DatasetCase], work: String, pool: WorkerPool, progress: @escaping @Sendable (Int, Int) -> Void,
  _ body: @Sendable (DatasetCase) throws -> Result
) throws -> [Result] {
  let results = Mutex([Swift.Result<Result, any Error>?](repeating: nil, count: cases.count))
  let done = Atomic<Int>(0)
  pool.run(tasks: cases.count) { index in
    let result = Swift.Result { try body(cases[index]) }
    results.withLock { $0[index] = result }
    progress(done.add(1, ordering: .relaxed).newValue, cases.count)
  }
  var successes: [Result] = []
  var failures: [CaseFailures.Failure] = []
  for (item, result) in zip(cases, results.withLock { $0 }) {
    switch result {
    case .success(let success): successes.append(success)
    case .failure(let error): failures.append(.init(identifier: item.identifier, error: error))
    case nil: fatalError("mapCases: case \(item.identifier) was never run")
    }
  }
  guard failures.isEmpty else { throw CaseFailures(work: work, failures: failures, caseCount: cases.count) }
  return successes
}
