import TensorCore
import TensorTestSupport
import Testing

@Suite struct TensorTests {
  @Test func mutationNeverReachesACopy() {
    var tensor = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    let copy = tensor
    let view = tensor.reshaped(to: [4])
    tensor.withMutableElements(as: Float.self) { $0[0] = 9 }
    #expect(tensor.elements() == [9, 2, 3, 4])
    #expect(copy.elements() == [1, 2, 3, 4])
    #expect(view.elements() == [1, 2, 3, 4])
  }

  @Test func mutationWithoutSharingStaysInPlace() {
    var tensor = Tensor([1, 2] as [Float], shape: [2])
    let before = tensor.withElements(as: Float.self) { UInt(bitPattern: $0.baseAddress) }
    tensor.withMutableElements(as: Float.self) { $0[1] = 5 }
    tensor.scale(by: 2, adding: Tensor([10, 20] as [Float], shape: [2]), scaledBy: 0.5)
    let after = tensor.withElements(as: Float.self) { UInt(bitPattern: $0.baseAddress) }
    #expect(before == after)
    #expect(tensor.elements() == [7, 20])
    let copy = tensor
    tensor.scale(by: 0, adding: tensor, scaledBy: 2)
    #expect(copy.elements() == [7, 20])
    #expect(tensor.elements() == [14, 40])
  }

  @Test func capacityWastesAtMostAnEighth() {
    for size in [0, 1, 63, 64, 65, 1000, 4097, 100_000, 1 << 20, (1 << 20) + 1, 12_345_678] {
      let storage = Storage(byteCount: size)
      #expect(UInt(bitPattern: storage.pointer) % 64 == 0)
      #expect(storage.byteCount == size)
    }
  }

  /// In a process of its own, since other tests use the same pool.
  @Test func steadyStateAllocatesNothing() async {
    await #expect(processExitsWith: .success) {
      func step() -> Float {
        let x = Tensor(repeating: 0.5, shape: [2, 8, 9, 10, 16])
        let weight = Tensor(repeating: 1.5, shape: [16])
        let y = x.instanceNormalized(weight: weight, bias: weight, epsilon: 1e-5, negativeSlope: 0.01)
        let joined = Tensor.concatenated([x * y + 1, y.sigmoid()], axis: 4)
        return joined.softmax().padded(lower: [0, 1, 1, 1, 0], upper: [0, 1, 1, 1, 0]).sum().scalar()
      }
      let first = step()
      let before = StoragePool.shared.statistics
      for _ in 0..<5 { check(step() == first, "a repeated computation gives other bits") }
      let after = StoragePool.shared.statistics
      check(
        after.systemAllocations == before.systemAllocations,
        "\(after.systemAllocations - before.systemAllocations) blocks came from the system")
      check(after.bytesInUse == before.bytesInUse, "memory stays in use")
    }
  }

  /// Sizes that come once must not pile up.
  @Test func idleMemoryIsBounded() async {
    await #expect(processExitsWith: .success) {
      for step in 0..<60 {
        let size = (40 << 20) + step * (6 << 20)
        _ = Storage(byteCount: size)
      }
      let statistics = StoragePool.shared.statistics
      check(
        statistics.bytesIdle <= 2 * statistics.peakBytesInUse,
        "\(statistics.bytesIdle) bytes idle, at most \(statistics.peakBytesInUse) were in use")
      check(statistics.bytesInUse == 0, "memory stays in use")
    }
  }

  @Test func callersMistakesStop() async {
    await #expect(processExitsWith: .failure) {
      _ = Tensor(zeros: [2, 3]) + Tensor(zeros: [2, 4])
    }
    await #expect(processExitsWith: .failure) {
      _ = Tensor(zeros: [2, 3]).reshaped(to: [7])
    }
    await #expect(processExitsWith: .failure) {
      _ = Tensor.concatenated([Tensor(zeros: [2, 3]), Tensor(zeros: [3, 3])], axis: 1)
    }
    await #expect(processExitsWith: .failure) {
      _ = Tensor(zeros: [2, 3]).matrixProduct(Tensor(zeros: [2, 3]))
    }
    await #expect(processExitsWith: .failure) {
      _ = Tensor([1, 2] as [Int16], shape: [2]).elements()
    }
    await #expect(processExitsWith: .failure) {
      _ = Tensor([1, 2, 3] as [Float], shape: [2])
    }
  }

  @Test func mistakesNameTheOperationAndShapes() async throws {
    let result = try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Tensor(zeros: [2, 3]) * Tensor(zeros: [2, 4])
    }
    let message = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(message.contains("Multiply: shapes [2, 3] and [2, 4] do not broadcast"))
  }

  @Test func shapesAndRanges() {
    let shape: Shape = [2, 3, 4]
    #expect(shape.count == 24 && shape.strides == [12, 4, 1] && shape.spatial == [3] && shape.channels == 4)
    #expect(Shape([]).count == 1)
    let range = DimensionRange(2, 5)
    #expect((range + DimensionRange(3)).description == "5...8")
    #expect((range * DimensionRange(4, nil)).upper == nil)
    #expect(range.intersection(DimensionRange(6, 9)) == nil)
    #expect(ShapeRange(shape).contains(shape) && !ShapeRange(shape).contains([2, 3, 5]))
  }
}
