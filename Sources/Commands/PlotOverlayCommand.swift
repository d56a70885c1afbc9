import ArgumentParser
import Datasets
import Foundation
import Plotting
import Preprocessing
import Synchronization
import TensorCore
import Volumes

struct PlotOverlayCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nnUNetv2_plot_overlay_pngs",
    abstract: "Draws the slice with the most foreground of every training case, its labels in colour, as PNG files.",
    discussion: "One pixel a voxel, whatever the spacing.", aliases: ["plot_overlay_pngs"])

  @Option(name: .customShort("d"), help: "Dataset name or ID.")
  var dataset: String

  @Option(name: .customShort("o"), help: "Output folder; made if it does not exist.")
  var output: String

  @OptionGroup var concurrency: ConcurrencyArgument

  @Option(name: .customLong("channel_idx", withSingleDash: true), help: "The channel (0 = _0000).")
  var channel = 0

  @Flag(name: .customLong("use_raw"), help: "Draw raw instead of preprocessed cases.")
  var usesRaw = false

  @Option(name: .customShort("p"), help: "The plans identifier, for preprocessed cases.")
  var plans = "nnUNetPlans"

  @Option(
    name: .customShort("c"),
    help: "The configuration, for preprocessed cases. Default: 3d_fullres if the plans have it, else 2d")
  var planned: String?

  @Option(
    name: .customLong("overlay_intensity", withSingleDash: true), help: "How much of the labels' colours is added.")
  var strength = 0.6

  func validate() throws {
    guard channel >= 0 else { throw ValidationError("-channel_idx \(channel): it can't be negative.") }
    guard strength >= 0, strength.isFinite else {
      throw ValidationError("-overlay_intensity \(strength): it can't be negative.")
    }
  }

  func run() throws {
    let folder = URL(fileURLWithPath: output)
    let cases = try usesRaw ? rawCases() : preprocessedCases()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let bar = ProgressBar(title: "plotting")
    let outcomes = Mutex<(failures: [CaseFailure], done: Int)>(([], 0))
    WorkerPool.running(concurrency.threads).run(tasks: cases.count) { index in
      let item = cases[index]
      let result = Result {
        let (image, labels) = try item.read()
        try Self.draw(image, labels, strength).write(to: folder.appendingPathComponent(item.identifier + ".png"))
      }
      outcomes.withLock { outcomes in
        if case .failure(let error) = result {
          outcomes.failures.append(CaseFailure(identifier: item.identifier, reason: "\(error)"))
        }
        outcomes.done += 1
        bar.update(outcomes.done, of: cases.count)
      }
    }
    bar.finish()
    print("Pictures: \(folder.path)")
    try outcomes.withLock { $0.failures }.sorted { $0.identifier < $1.identifier }.reportAndThrow()
  }

  /// A case that is read when its turn comes: one channel, and labels.
  private struct Source: Sendable {
    let identifier: String
    let read: @Sendable () throws -> (VoxelGrid<Float>, VoxelGrid<Int16>)
  }

  private func rawCases() throws -> [Source] {
    let folder = try DatasetFolders().rawFolder(DatasetFolders().datasetName(dataset))
    let description = try DatasetDescription(contentsOf: folder.appendingPathComponent("dataset.json"))
    let cases = try DatasetFolders.trainingCases(rawFolder: folder, description: description)
    let reader = try ReaderWriters.choose(
      fileEnding: description.fileEnding, overwriteName: description.readerWriterName,
      exampleFile: cases.first?.images.first)
    let channel = channel
    return cases.map { item in
      Source(identifier: item.identifier) {
        guard item.images.indices.contains(channel), let label = item.label else {
          throw ValidationError("there is no channel \(channel), or no segmentation")
        }
        return (
          try reader.readImages([item.images[channel]]).0.channel(0), try reader.readSegmentation(label).0
        )
      }
    }
  }

  private func preprocessedCases() throws -> [Source] {
    let folders = DatasetFolders()
    let name = try folders.datasetName(dataset)
    let plans = try folders.plans(named: plans, of: name)
    let configuration = try plans.configuration(
      named: planned ?? (plans.configurationNames.contains("3d_fullres") ? "3d_fullres" : "2d"))
    let store = try CaseStore(
      folder: folders.preprocessedFolder(name).appendingPathComponent(configuration.dataIdentifier))
    let channel = channel
    return store.identifiers.map { identifier in
      Source(identifier: identifier) {
        let item = try store.load(identifier)
        guard channel < item.data.channelCount else {
          throw ValidationError("there is no channel \(channel), only \(item.data.channelCount) channels")
        }
        return (item.data.channel(channel), item.segmentation)
      }
    }
  }

  private static func draw(
    _ image: VoxelGrid<Float>, _ labels: VoxelGrid<Int16>, _ strength: Double
  ) throws -> LabelOverlay {
    guard image.spatialShape == labels.spatialShape else {
      throw ValidationError("the image has shape \(image.spatialShape), its segmentation \(labels.spatialShape)")
    }
    let (height, width) = (image.shape[2], image.shape[3])
    let slice = sliceWithMostForeground(labels.elements, area: height * width)
    let voxels = slice * height * width..<(slice + 1) * height * width
    return LabelOverlay(
      height: height, width: width, intensities: Array(image.elements[voxels]),
      labels: labels.elements[voxels].map { max(0, $0) }, strength: strength)
  }
}
