import TensorCore

/// Which axes of a tile are reversed, each in `[Z, Y, X]`.
struct Flip: Hashable, Sendable {
  var z = false
  var y = false
  var x = false

  /// No flip, then every combination of the axes: single ones first, then pairs, then all, as
  /// `itertools.combinations` lists them.
  ///
  /// nnU-Net: `_internal_maybe_mirror_and_predict`.
  /// - Parameter axes: numbered from the network's first spatial axis.
  static func combinations(of axes: [Int], isTwoDimensional: Bool) -> [Flip] {
    let spatial = isTwoDimensional ? axes.map { $0 + 1 } : axes
    check(
      spatial.allSatisfy { (isTwoDimensional ? 1...2 : 0...2).contains($0) } && Set(spatial).count == spatial.count,
      "Mirroring: the axes \(axes) do not match the dimension of the network")
    var flips = [Flip()]
    for count in 1..<(spatial.count + 1) {
      for combination in Self.combinations(spatial, count) {
        flips.append(Flip(z: combination.contains(0), y: combination.contains(1), x: combination.contains(2)))
      }
    }
    return flips
  }

  private static func combinations(_ elements: [Int], _ count: Int) -> [[Int]] {
    if count == 0 { return [[]] }
    return elements.indices.flatMap { index in
      combinations(Array(elements[(index + 1)...]), count - 1).map { [elements[index]] + $0 }
    }
  }
}
