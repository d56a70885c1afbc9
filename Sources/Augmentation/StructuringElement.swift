/// The neighbourhood of a binary operation as runs along x, so that whole rows are combined at once.
struct StructuringElement {
  /// Offsets of a row and the first and last offset along x that belong to the neighbourhood.
  struct Run {
    var z: Int
    var y: Int
    var x: ClosedRange<Int>
  }
  var runs: [Run]

  /// skimage: `ball`. A radius that is not whole gives an element of even width, off centre by half a voxel.
  init(ballRadius radius: Double) {
    let count = Int(2 * radius + 1)
    let step = count > 1 ? 2 * radius / Double(count - 1) : 0
    let positions = (0..<count).map { Double($0) * step - radius }
    self.init(z: positions, yx: positions, limit: radius * radius)
  }

  /// skimage: `disk`.
  init(diskRadius radius: Double) {
    let positions = (0..<Int((2 * radius + 1).rounded(.up))).map { Double($0) - radius }
    self.init(z: [0], yx: positions, limit: radius * radius)
  }

  /// The voxels whose squared distance from the origin is at most `limit`.
  private init(z: [Double], yx: [Double], limit: Double) {
    runs = []
    // The reference convolves with zeros around the image: half of the element, rounded down, lies before a voxel.
    let (beforeZ, before) = ((z.count - 1) / 2, (yx.count - 1) / 2)
    for (indexZ, z) in z.enumerated() {
      for (indexY, y) in yx.enumerated() {
        let inside = yx.indices.filter { yx[$0] * yx[$0] + y * y + z * z <= limit }
        guard let first = inside.first, let last = inside.last else { continue }
        runs.append(Run(z: indexZ - beforeZ, y: indexY - before, x: first - before...last - before))
      }
    }
  }
}

/// A volume of one bit per voxel; every row along x starts on a word, and bits beyond its end are 0.
struct BitVolume {
  let size: [Int]
  private let wordsPerRow: Int
  private var words: [UInt64]

  private init(size: [Int]) {
    self.size = size
    wordsPerRow = (size[2] + 63) / 64
    words = Array(repeating: 0, count: size[0] * size[1] * wordsPerRow)
  }

  init(size: [Int], nonzero values: UnsafePointer<Float>) {
    self.init(size: size)
    for row in 0..<size[0] * size[1] {
      for x in 0..<size[2] where values[row * size[2] + x] != 0 {
        words[row * wordsPerRow + x / 64] |= 1 << UInt64(x % 64)
      }
    }
  }

  /// 1 and 0 for every voxel.
  func write(to values: UnsafeMutablePointer<Float>) {
    for row in 0..<size[0] * size[1] {
      for x in 0..<size[2] {
        values[row * size[2] + x] = words[row * wordsPerRow + x / 64] >> UInt64(x % 64) & 1 == 0 ? 0 : 1
      }
    }
  }

  /// Sets the voxels of this volume to 0.
  func clear(in values: UnsafeMutablePointer<Float>) {
    for row in 0..<size[0] * size[1] {
      for word in 0..<wordsPerRow {
        var remaining = words[row * wordsPerRow + word]
        while remaining != 0 {
          values[row * size[2] + word * 64 + remaining.trailingZeroBitCount] = 0
          remaining &= remaining - 1
        }
      }
    }
  }

  func subtracting(_ other: BitVolume) -> BitVolume {
    var result = self
    for index in words.indices { result.words[index] &= ~other.words[index] }
    return result
  }

  func applying(_ operation: BinaryOperation, with element: StructuringElement) -> BitVolume {
    switch operation {
    case .dilation: dilated(by: element)
    case .erosion: eroded(by: element)
    case .closing: dilated(by: element).eroded(by: element)
    case .opening: eroded(by: element).dilated(by: element)
    }
  }

  /// Outside of the volume counts as set here and as clear in a dilation, so neither grows from the border.
  private func eroded(by element: StructuringElement) -> BitVolume {
    complement().dilated(by: element).complement()
  }

  private func complement() -> BitVolume {
    var result = self
    for index in words.indices { result.words[index] = ~words[index] }
    result.clearBitsBeyondRows()
    return result
  }

  private mutating func clearBitsBeyondRows() {
    guard size[2] % 64 != 0 else { return }
    let mask: UInt64 = (1 << UInt64(size[2] % 64)) - 1
    for row in 0..<size[0] * size[1] { words[(row + 1) * wordsPerRow - 1] &= mask }
  }

  /// Voxels that have a set voxel in their neighbourhood.
  private func dilated(by element: StructuringElement) -> BitVolume {
    var result = BitVolume(size: size)
    for (range, runs) in Dictionary(grouping: element.runs, by: \.x) {
      let widened = dilatedAlongRows(by: range)
      widened.words.withUnsafeBufferPointer { source in
        result.words.withUnsafeMutableBufferPointer { target in
          for run in runs {
            for z in max(0, -run.z)..<max(max(0, -run.z), min(size[0], size[0] - run.z)) {
              let firstY = max(0, -run.y)
              let lastY = min(size[1], size[1] - run.y)
              guard firstY < lastY else { continue }
              let to = (z * size[1] + firstY) * wordsPerRow
              let from = ((z + run.z) * size[1] + firstY + run.y) * wordsPerRow
              for word in 0..<(lastY - firstY) * wordsPerRow { target[to + word] |= source[from + word] }
            }
          }
        }
      }
    }
    result.clearBitsBeyondRows()
    return result
  }

  /// Bit x of a row is set if one of the bits x + range of that row is.
  private func dilatedAlongRows(by range: ClosedRange<Int>) -> BitVolume {
    var result = self
    var row = [UInt64](repeating: 0, count: wordsPerRow)
    for start in stride(from: 0, to: words.count, by: wordsPerRow) {
      guard words[start..<start + wordsPerRow].contains(where: { $0 != 0 }) else { continue }
      for word in 0..<wordsPerRow { row[word] = 0 }
      for offset in range {
        for word in 0..<wordsPerRow { row[word] |= shiftedWord(word, ofRowAt: start, by: offset) }
      }
      for word in 0..<wordsPerRow { result.words[start + word] = row[word] }
    }
    return result
  }

  /// 64 bits of a row, beginning `offset` bits after the start of word `word`.
  private func shiftedWord(_ word: Int, ofRowAt start: Int, by offset: Int) -> UInt64 {
    let position = word * 64 + offset
    let first = position >> 6
    let shift = UInt64(position & 63)
    func bits(_ index: Int) -> UInt64 { index >= 0 && index < wordsPerRow ? words[start + index] : 0 }
    return shift == 0 ? bits(first) : bits(first) >> shift | bits(first + 1) << (64 - shift)
  }
}
