import ArgumentParser
import Datasets
import Foundation
import Plotting
import Volumes

struct PlotPredictionsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plot_predictions",
    abstract: "Draws the slice with the most foreground of every case, with reference and prediction, as PNG files.")

  @Option(name: .customShort("i"), help: "Folder with the images (CASE_0000...).")
  var images: String

  @Option(name: .customLong("ref", withSingleDash: true), help: "Folder with reference segmentations.")
  var references: String

  @Option(name: .customLong("pred", withSingleDash: true), help: "Folder with predicted segmentations.")
  var predictions: String

  @Option(name: .customLong("djfile", withSingleDash: true), help: "The dataset.json file.")
  var datasetFile: String

  @Option(name: .customShort("o"), help: "Output folder.")
  var output: String

  func run() throws {
    let description = try DatasetDescription(contentsOf: URL(fileURLWithPath: datasetFile))
    let cases = try DatasetCase.list(in: URL(fileURLWithPath: images), fileEnding: description.fileEnding)
    let reader = try ReaderWriters.choose(
      fileEnding: description.fileEnding, overwriteName: description.readerWriterName,
      exampleFile: cases.first?.images.first)
    let outputFolder = URL(fileURLWithPath: output)
    try FileManager.default.createDirectory(at: outputFolder, withIntermediateDirectories: true)
    var failures: [CaseFailure] = []
    for item in cases {
      do {
        let (image, _) = try reader.readImages(Array(item.images.prefix(1)))
        let name = item.identifier + description.fileEnding
        let (reference, _) = try reader.readSegmentation(URL(fileURLWithPath: references).appendingPathComponent(name))
        let (prediction, _) = try reader.readSegmentation(
          URL(fileURLWithPath: predictions).appendingPathComponent(name))
        let file = outputFolder.appendingPathComponent(item.identifier + ".png")
        try Self.picture(image, reference, prediction).write(to: file, pixelsPerVoxel: 6)
      } catch {
        failures.append(CaseFailure(identifier: item.identifier, reason: "\(error)"))
      }
    }
    print("Pictures: \(outputFolder.path)")
    try failures.reportAndThrow()
  }

  private static func picture(
    _ image: VoxelGrid<Float>, _ reference: VoxelGrid<Int16>, _ prediction: VoxelGrid<Int16>
  ) throws -> OverlayPicture {
    guard image.spatialShape == reference.spatialShape, image.spatialShape == prediction.spatialShape else {
      throw ValidationError(
        "image \(image.spatialShape), reference \(reference.spatialShape) and prediction \(prediction.spatialShape) "
          + "differ in shape")
    }
    let area = image.shape[2] * image.shape[3]
    let index = sliceWithMostForeground(reference.elements, area: area)
    let slice = index * area..<(index + 1) * area
    let intensities = Array(image.elements[slice])
    func panel(_ title: String, _ labels: [Int16]) -> OverlayPicture.Panel {
      .init(title: title, height: image.shape[2], width: image.shape[3], intensities: intensities, labels: labels)
    }
    return OverlayPicture(panels: [
      panel("image", Array(repeating: 0, count: intensities.count)),
      panel("reference", Array(reference.elements[slice])), panel("prediction", Array(prediction.elements[slice])),
    ])
  }
}
