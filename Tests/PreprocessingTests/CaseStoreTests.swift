import Foundation
import HDF5Files
import Preprocessing
import TensorCore
import Testing
import Volumes

@Suite struct CaseStoreTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)

  init() throws { try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true) }

  private func example(_ shape: [Int] = [2, 37, 65, 71]) -> PreprocessedCase {
    let count = shape.reduce(1, *)
    let image = ImageProperties(
      spacing: [3, 0.1, 1 / 3],
      sitkStuff: SimpleITKGeometry(
        spacing: [1 / 3, 0.1, 3], origin: [-1.5, 2, 1e-9], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1]))
    return PreprocessedCase(
      data: VoxelGrid(shape: shape, elements: (0..<count).map { Float($0) * 0.25 }),
      segmentation: VoxelGrid(
        shape: [1] + shape[1...], elements: (0..<count / shape[0]).map { Int16($0 % 5) - 1 }),
      properties: CaseProperties(
        image: image, shapeBeforeCropping: [40, 70, 80],
        boxUsedForCropping: BoundingBox(lower: [1, 2, 3], upper: [38, 67, 74]),
        shapeAfterCroppingAndBeforeResampling: [37, 65, 71]),
      classLocations: ClassLocations(entries: [
        .init(labels: [1], isTuple: false, voxels: [1, 2, 3, 4, 5, 6]),
        .init(labels: [2], isTuple: false, voxels: []),
        .init(labels: [-1, 0, 1, 2], isTuple: true, voxels: [0, 0, 0]),
      ]))
  }

  @Test func aCaseReadsBack() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let item = example()
    try CaseStore.write(item, identifier: "b", to: folder)
    try CaseStore.write(example([1, 4, 5, 6]), identifier: "a", to: folder)
    let store = try CaseStore(folder: folder)
    #expect(store.identifiers == ["a", "b"])
    let read = try store.load("b")
    #expect(read.data == item.data && read.segmentation == item.segmentation)
    #expect(read.properties == item.properties && read.classLocations == item.classLocations)
    #expect(read.classLocations.entries.map(\.key) == ["1", "2", "(-1, 0, 1, 2)"])
    let shape = try store.shape(of: "a")
    #expect(shape == [1, 4, 5, 6])
    #expect(CaseStore.isComplete("a", in: folder) && !CaseStore.isComplete("c", in: folder))
  }

  @Test(arguments: [
    BoundingBox(lower: [3, 10, 20], upper: [20, 40, 60]), BoundingBox(lower: [-5, -6, -7], upper: [50, 80, 90]),
    BoundingBox(lower: [30, 60, -20], upper: [45, 70, 5]), BoundingBox(lower: [100, 0, 0], upper: [110, 10, 10]),
    BoundingBox(lower: [-20, 0, 0], upper: [-10, 10, 10]),
  ])
  func aPatchIsTheCasesBoxWithPadding(box: BoundingBox) throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let item = example()
    try CaseStore.write(item, identifier: "b", to: folder)
    let (data, segmentation) = try CaseStore(folder: folder).loadPatch("b", box)
    #expect(data.shape == [2] + box.shape && segmentation.shape == [1] + box.shape)
    var worst: Float = 0
    for c in 0..<2 {
      for z in 0..<box.shape[0] {
        for y in 0..<box.shape[1] {
          for x in 0..<box.shape[2] {
            let source = [z + box.lower[0], y + box.lower[1], x + box.lower[2]]
            let inside = (0..<3).allSatisfy { source[$0] >= 0 && source[$0] < item.data.shape[$0 + 1] }
            let expected = inside ? item.data[c, source[0], source[1], source[2]] : 0
            let label = inside ? item.segmentation[0, source[0], source[1], source[2]] : -1
            worst = max(worst, abs(expected - data[c, z, y, x]))
            if label != segmentation[0, z, y, x] { worst = .infinity }
          }
        }
      }
    }
    #expect(worst == 0)
  }

  @Test func errorsNameTheFile() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let missing = #expect(throws: CaseStoreError.self) {
      try CaseStore(folder: folder.appendingPathComponent("nowhere"))
    }
    #expect(missing?.description.contains("nowhere") == true)
    try Data("no case".utf8).write(to: folder.appendingPathComponent("broken.h5"))
    let broken = #expect(throws: HDF5Error.self) { try CaseStore(folder: folder).load("broken") }
    #expect(broken?.description.contains("broken.h5") == true)
    #expect(!CaseStore.isComplete("broken", in: folder))
  }
}
