import CCairo
import Foundation

/// Grey slices with coloured labels over them, side by side in one PNG file.
public struct OverlayPicture: Sendable {
  /// One slice, row-major `[Y, X]`.
  public struct Panel: Sendable {
    public var title: String
    public var height: Int
    public var width: Int
    public var intensities: [Float]
    /// 0 and negative labels are left transparent.
    public var labels: [Int16]

    public init(title: String, height: Int, width: Int, intensities: [Float], labels: [Int16]) {
      self.title = title
      self.height = height
      self.width = width
      self.intensities = intensities
      self.labels = labels
    }
  }

  public var panels: [Panel]
  /// From 0 (labels invisible) to 1 (labels opaque).
  public var labelOpacity: Double

  public init(panels: [Panel], labelOpacity: Double = 0.45) {
    self.panels = panels
    self.labelOpacity = labelOpacity
  }

  /// - Parameter pixelsPerVoxel: how large a voxel is drawn.
  /// - Throws: `PlottingError` when a panel's arrays don't fill it or the file can't be written.
  public func write(to file: URL, pixelsPerVoxel scale: Int) throws {
    let margin = 8
    let titleHeight = 26
    let width = panels.map { $0.width * scale + margin }.reduce(margin, +)
    let height = (panels.map(\.height).max() ?? 0) * scale + titleHeight + margin
    let canvas = try Canvas(width: max(width, 1), height: height)
    var left = margin
    for panel in panels {
      guard panel.intensities.count == panel.height * panel.width, panel.labels.count == panel.intensities.count else {
        throw PlottingError(
          description: "the panel '\(panel.title)' has \(panel.intensities.count) intensities and "
            + "\(panel.labels.count) labels for \(panel.height)x\(panel.width) pixels")
      }
      canvas.set(.black)
      canvas.text(
        panel.title, at: (Double(left), Double(titleHeight) / 2), size: 15, alignment: .left)
      draw(panel, on: canvas, left: left, top: titleHeight, scale: scale)
      left += panel.width * scale + margin
    }
    try canvas.write(to: file)
  }

  private func draw(_ panel: Panel, on canvas: Canvas, left: Int, top: Int, scale: Int) {
    let finite = panel.intensities.filter(\.isFinite).sorted()
    // The middle 98 % of the intensities, so that single bright voxels don't darken the rest.
    let low = finite.isEmpty ? 0 : finite[finite.count / 100]
    let high = finite.isEmpty ? 1 : finite[finite.count - 1 - finite.count / 100]
    let span = high > low ? high - low : 1
    for y in 0..<panel.height {
      for x in 0..<panel.width {
        let index = y * panel.width + x
        let value = panel.intensities[index]
        let grey = value.isFinite ? Double(min(max((value - low) / span, 0), 1)) : 0
        var color = Color(grey, grey, grey)
        let label = Int(panel.labels[index])
        if label > 0 {
          let over = Color.label(label)
          color = Color(
            grey + (over.red - grey) * labelOpacity, grey + (over.green - grey) * labelOpacity,
            grey + (over.blue - grey) * labelOpacity)
        }
        canvas.set(color)
        cairo_rectangle(
          canvas.context, Double(left + x * scale), Double(top + y * scale), Double(scale), Double(scale))
        cairo_fill(canvas.context)
      }
    }
  }
}
