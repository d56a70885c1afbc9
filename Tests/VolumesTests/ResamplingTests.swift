import Foundation
import HDF5Files
import TensorCore
import TensorTestSupport
import Testing
import Volumes

private struct GoldenCase: Decodable {
  let name: String
  let function: String
  let input: String
  let currentSpacing: [Double]
  let newSpacing: [Double]
  let newShape: [Int]
  let kwargs: Arguments
  let doSeparateZ: Bool
  let axis: Int?
  let outputDtype: String

  struct Arguments: Decodable {
    let isSeg: Bool
    let order: Int?
    let orderZ: Int?
    let forceSeparateZ: Bool?
    let memefficientSegResampling: Bool?
  }

  var resampling: Resampling {
    let method: Resampling.Method =
      function == "resample_torch_fornnunet"
      ? .torch(
        mode: .linear, anisotropicAxisMode: .nearestExact,
        memoryEfficientSegmentation: kwargs.memefficientSegResampling ?? false)
      : .spline(order: kwargs.order ?? 3, orderZ: kwargs.orderZ ?? 0)
    return Resampling(method, separatesZ: kwargs.forceSeparateZ)
  }
}

private struct Tables: Decodable {
  struct Shape: Decodable {
    let oldShape: [Int]
    let oldSpacing: [Double]
    let newSpacing: [Double]
    let newShape: [Int]
  }
  struct Axis: Decodable {
    let forceSeparateZ: Bool?
    let currentSpacing: [Double]
    let newSpacing: [Double]
    let doSeparateZ: Bool
    let axis: Int?
  }
  let computeNewShape: [Shape]
  let determineDoSepZAndAxis: [Axis]
}

private func decode<T: Decodable>(_ type: T.Type, _ file: URL) throws -> T {
  let decoder = JSONDecoder()
  decoder.keyDecodingStrategy = .convertFromSnakeCase
  return try decoder.decode(type, from: Data(contentsOf: file))
}

/// The fraction of equal elements.
func agreement<T: Equatable>(_ a: [T], _ b: [T]) -> Double {
  guard a.count == b.count, !a.isEmpty else { return 0 }
  return Double(zip(a, b).count { $0 == $1 }) / Double(a.count)
}

@Suite struct ResamplingTests {
  @Test func shapesAndAxesAsTheTables() throws {
    guard let folder = Golden.folder("resampling") else { return }
    let tables = try decode(Tables.self, folder.appendingPathComponent("tables.json"))
    #expect(tables.computeNewShape.count > 10 && tables.determineDoSepZAndAxis.count > 10)
    for row in tables.computeNewShape {
      let shape = Resampling.newShape(of: row.oldShape, spacing: row.oldSpacing, newSpacing: row.newSpacing)
      #expect(shape == row.newShape)
    }
    for row in tables.determineDoSepZAndAxis {
      let resampling = Resampling(.spline(order: 3, orderZ: 0), separatesZ: row.forceSeparateZ)
      let axis = resampling.separateAxis(currentSpacing: row.currentSpacing, newSpacing: row.newSpacing)
      #expect(axis == row.axis, "\(row)")
      #expect((axis != nil) == row.doSeparateZ)
    }
  }

  @Test func everyGoldenCaseOnEveryInstructionSet() throws {
    guard let folder = Golden.folder("resampling") else { return }
    let cases = try decode([GoldenCase].self, folder.appendingPathComponent("index.json"))
    let file = try HDF5File.open(folder.appendingPathComponent("resampling.h5").path)
    #expect(cases.count > 100)
    var leastAgreement = 1.0
    var worst: [String: Float] = [:]
    for golden in cases {
      let input = try file.root.read(golden.input, as: Float.self)
      let expected = try file.root.read("expected/" + golden.name, as: Float.self)
      for level in EvaluationContext.availableInstructionSets {
        let context = EvaluationContext(pool: .shared, instructionSet: level)
        if golden.kwargs.isSeg {
          let grid = VoxelGrid<Int16>(shape: input.shape, elements: input.elements.map { Int16($0) })
          let result = golden.resampling.resampleSegmentation(
            grid, to: golden.newShape, currentSpacing: golden.currentSpacing, newSpacing: golden.newSpacing,
            context: context)
          #expect(result.shape == expected.shape)
          let equal = agreement(result.elements, expected.elements.map { Int16($0) })
          #expect(equal >= 0.999, "\(golden.name) \(golden.function) \(golden.kwargs)")
          leastAgreement = min(leastAgreement, equal)
        } else {
          let grid = VoxelGrid<Float>(shape: input.shape, elements: input.elements)
          let result = golden.resampling.resample(
            grid, to: golden.newShape, currentSpacing: golden.currentSpacing, newSpacing: golden.newSpacing,
            context: context)
          let tolerance: Float =
            golden.outputDtype == "float16" ? 1e-2 : golden.function == "resample_torch_fornnunet" ? 1e-3 : 2e-3
          let difference = expectClose(
            result.elements, shape: result.shape, expected.elements, shape: expected.shape, absolute: tolerance,
            relativeToMaximum: 0, "\(golden.name) \(golden.function) \(golden.kwargs)")
          let kind = "\(golden.function) \(golden.outputDtype)"
          worst[kind] = max(worst[kind] ?? 0, difference)
        }
      }
    }
    print("golden resampling: least agreement of labels \(leastAgreement), largest differences \(worst)")
  }

  /// Logits that are rounded to float16 equal the reference's to the last bit, ties included.
  @Test func logitsInReferenceOrderAreEqual() throws {
    guard let folder = Golden.folder("resampling") else { return }
    let cases = try decode([GoldenCase].self, folder.appendingPathComponent("index.json")).filter {
      $0.outputDtype == "float16" && $0.resampling.method == .spline(order: 1, orderZ: 0)
    }
    let file = try HDF5File.open(folder.appendingPathComponent("resampling.h5").path)
    #expect(cases.count == 4 && Set(cases.map(\.axis)) == [nil, 0, 1, 2])
    for golden in cases {
      let input = try file.root.read(golden.input, as: Float.self)
      let expected = try file.root.read("expected/" + golden.name, as: Float.self)
      let logits = VoxelGrid<Float>(shape: input.shape, elements: input.elements)
      #expect(golden.resampling.hasReferenceOrder(from: logits.spatialShape, to: golden.newShape))
      #expect(!golden.resampling.hasReferenceOrder(from: golden.newShape, to: golden.newShape))
      let found = (0..<logits.channelCount).map {
        golden.resampling.resampledInReferenceOrder(
          logits.channel($0), to: golden.newShape, currentSpacing: golden.currentSpacing,
          newSpacing: golden.newSpacing)
      }
      #expect(found.allSatisfy { [logits.channelCount] + $0.spatialShape == expected.shape })
      #expect(found.flatMap(\.elements) == expected.elements, "\(golden.name)")
    }
  }

  @Test func doublesRoundToHalfAtOnce() {
    var generator = RandomGenerator(seed: 5)
    var values: [Double] = [0, 65504, 65519.99999999999, 65520, 1e300, .infinity, 0x1p-25, 0x1.0000000000001p-25]
    for half in 0..<UInt16(0x7C00) {
      let value = Double(Float16(bitPattern: half))
      let middle = (value + Double(Float16(bitPattern: half + 1))) / 2
      // Through Float, the middle's neighbours would become the middle.
      if middle.isFinite { values += [value, middle, middle.nextUp, middle.nextDown] }
    }
    for _ in 0..<50_000 { values.append(Double(bitPattern: generator.next())) }
    for value in values.flatMap({ [$0, -$0] }) where !value.isNaN {
      let (found, expected) = (roundedToHalf(value), Float(Float16(value)))
      if found.bitPattern != expected.bitPattern {
        Issue.record("\(value) rounds to \(found), expected \(expected)")
      }
    }
  }

  @Test func threadsDoNotChangeTheResult() {
    var generator = RandomGenerator(seed: 3)
    let grid = VoxelGrid<Float>(
      shape: [2, 23, 37, 41], elements: (0..<2 * 23 * 37 * 41).map { _ in generator.uniform() })
    let labels = VoxelGrid<Int16>(
      shape: [1, 23, 37, 41], elements: (0..<23 * 37 * 41).map { _ in Int16(generator.next() % 4) })
    let pool = WorkerPool(threads: 3)
    let level = EvaluationContext.standard.instructionSet
    for spacing in [[1.0, 1, 1], [5, 1, 1], [1, 5, 1]] {
      for newShape in [[30, 31, 60], [11, 50, 41], [23, 37, 41]] {
        let resampling = Resampling(.spline(order: 3, orderZ: 0))
        let results = [WorkerPool.serial, pool].map {
          resampling.resample(
            grid, to: newShape, currentSpacing: spacing, newSpacing: spacing,
            context: EvaluationContext(pool: $0, instructionSet: level))
        }
        #expect(results[0] == results[1])
        #expect(results[0].shape == [2] + newShape)
        let seg = Resampling(.spline(order: 1, orderZ: 0))
        let maps = [WorkerPool.serial, pool].map {
          seg.resampleSegmentation(
            labels, to: newShape, currentSpacing: spacing, newSpacing: spacing,
            context: EvaluationContext(pool: $0, instructionSet: level))
        }
        #expect(maps[0] == maps[1])
      }
    }
  }

  @Test func noResamplingKeepsTheGrid() {
    let grid = VoxelGrid<Float>(shape: [1, 2, 3, 4], elements: (0..<24).map(Float.init))
    let result = Resampling(.none).resample(grid, to: [4, 4, 4], currentSpacing: [1, 1, 1], newSpacing: [2, 2, 2])
    #expect(result == grid)
  }
}

@Suite struct ConnectedComponentsTests {
  /// Labels by flood filling, one voxel after the other.
  private func flood(_ mask: VoxelGrid<Bool>, full: Bool) -> [Int32] {
    var labels = [Int32](repeating: 0, count: mask.voxelCount)
    var next: Int32 = 0
    let (depth, height, width) = (mask.shape[1], mask.shape[2], mask.shape[3])
    for seed in 0..<mask.voxelCount where mask.elements[seed] && labels[seed] == 0 {
      next += 1
      labels[seed] = next
      var queue = [seed]
      while let voxel = queue.popLast() {
        let (z, y, x) = (voxel / (height * width), voxel / width % height, voxel % width)
        for dz in -1...1 {
          for dy in -1...1 {
            for dx in -1...1 where full || abs(dz) + abs(dy) + abs(dx) == 1 {
              let (nz, ny, nx) = (z + dz, y + dy, x + dx)
              guard nz >= 0, ny >= 0, nx >= 0, nz < depth, ny < height, nx < width else { continue }
              let neighbour = (nz * height + ny) * width + nx
              if mask.elements[neighbour] && labels[neighbour] == 0 {
                labels[neighbour] = next
                queue.append(neighbour)
              }
            }
          }
        }
      }
    }
    return labels
  }

  @Test(arguments: [10, 30, 50, 70, 90])
  func agreesWithFloodFilling(percent: UInt64) {
    var generator = RandomGenerator(seed: percent)
    for shape in [[1, 9, 11, 13], [1, 1, 17, 19], [1, 16, 1, 5], [1, 5, 6, 1]] {
      let mask = VoxelGrid<Bool>(
        shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in generator.next() % 100 < percent })
      for connectivity in [Connectivity.faces, .full] {
        let components = ConnectedComponents(mask, connectivity: connectivity)
        let expected = flood(mask, full: connectivity == .full)
        #expect(components.labels.elements == expected)
        for (index, size) in components.sizes.enumerated() {
          #expect(size == expected.count { $0 == Int32(index + 1) })
        }
        #expect(components.sizes.count == Int(expected.max() ?? 0))
      }
      // A hole is a component of the outside that touches no face of the volume.
      let outside = flood(VoxelGrid(shape: shape, elements: mask.elements.map { !$0 }), full: false)
      var open: Set<Int32> = []
      for i in 0..<mask.voxelCount {
        let (z, y, x) = (i / (shape[2] * shape[3]), i / shape[3] % shape[2], i % shape[3])
        if z == 0 || y == 0 || x == 0 || z + 1 == shape[1] || y + 1 == shape[2] || x + 1 == shape[3] {
          open.insert(outside[i])
        }
      }
      var filled = mask
      fillHoles(&filled)
      #expect(filled.elements == mask.elements.indices.map { mask.elements[$0] || !open.contains(outside[$0]) })
    }
  }

  @Test func allLargestComponentsAreKept() {
    let mask = VoxelGrid<Bool>(
      shape: [1, 1, 1, 9], elements: [true, true, false, true, false, true, true, false, true])
    #expect(
      ConnectedComponents(mask).largest.elements == [true, true, false, false, false, true, true, false, false])
    let empty = VoxelGrid<Bool>(shape: [1, 1, 1, 3], repeating: false)
    #expect(ConnectedComponents(empty).largest == empty)
  }

  @Test func cropsToWhatIsNotZero() {
    var image = VoxelGrid<Float>(shape: [2, 6, 7, 8], repeating: 0)
    for z in 1..<4 {
      for y in 2..<6 {
        for x in 3..<7 { image[0, z, y, x] = 1 }
      }
    }
    image[0, 2, 3, 5] = 0
    image[1, 5, 2, 3] = -2
    let crop = NonzeroCrop(image)
    #expect(crop.box == BoundingBox(lower: [1, 2, 3], upper: [6, 6, 7]))
    #expect(crop.mask.shape == [1, 5, 4, 4])
    #expect(crop.mask[0, 1, 1, 2], "the hole is filled")
    #expect(!crop.mask[0, 4, 1, 0] && crop.mask[0, 4, 0, 0])
    let empty = NonzeroCrop(VoxelGrid(shape: [1, 2, 3, 4], repeating: 0))
    #expect(empty.box == BoundingBox(lower: [0, 0, 0], upper: [2, 3, 4]))
    #expect(!empty.mask.elements.contains(true))
  }
}
