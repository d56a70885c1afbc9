import TensorCore
import Testing

@Suite struct ScratchMemoryTests {
  @Test func piecesNeverOverlapAndComeBack() {
    let memory = Storage(byteCount: 4096)
    var context = EvaluationContext.standard
    context.scratch = ScratchMemory(memory.pointer, byteCount: 4096)
    let inside = memory.pointer..<memory.pointer + 4096
    for _ in 0..<3 {
      context.withScratch(byteCount: 1000) { first in
        #expect(first == memory.pointer)
        context.withScratch(byteCount: 2000) { second in
          #expect(second == memory.pointer + 1024)
          // 1024 bytes are left; more come from the pool.
          context.withScratch(byteCount: 1025) { third in #expect(!inside.contains(third)) }
          context.withScratch(byteCount: 1024) { third in #expect(third == memory.pointer + 3072) }
        }
      }
    }
  }

  @Test func manyThreads() {
    let memory = Storage(byteCount: 64 * 64)
    var context = EvaluationContext(
      pool: WorkerPool(threads: 4), instructionSet: EvaluationContext.standard.instructionSet)
    context.scratch = ScratchMemory(memory.pointer, byteCount: 64 * 64)
    let fixed = context
    fixed.pool.run(tasks: 2000) { task in
      fixed.withScratch(byteCount: 64) { piece in
        let numbers = piece.assumingMemoryBound(to: Int.self)
        for i in 0..<8 { numbers[i] = task }
        #expect((0..<8).allSatisfy { numbers[$0] == task })
      }
    }
  }
}
