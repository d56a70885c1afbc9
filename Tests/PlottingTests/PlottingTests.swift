import Foundation
import Plotting
import Testing

@Suite struct PlottingTests {
  /// What nnU-Net's `generate_overlay(image, labels, overlay_intensity=0.5)` and `select_slice_to_plot2` give.
  @Test func overlaysAndSlicesAreNnUNets() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let overlay = LabelOverlay(
      height: 2, width: 2, intensities: [-1, 1.5, 4, 0], labels: [0, 5, 3, 0], strength: 0.5)
    #expect(overlay.pixels == [0, 0, 0, 175, 135, 106, 202, 213, 255, 35, 35, 35])
    let file = folder.appendingPathComponent("overlay.png")
    try overlay.write(to: file)
    #expect(try pngSize(file) == (2, 2))
    #expect(sliceWithMostForeground([1, 0, 0, 2, 1, 1, 0, 2, 1, 0, 0, 2, 0, 2, 2, 2], area: 4) == 1)
    #expect(sliceWithMostForeground([1, 1, 1, 0, 1, 1, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0], area: 4) == 1)
    #expect(sliceWithMostForeground([0, 0, -1, 0], area: 2) == 0)
    let blank = LabelOverlay(height: 1, width: 2, intensities: [3, 3], labels: [0, 0], strength: 0.6)
    #expect(blank.pixels == [0, 0, 0, 0, 0, 0])
  }

  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

  init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

  /// Width and height as the PNG header gives them.
  private func pngSize(_ file: URL) throws -> (Int, Int) {
    let bytes = [UInt8](try Data(contentsOf: file))
    try #require(bytes.count > 24 && Array(bytes[1..<4]) == Array("PNG".utf8))
    func number(_ offset: Int) -> Int { bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } }
    return (number(16), number(20))
  }

  @Test func chartsAreStackedIntoOnePicture() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let chart = LineChart(
      series: [
        .init("training loss", [0.3, .nan, -0.2, -0.5], color: .blue),
        .init("pseudo Dice", [0.1, 0.5, 0.7, 0.8], color: .green, style: .dotted, side: .right),
      ], stepLabel: "epoch", leftLabel: "loss", rightLabel: "pseudo Dice")
    let file = folder.appendingPathComponent("progress.png")
    try LineChart.write([chart, chart], to: file, width: 640, heightEach: 300)
    #expect(try pngSize(file) == (640, 600))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["progress.png"])
  }

  @Test func aChartOfOneEpochOrNoneIsDrawn() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    for values in [[], [0.5], [Double.nan]] {
      let file = folder.appendingPathComponent("one.png")
      try LineChart.write(
        [LineChart(series: [.init("loss", values, color: .red)], stepLabel: "epoch", leftLabel: "loss")], to: file)
      #expect(try pngSize(file) == (1500, 900))
    }
  }

  @Test func overlaysShowLabelsInColour() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appendingPathComponent("overlay.png")
    let panel = OverlayPicture.Panel(
      title: "reference", height: 2, width: 3, intensities: [0, 1, 2, 3, 4, .infinity], labels: [0, 1, 2, 0, -1, 9])
    try OverlayPicture(panels: [panel, panel]).write(to: file, pixelsPerVoxel: 4)
    #expect(try pngSize(file) == (8 + 2 * (12 + 8), 2 * 4 + 26 + 8))
  }

  @Test func errorsNameTheFileOrPanel() {
    let panel = OverlayPicture.Panel(title: "odd", height: 2, width: 2, intensities: [1], labels: [1])
    #expect(throws: PlottingError.self) {
      try OverlayPicture(panels: [panel]).write(to: folder.appendingPathComponent("x.png"), pixelsPerVoxel: 1)
    }
    let nowhere = URL(fileURLWithPath: "/nonexistent-folder/progress.png")
    let error = #expect(throws: PlottingError.self) { try LineChart.write([], to: nowhere) }
    #expect(error?.description.contains(nowhere.path) == true)
  }
}
