import Testing
import Volumes

@Suite struct VoxelGridTests {
  let grid = VoxelGrid<Int16>(shape: [2, 3, 4, 5], elements: (0..<120).map(Int16.init))

  @Test func cropsInsideAndOutside() {
    let box = BoundingBox(lower: [-1, 1, 3], upper: [2, 6, 7])
    let cropped = grid.cropped(to: box, padding: -7)
    #expect(cropped.shape == [2, 3, 5, 4])
    for c in 0..<2 {
      for z in 0..<3 {
        for y in 0..<5 {
          for x in 0..<4 {
            let (sz, sy, sx) = (z - 1, y + 1, x + 3)
            let isInside = sz >= 0 && sy < 4 && sx < 5
            #expect(cropped[c, z, y, x] == (isInside ? grid[c, sz, sy, sx] : -7))
          }
        }
      }
    }
    let outside = grid.cropped(to: BoundingBox(lower: [10, 0, 0], upper: [12, 2, 2]), padding: 3)
    #expect(outside == VoxelGrid(shape: [2, 2, 2, 2], repeating: 3))
  }

  @Test func insertsOnlyWhatOverlaps() {
    var target = VoxelGrid<Int16>(shape: [2, 3, 5, 4], repeating: 0)
    target.insert(grid, at: [1, -1, 2])
    for c in 0..<2 {
      for z in 0..<3 {
        for y in 0..<5 {
          for x in 0..<4 {
            let (sz, sy, sx) = (z - 1, y + 1, x - 2)
            let isInside = sz >= 0 && sy < 4 && sx >= 0
            #expect(target[c, z, y, x] == (isInside ? grid[c, sz, sy, sx] : 0))
          }
        }
      }
    }
  }

  @Test(arguments: [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1]])
  func transposes(order: [Int]) {
    let result = grid.transposed(order)
    #expect(result.spatialShape == order.map { grid.spatialShape[$0] })
    for c in 0..<2 {
      for z in 0..<3 {
        for y in 0..<4 {
          for x in 0..<5 {
            let source = [z, y, x]
            let target = order.map { source[$0] }
            #expect(result[c, target[0], target[1], target[2]] == grid[c, z, y, x])
          }
        }
      }
    }
    let back = (0..<3).map { axis in order.firstIndex(of: axis) ?? -1 }
    #expect(result.transposed(back) == grid)
  }
}
