import Augmentation
import Foundation
import HDF5Files
import TensorTestSupport
import Testing
import Volumes

/// The reference's augmentation cases: `augment.h5` and the parameters of every case in `index.json`.
struct AugmentGolden {
  struct Case: Decodable {
    var op: String
    var group: String
    var patch_size: [Int]?
    var angles: [Double]?
    var scale: Scale?
    var affine: [[Double]]?
    var dummy_2d: Bool?
    var apply_to_channel: Channels?
    var sigmas: [[Double]]?
    var kernels: [[Float]]?
    var multipliers: [Float]?
    var scales: [[Double]]?
    var gamma: [Float]?
    var invert: Bool?
    var retain_stats: Bool?
    var axes: [Int]?
    var apply_to_channels: [Int]?
    var regions: [Region]?
    var source_channel_idx: Int?
    var all_labels: [Int16]?
    var image: String?
    var `operator`: String?
    var strel_size: Double?
    var channel_idx: [Int]?
    var bbox: [[Int]]?
  }

  /// One number for all axes, or one per axis.
  struct Scale: Decodable {
    var values: [Double]
    var isShared: Bool
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let value = try? container.decode(Double.self) {
        (values, isShared) = ([value], true)
      } else {
        (values, isShared) = (try container.decode([Double].self), false)
      }
    }
    func perAxis(_ count: Int) -> [Double] { isShared ? Array(repeating: values[0], count: count) : values }
  }

  struct Channels: Decodable {
    var indices: [Int]
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let flags = try? container.decode([Bool].self) {
        indices = flags.indices.filter { flags[$0] }
      } else if let one = try? container.decode(Int.self) {
        indices = [one]
      } else {
        indices = try container.decode([Int].self)
      }
    }
  }

  struct Region: Decodable {
    var labels: [Int16]
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      labels = try (try? [container.decode(Int16.self)]) ?? container.decode([Int16].self)
    }
  }

  var folder: URL
  var root: HDF5Group
  var cases: [Case]

  /// `nil` where there is no golden data.
  init?() throws {
    guard let folder = Golden.folder("augment") else { return nil }
    self.folder = folder
    root = try HDF5File.open(folder.appendingPathComponent("augment.h5").path).root
    let index = try Data(contentsOf: folder.appendingPathComponent("index.json"))
    cases = try JSONDecoder().decode([Case].self, from: index)
  }

  func cases(_ operation: String) -> [Case] {
    let found = cases.filter { $0.op == operation }
    #expect(!found.isEmpty, "no golden case of \(operation)")
    return found
  }

  /// An array with its channels first; two-dimensional ones get one slice.
  func grid<Element: HDF5Element>(_ name: String, of type: Element.Type) throws -> VoxelGrid<Element> {
    let array = try root.read(name, as: Element.self)
    let shape = array.shape.count == 3 ? [array.shape[0], 1] + array.shape[1...] : array.shape
    return VoxelGrid(shape: shape, elements: array.elements)
  }

  func isPlanar(_ name: String) throws -> Bool { try root.shape(of: name).count == 3 }

  func image(_ name: String) throws -> VoxelGrid<Float> { try grid(name, of: Float.self) }
  func labels(_ name: String) throws -> VoxelGrid<Int16> { try grid(name, of: Int16.self) }

  /// Labels that belong to a case of which only the image matters.
  static func noLabels(for image: VoxelGrid<Float>) -> VoxelGrid<Int16> {
    VoxelGrid(shape: [1] + image.spatialShape, repeating: 0)
  }
}

@discardableResult
func expectEqualImages(
  _ actual: VoxelGrid<Float>, _ expected: VoxelGrid<Float>, tolerance: Float, _ comment: String,
  sourceLocation: SourceLocation = #_sourceLocation
) -> Float {
  expectClose(
    actual.elements, shape: actual.shape, expected.elements, shape: expected.shape, absolute: tolerance,
    relativeToMaximum: 0, comment, sourceLocation: sourceLocation)
}

/// Expects at least the given part of the labels to be equal.
func expectEqualLabels(
  _ actual: VoxelGrid<Int16>, _ expected: VoxelGrid<Int16>, fraction: Double = 1, _ comment: String,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.shape == expected.shape, !expected.elements.isEmpty else {
    Issue.record("\(comment): shape \(actual.shape), expected \(expected.shape)", sourceLocation: sourceLocation)
    return
  }
  let different = actual.elements.indices.filter { actual.elements[$0] != expected.elements[$0] }
  let equal = 1 - Double(different.count) / Double(expected.elements.count)
  #expect(
    equal >= fraction, "\(comment): \(different.count) labels differ, first at \(different.first ?? -1)",
    sourceLocation: sourceLocation)
}
