import CCairo
import Foundation

/// Why a picture could not be written.
public struct PlottingError: Error, CustomStringConvertible {
  public let description: String
}

/// A colour with components from 0 to 1.
public struct Color: Hashable, Sendable {
  public var red: Double
  public var green: Double
  public var blue: Double

  public init(_ red: Double, _ green: Double, _ blue: Double) {
    (self.red, self.green, self.blue) = (red, green, blue)
  }

  public static let black = Color(0, 0, 0)
  public static let blue = Color(0.12, 0.3, 0.85)
  public static let red = Color(0.85, 0.15, 0.12)
  public static let green = Color(0.1, 0.55, 0.15)
  public static let lightGrey = Color(0.88, 0.88, 0.9)

  /// Colours for labels 1, 2, 3 ..., told apart also where red and green look alike; they repeat after eight.
  public static func label(_ label: Int) -> Color {
    let palette = [
      Color(0.90, 0.30, 0.10), Color(0.10, 0.55, 0.95), Color(0.95, 0.80, 0.10), Color(0.20, 0.75, 0.50),
      Color(0.75, 0.35, 0.85), Color(0.45, 0.85, 0.95), Color(0.95, 0.55, 0.70), Color(0.60, 0.60, 0.20),
    ]
    return palette[(max(label, 1) - 1) % palette.count]
  }
}

/// A picture in memory, drawn with Cairo; units are pixels, the origin is at the top left.
final class Canvas {
  private let surface: OpaquePointer
  let context: OpaquePointer
  let width: Double
  let height: Double

  init(width: Int, height: Int) throws {
    guard let surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(width), Int32(height)),
      cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS, let context = cairo_create(surface)
    else { throw PlottingError(description: "a picture of \(width)x\(height) pixels could not be made") }
    self.surface = surface
    self.context = context
    (self.width, self.height) = (Double(width), Double(height))
    cairo_set_source_rgb(context, 1, 1, 1)
    cairo_paint(context)
  }

  deinit {
    cairo_destroy(context)
    cairo_surface_destroy(surface)
  }

  func set(_ color: Color, alpha: Double = 1) {
    cairo_set_source_rgba(context, color.red, color.green, color.blue, alpha)
  }

  func line(from start: (Double, Double), to end: (Double, Double), width: Double) {
    cairo_set_line_width(context, width)
    cairo_move_to(context, start.0, start.1)
    cairo_line_to(context, end.0, end.1)
    cairo_stroke(context)
  }

  enum Alignment { case left, center, right }

  func text(_ text: String, at point: (Double, Double), size: Double, alignment: Alignment, rotatedUp: Bool = false) {
    cairo_select_font_face(context, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL)
    cairo_set_font_size(context, size)
    var extents = cairo_text_extents_t()
    cairo_text_extents(context, text, &extents)
    cairo_save(context)
    cairo_translate(context, point.0, point.1)
    if rotatedUp { cairo_rotate(context, -.pi / 2) }
    let shift: Double =
      switch alignment {
      case .left: 0
      case .center: -extents.x_advance / 2
      case .right: -extents.x_advance
      }
    cairo_move_to(context, shift, size * 0.35)
    cairo_show_text(context, text)
    cairo_restore(context)
  }

  /// Sets every pixel to `0xRRGGBB`.
  func fill(_ color: (_ x: Int, _ y: Int) -> UInt32) {
    cairo_surface_flush(surface)
    guard let data = cairo_image_surface_get_data(surface) else { return }
    let stride = Int(cairo_image_surface_get_stride(surface))
    for y in 0..<Int(height) {
      for x in 0..<Int(width) {
        UnsafeMutableRawPointer(data).storeBytes(of: color(x, y), toByteOffset: y * stride + 4 * x, as: UInt32.self)
      }
    }
    cairo_surface_mark_dirty(surface)
  }

  /// Writes a PNG file in one piece: a reader sees the old picture or the new one.
  func write(to file: URL) throws {
    let temporary = file.deletingLastPathComponent().appendingPathComponent(".\(file.lastPathComponent).writing")
    let status = cairo_surface_write_to_png(surface, temporary.path)
    guard status == CAIRO_STATUS_SUCCESS, rename(temporary.path, file.path) == 0 else {
      let reason = String(cString: cairo_status_to_string(status))
      throw PlottingError(
        description: "\(file.path): the picture could not be written (\(reason)); check the folder and the free space")
    }
  }
}
