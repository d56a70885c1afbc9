/// NumPy's legacy generator `numpy.random.RandomState`, number for number.
///
/// nnU-Net draws its splits, intensity samples and class locations from it, so equal plans and folds need the same
/// stream. Mersenne Twister: Matsumoto, Nishimura, ACM TOMACS 8 (1998); bounded integers by masked rejection.
public struct NumPyRandomState: Sendable {
  private static let wordCount = 624
  private static let shift = 397

  private var state: [UInt32]
  private var tempered: [UInt32]
  private var position: Int

  /// `RandomState(seed)` for an integer seed.
  public init(seed: UInt32) {
    state = [UInt32](repeating: 0, count: Self.wordCount)
    tempered = state
    position = Self.wordCount
    seedLinearly(seed)
  }

  /// `RandomState([seed, ...])` for a list of seeds.
  public init(seeds: [UInt32]) {
    self.init(seed: 19_650_218)
    guard !seeds.isEmpty else { return }
    let count = Self.wordCount
    var (i, j) = (1, 0)
    for _ in 0..<max(count, seeds.count) {
      state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) &* 1_664_525)) &+ seeds[j] &+ UInt32(j)
      i += 1
      j += 1
      if i >= count {
        state[0] = state[count - 1]
        i = 1
      }
      if j >= seeds.count { j = 0 }
    }
    for _ in 0..<count - 1 {
      state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) &* 1_566_083_941)) &- UInt32(i)
      i += 1
      if i >= count {
        state[0] = state[count - 1]
        i = 1
      }
    }
    state[0] = 0x8000_0000
  }

  private mutating func seedLinearly(_ seed: UInt32) {
    state[0] = seed
    for i in 1..<Self.wordCount {
      state[i] = 1_812_433_253 &* (state[i - 1] ^ (state[i - 1] >> 30)) &+ UInt32(i)
    }
  }

  // MARK: Words

  /// The next 32 random bits.
  public mutating func nextWord() -> UInt32 {
    if position == Self.wordCount {
      Self.refill(&state, &tempered)
      position = 0
    }
    defer { position += 1 }
    return tempered[position]
  }

  private static func refill(_ state: inout [UInt32], _ tempered: inout [UInt32]) {
    let (count, shift) = (Self.wordCount, Self.shift)
    state.withUnsafeMutableBufferPointer { state in
      @inline(__always) func twisted(_ a: UInt32, _ b: UInt32) -> UInt32 {
        let mixed = (a & 0x8000_0000) | (b & 0x7FFF_FFFF)
        return (mixed >> 1) ^ ((0 &- (mixed & 1)) & 0x9908_B0DF)
      }
      // Two loops without wrap-around, so that both run on vectors.
      for i in 0..<count &- shift { state[i] = state[i &+ shift] ^ twisted(state[i], state[i &+ 1]) }
      for i in count &- shift..<count &- 1 {
        state[i] = state[i &- (count &- shift)] ^ twisted(state[i], state[i &+ 1])
      }
      state[count - 1] = state[shift - 1] ^ twisted(state[count - 1], state[0])
      tempered.withUnsafeMutableBufferPointer { tempered in
        for i in 0..<count {
          var word = state[i]
          word ^= word >> 11
          word ^= (word << 7) & 0x9D2C_5680
          word ^= (word << 15) & 0xEFC6_0000
          tempered[i] = word ^ (word >> 18)
        }
      }
    }
  }

  // MARK: Numbers

  /// `random_sample()`: uniform in [0, 1) with 53 bits.
  public mutating func uniform() -> Double {
    let high = Double(nextWord() >> 5)
    let low = Double(nextWord() >> 6)
    return (high * 67_108_864 + low) / 9_007_199_254_740_992
  }

  /// An integer in `0...limit` by masked rejection; `limit` 0 draws nothing.
  private mutating func bounded(_ limit: UInt64) -> UInt64 {
    if limit == 0 { return 0 }
    let mask = UInt64.max >> UInt64(limit.leadingZeroBitCount)
    if limit <= UInt64(UInt32.max) {
      while true {
        let value = UInt64(nextWord()) & mask
        if value <= limit { return value }
      }
    }
    while true {
      let high = UInt64(nextWord())
      let value = (high << 32 | UInt64(nextWord())) & mask
      if value <= limit { return value }
    }
  }

  /// `randint(low, high)`: an integer in the range, which must not be empty.
  public mutating func integer(in range: Range<Int>) -> Int {
    guard !range.isEmpty else { fatalError("NumPyRandomState.integer: the range is empty") }
    let limit = UInt64(bitPattern: Int64(range.upperBound &- range.lowerBound &- 1))
    return range.lowerBound &+ Int(truncatingIfNeeded: bounded(limit))
  }

  /// `randint(low, high, size=count)`.
  public mutating func integers(in range: Range<Int>, count: Int) -> [Int] {
    (0..<count).map { _ in integer(in: range) }
  }

  // MARK: Sequences

  /// `shuffle(array)`.
  public mutating func shuffle<Element>(_ array: inout [Element]) {
    guard array.count > 1 else { return }
    for i in stride(from: array.count - 1, to: 0, by: -1) {
      array.swapAt(i, Int(bounded(UInt64(i))))
    }
  }

  /// `permutation(count)`: 0 ..< `count` in random order.
  public mutating func permutation(_ count: Int) -> [Int] {
    var indices = Array(0..<count)
    shuffle(&indices)
    return indices
  }

  /// `choice(population, count, replace=True)` as indices; the population must not be empty unless `count` is 0.
  public mutating func choiceWithReplacement(from population: Int, count: Int) -> [Int] {
    integers(in: 0..<population, count: count)
  }

  /// `choice(population, count, replace=False)` as indices in drawn order; `count` is at most `population`.
  public mutating func choiceWithoutReplacement(from population: Int, count: Int) -> [Int] {
    guard count <= population else {
      fatalError("NumPyRandomState.choiceWithoutReplacement: \(count) of \(population) elements")
    }
    return Array(permutation(population).prefix(count))
  }

  /// How often each index occurs in `choice(population, count, replace=True)`, without the list of draws.
  ///
  /// The stream moves on exactly as if the draws had been made one by one.
  public mutating func choiceCounts(from population: Int, count: Int) -> [UInt32] {
    guard population > 0, population <= 1 << 32 else {
      fatalError("NumPyRandomState.choiceCounts: \(population) elements")
    }
    if population == 1 { return [UInt32(clamping: count)] }
    let limit = UInt32(population - 1)
    let mask = UInt32.max >> UInt32(limit.leadingZeroBitCount)
    // Rejected values are counted too, behind the population: no branch for each draw.
    var counts = [UInt32](repeating: 0, count: Int(mask) + 1)
    var remaining = count
    while remaining > 0 {
      if position == Self.wordCount {
        Self.refill(&state, &tempered)
        position = 0
      }
      if remaining >= Self.wordCount - position {
        remaining -= Self.count(tempered[position...], into: &counts, mask: mask, limit: limit)
        position = Self.wordCount
      } else {
        let value = tempered[position] & mask
        counts[Int(value)] &+= 1
        remaining -= value <= limit ? 1 : 0
        position += 1
      }
    }
    counts.removeLast(counts.count - population)
    return counts
  }

  /// Counts masked words and returns how many were within the limit.
  private static func count(
    _ words: ArraySlice<UInt32>, into counts: inout [UInt32], mask: UInt32, limit: UInt32
  ) -> Int {
    counts.withUnsafeMutableBufferPointer { counts in
      words.withUnsafeBufferPointer { words in
        var accepted = 0
        for word in words {
          let value = word & mask
          counts[Int(value)] &+= 1
          accepted &+= value <= limit ? 1 : 0
        }
        return accepted
      }
    }
  }
}
