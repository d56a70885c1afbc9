import Foundation
import HDF5Files
import TensorCore
import Volumes

/// The preprocessed cases of a configuration: one HDF5 file per case; docs/file-formats.md has the layout.
///
/// Files are written whole or not at all, and chunked, so that a patch is read without reading the case.
public struct CaseStore: Sendable {
  public let folder: URL
  /// The cases there are, in the order of their names' code points.
  public let identifiers: [String]

  /// - Throws: `CaseStoreError.missingFolder`.
  public init(folder: URL) throws {
    self.folder = folder
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: folder.path) else {
      throw CaseStoreError.missingFolder(folder)
    }
    identifiers = names.filter { $0.hasSuffix(Self.fileEnding) && !$0.hasPrefix(".") }
      .map { String($0.dropLast(Self.fileEnding.count)) }
      .sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
  }

  package static let fileEnding = ".h5"

  package static func file(_ identifier: String, in folder: URL) -> URL {
    folder.appendingPathComponent(identifier + fileEnding)
  }

  private func open(_ identifier: String) throws -> HDF5Group {
    try HDF5File.open(Self.file(identifier, in: folder).path).root
  }
}

/// Why preprocessed cases can't be read.
public enum CaseStoreError: Error, CustomStringConvertible {
  case missingFolder(URL)
  case damaged(file: String, problem: String)

  public var description: String {
    switch self {
    case .missingFolder(let folder):
      "\(folder.path): there is no such folder of preprocessed cases; run nnUNetv2_plan_and_preprocess first"
    case .damaged(let file, let problem):
      "\(file): \(problem); delete the file and preprocess the case again"
    }
  }
}

// MARK: - Writing

extension CaseStore {
  /// Writes a case; an older one of the same name is replaced in one step.
  /// - Parameter signature: what the case was made from and how; kept in the file for those who ask whether it is
  ///   still up to date.
  public static func write(
    _ item: PreprocessedCase, identifier: String, to folder: URL, signature: String? = nil
  ) throws {
    let json = try JSONEncoder().encode(item.properties)
    try HDF5File.create(atomicallyAt: file(identifier, in: folder).path) { file in
      let root = file.root
      // Intensities hardly shrink, and reading them is what training waits for; labels shrink to almost nothing.
      try item.data.elements.withUnsafeBufferPointer {
        try root.write(
          "data", $0, shape: item.data.shape,
          storage: HDF5Storage(chunk: chunk(item.data.shape, bytes: 4), checksum: true))
      }
      try item.segmentation.elements.withUnsafeBufferPointer {
        try root.write(
          "seg", $0, shape: item.segmentation.shape,
          storage: HDF5Storage(chunk: chunk(item.segmentation.shape, bytes: 2), compression: 1, checksum: true))
      }
      // Not in the JSON text: an attribute holds 64 KiB, ten thousand voxels a class are more.
      let locations = try root.createGroup("class_locations")
      for (index, entry) in item.classLocations.entries.enumerated() {
        let name = String(index)
        try locations.write(name, entry.voxels, shape: [entry.count, 3], checksum: entry.count > 0)
        let dataset = try locations.dataset(name)
        try dataset.setAttribute("key", entry.key)
        try dataset.setAttribute("labels", entry.labels)
        try dataset.setAttribute("is_tuple", UInt8(entry.isTuple ? 1 : 0))
      }
      if let signature { try root.setAttribute("signature", signature) }
      // Last: a file without properties is an incomplete one.
      try root.setAttribute("properties", String(decoding: json, as: UTF8.self))
    }
  }

  /// About 128 KiB, cubes rather than slices: a patch touches few chunks that it doesn't use.
  private static func chunk(_ shape: [Int], bytes: Int) -> [Int] {
    var chunk = [1] + shape[1...].map { max(1, $0) }
    while chunk.reduce(bytes, *) > 128 << 10 {
      var longest = 1
      for axis in 1..<4 where chunk[axis] > chunk[longest] { longest = axis }
      chunk[longest] = (chunk[longest] + 1) / 2
    }
    return chunk
  }
}

// MARK: - Reading

extension CaseStore {
  /// The shape `[C, Z, Y, X]` of a case.
  public func shape(of identifier: String) throws -> [Int] {
    let shape = try open(identifier).shape(of: "data")
    guard shape.count == 4 else {
      throw CaseStoreError.damaged(
        file: Self.file(identifier, in: folder).path, problem: "'data' has shape \(shape), expected [C, Z, Y, X]")
    }
    return shape
  }

  /// What preprocessing did to a case.
  public func properties(of identifier: String) throws -> CaseProperties {
    try Self.properties(open(identifier), file: Self.file(identifier, in: folder).path)
  }

  private static func properties(_ root: HDF5Group, file: String) throws -> CaseProperties {
    let json = try root.attribute("properties", as: String.self)
    do {
      return try JSONDecoder().decode(CaseProperties.self, from: Data(json.utf8))
    } catch {
      throw CaseStoreError.damaged(file: file, problem: "its properties can't be read (\(error))")
    }
  }

  /// Where the classes of a case lie.
  public func classLocations(of identifier: String) throws -> ClassLocations {
    try Self.classLocations(open(identifier), file: Self.file(identifier, in: folder).path)
  }

  private static func classLocations(_ root: HDF5Group, file: String) throws -> ClassLocations {
    let group = try root.group("class_locations")
    let entries = try (0..<group.names.count).map { index in
      let dataset = try group.dataset(String(index))
      let voxels = try dataset.read(as: Int32.self)
      guard voxels.shape.count == 2, voxels.shape[1] == 3 else {
        throw CaseStoreError.damaged(file: file, problem: "class_locations/\(index) has shape \(voxels.shape)")
      }
      return ClassLocations.Entry(
        labels: try dataset.attributeArray("labels", as: Int.self).elements,
        isTuple: try dataset.attribute("is_tuple", as: UInt8.self) != 0, voxels: voxels.elements)
    }
    return ClassLocations(entries: entries)
  }

  /// A whole case.
  public func load(_ identifier: String) throws -> PreprocessedCase {
    let root = try open(identifier)
    let path = Self.file(identifier, in: folder).path
    let data = try root.read("data", as: Float.self)
    let segmentation = try root.read("seg", as: Int16.self)
    guard data.shape.count == 4, segmentation.shape.count == 4, data.shape[1...] == segmentation.shape[1...] else {
      throw CaseStoreError.damaged(
        file: path, problem: "'data' has shape \(data.shape), 'seg' \(segmentation.shape)")
    }
    return PreprocessedCase(
      data: VoxelGrid(shape: data.shape, elements: data.elements),
      segmentation: VoxelGrid(shape: segmentation.shape, elements: segmentation.elements),
      properties: try Self.properties(root, file: path), classLocations: try Self.classLocations(root, file: path))
  }

  /// A box of a case; outside of the case the data are 0 and the segmentation is -1. Only the chunks it touches are read.
  public func loadPatch(
    _ identifier: String, _ box: BoundingBox
  ) throws -> (data: VoxelGrid<Float>, segmentation: VoxelGrid<Int16>) {
    let root = try open(identifier)
    return (
      try Self.patch(root.dataset("data"), box, padding: Float(0)),
      try Self.patch(root.dataset("seg"), box, padding: Int16(-1))
    )
  }

  private static func patch<Element: HDF5Element>(
    _ dataset: HDF5Dataset, _ box: BoundingBox, padding: Element
  ) throws -> VoxelGrid<Element> {
    let shape = dataset.shape
    let inside = BoundingBox(
      lower: (0..<3).map { min(max(0, box.lower[$0]), shape[$0 + 1]) },
      upper: (0..<3).map { max(min(shape[$0 + 1], box.upper[$0]), 0) })
    let read = try dataset.read(
      as: Element.self, offset: [0] + inside.lower, count: [shape[0]] + inside.shape)
    let grid = VoxelGrid(shape: [shape[0]] + inside.shape, elements: read.elements)
    return grid.cropped(
      to: BoundingBox(
        lower: zip(box.lower, inside.lower).map { $0 - $1 }, upper: zip(box.upper, inside.lower).map { $0 - $1 }),
      padding: padding)
  }

  /// The signature that a case was written with.
  package static func signature(of identifier: String, in folder: URL) -> String? {
    let path = file(identifier, in: folder).path
    guard FileManager.default.fileExists(atPath: path), let root = try? HDF5File.open(path).root else { return nil }
    return root.hasAttribute("signature") ? try? root.attribute("signature", as: String.self) : nil
  }

  /// Whether a case's file is whole: it has its properties, and its data are of the shape they say.
  package static func isComplete(_ identifier: String, in folder: URL) -> Bool {
    guard let root = try? HDF5File.open(file(identifier, in: folder).path).root,
      (try? properties(root, file: "")) != nil, let data = try? root.shape(of: "data"),
      let segmentation = try? root.shape(of: "seg")
    else { return false }
    return data.count == 4 && segmentation.count == 4 && data[1...] == segmentation[1...]
  }
}
