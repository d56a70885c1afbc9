import Foundation
import Synchronization
import Testing

import Training

@Suite struct PrefetcherTests {
  private struct Broken: Error {}

  @Test(arguments: [1, 2, 4]) func itemsComeInOrderWhateverTheThreads(threads: Int) throws {
    let prefetcher = Prefetcher<Int>(threads: threads, capacity: 3, first: 5) { number in
      // Later items are sometimes ready earlier.
      Thread.sleep(forTimeInterval: number % 3 == 0 ? 0.004 : 0.0005)
      return number * number
    }
    defer { prefetcher.stop() }
    for number in 5..<60 {
      let item = try prefetcher.next().item
      #expect(item == number * number)
    }
  }

  @Test func noMoreThanTheCapacityIsMadeAhead() throws {
    let made = Atomic<Int>(0)
    let prefetcher = Prefetcher<Int>(threads: 3, capacity: 4, first: 0) { number in
      made.add(1, ordering: .relaxed)
      return number
    }
    defer { prefetcher.stop() }
    Thread.sleep(forTimeInterval: 0.1)
    #expect(made.load(ordering: .relaxed) == 4)
    _ = try prefetcher.next()
    Thread.sleep(forTimeInterval: 0.1)
    #expect(made.load(ordering: .relaxed) == 5)
  }

  @Test func anErrorArrivesAtItsPlaceAndTheRestGoesOn() throws {
    let prefetcher = Prefetcher<Int>(threads: 2, capacity: 3, first: 0) { number in
      if number == 2 { throw Broken() }
      return number
    }
    defer { prefetcher.stop() }
    var items: [Int?] = []
    for _ in 0..<4 { items.append(try? prefetcher.next().item) }
    #expect(items == [0, 1, nil, 3])
  }
}
