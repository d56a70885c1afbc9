import CCairo
import Foundation

/// Curves over a common integer axis that starts at 0, with a value axis on the left and optionally one on the right.
public struct LineChart: Sendable {
  public enum Side: Sendable { case left, right }
  public enum Style: Sendable { case solid, dotted }

  public struct Series: Sendable {
    public var name: String
    public var values: [Double]
    public var color: Color
    public var style: Style
    public var side: Side

    /// - Parameter values: one per step from 0; values that are not finite leave a gap.
    public init(_ name: String, _ values: [Double], color: Color, style: Style = .solid, side: Side = .left) {
      (self.name, self.values, self.color, self.style, self.side) = (name, values, color, style, side)
    }
  }

  public var series: [Series]
  public var stepLabel: String
  public var leftLabel: String
  public var rightLabel: String?
  /// Whether the left axis starts at 0 whatever the values.
  public var leftStartsAtZero: Bool

  public init(
    series: [Series], stepLabel: String, leftLabel: String, rightLabel: String? = nil, leftStartsAtZero: Bool = false
  ) {
    self.series = series
    self.stepLabel = stepLabel
    self.leftLabel = leftLabel
    self.rightLabel = rightLabel
    self.leftStartsAtZero = leftStartsAtZero
  }

  /// Writes charts one below the other into one PNG file.
  public static func write(_ charts: [LineChart], to file: URL, width: Int = 1500, heightEach: Int = 900) throws {
    let canvas = try Canvas(width: width, height: heightEach * max(charts.count, 1))
    for (index, chart) in charts.enumerated() {
      chart.draw(on: canvas, top: Double(index * heightEach), height: Double(heightEach))
    }
    try canvas.write(to: file)
  }

  private func draw(on canvas: Canvas, top: Double, height: Double) {
    let fontSize = height / 36
    let plot = (
      left: fontSize * 5.5, right: canvas.width - fontSize * 5.5, top: top + fontSize * 3.5,
      bottom: top + height - fontSize * 4
    )
    let steps = max(series.map(\.values.count).max() ?? 0, 1)
    let stepAxis = Axis(lower: 0, upper: Double(max(steps - 1, 1)), integral: true)
    let axes = (left: axis(.left), right: axis(.right))

    func x(_ step: Double) -> Double { plot.left + stepAxis.fraction(step) * (plot.right - plot.left) }
    func y(_ value: Double, _ axis: Axis) -> Double { plot.bottom - axis.fraction(value) * (plot.bottom - plot.top) }

    for tick in axes.left.ticks {
      canvas.set(.lightGrey)
      canvas.line(from: (plot.left, y(tick, axes.left)), to: (plot.right, y(tick, axes.left)), width: 1.5)
      canvas.set(.black)
      canvas.text(
        axes.left.format(tick), at: (plot.left - fontSize * 0.5, y(tick, axes.left)), size: fontSize, alignment: .right)
    }
    if rightLabel != nil {
      for tick in axes.right.ticks {
        canvas.text(
          axes.right.format(tick), at: (plot.right + fontSize * 0.5, y(tick, axes.right)), size: fontSize,
          alignment: .left)
      }
    }
    for tick in stepAxis.ticks {
      canvas.set(.lightGrey)
      canvas.line(from: (x(tick), plot.top), to: (x(tick), plot.bottom), width: 1.5)
      canvas.set(.black)
      canvas.text(stepAxis.format(tick), at: (x(tick), plot.bottom + fontSize), size: fontSize, alignment: .center)
    }
    let middle = (plot.top + plot.bottom) / 2
    canvas.text(
      stepLabel, at: ((plot.left + plot.right) / 2, plot.bottom + fontSize * 2.6), size: fontSize, alignment: .center)
    canvas.text(leftLabel, at: (fontSize, middle), size: fontSize, alignment: .center, rotatedUp: true)
    if let rightLabel {
      canvas.text(
        rightLabel, at: (canvas.width - fontSize, middle), size: fontSize, alignment: .center, rotatedUp: true)
    }

    var legendX = plot.left
    for curve in series {
      let axis = curve.side == .left ? axes.left : axes.right
      setStroke(curve, on: canvas, width: fontSize / 7)
      var pen = false
      for (step, value) in curve.values.enumerated() {
        guard value.isFinite else {
          pen = false
          continue
        }
        let point = (x(Double(step)), y(value, axis))
        if pen {
          cairo_line_to(canvas.context, point.0, point.1)
        } else {
          cairo_move_to(canvas.context, point.0, point.1)
        }
        pen = true
      }
      cairo_stroke(canvas.context)
      let legendY = plot.top - fontSize * 1.5
      cairo_move_to(canvas.context, legendX, legendY)
      cairo_line_to(canvas.context, legendX + fontSize * 2, legendY)
      cairo_stroke(canvas.context)
      cairo_set_dash(canvas.context, nil, 0, 0)
      canvas.set(.black)
      canvas.text(curve.name, at: (legendX + fontSize * 2.4, legendY), size: fontSize, alignment: .left)
      legendX += fontSize * (4.5 + 0.56 * Double(curve.name.count))
    }
    canvas.set(.black)
    cairo_set_line_width(canvas.context, 2)
    cairo_rectangle(canvas.context, plot.left, plot.top, plot.right - plot.left, plot.bottom - plot.top)
    cairo_stroke(canvas.context)
  }

  private func setStroke(_ curve: Series, on canvas: Canvas, width: Double) {
    canvas.set(curve.color)
    cairo_set_line_width(canvas.context, width)
    cairo_set_line_join(canvas.context, CAIRO_LINE_JOIN_ROUND)
    switch curve.style {
    case .solid: cairo_set_dash(canvas.context, nil, 0, 0)
    case .dotted: cairo_set_dash(canvas.context, [width * 1.5, width * 1.5], 2, 0)
    }
  }

  private func axis(_ side: Side) -> Axis {
    let values = series.filter { $0.side == side }.flatMap(\.values).filter(\.isFinite)
    let lower = side == .left && leftStartsAtZero ? 0 : values.min() ?? 0
    return Axis(lower: lower, upper: values.max() ?? 1, integral: false)
  }
}

/// A value range widened to round ticks.
struct Axis {
  let lower: Double
  let upper: Double
  let step: Double

  init(lower: Double, upper: Double, integral: Bool) {
    let span = upper > lower ? upper - lower : max(abs(lower) * 0.1, integral ? 1 : 1e-6)
    // A step of 1, 2 or 5 times a power of ten that gives at most eight ticks.
    let rough = span / 7
    let magnitude = pow(10, (log10(rough)).rounded(.down))
    let step = [1, 2, 5, 10].map { $0 * magnitude }.first { $0 >= rough } ?? magnitude * 10
    self.step = integral ? max(1, step) : step
    self.lower = integral ? lower : (lower / self.step).rounded(.down) * self.step
    self.upper = integral ? lower + span : ((lower + span) / self.step).rounded(.up) * self.step
  }

  func fraction(_ value: Double) -> Double { (value - lower) / (upper - lower) }

  var ticks: [Double] {
    let first = (lower / step).rounded(.up)
    let last = (upper / step + 1e-9).rounded(.down)
    return first <= last ? stride(from: first, through: last, by: 1).map { $0 * step } : []
  }

  func format(_ value: Double) -> String {
    let digits = max(0, Int((-log10(step) + 1e-9).rounded(.up)))
    return digits > 6 ? String(format: "%.1e", value) : String(format: "%.\(digits)f", value == 0 ? 0 : value)
  }
}
