/// Which world axis each axis of an image runs along, and whether against it: how nibabel turns images to RAS.
///
/// nibabel: `nibabel/orientations.py`.
struct AxisOrientation: Hashable {
  /// For the image's axes x, y, z: the axis it becomes, and whether it is turned around on the way.
  var axes: [(target: Int, isFlipped: Bool)]

  static func == (a: Self, b: Self) -> Bool {
    zip(a.axes, b.axes).allSatisfy { $0 == $1 }
  }

  func hash(into hasher: inout Hasher) {
    for axis in axes {
      hasher.combine(axis.target)
      hasher.combine(axis.isFlipped)
    }
  }

  static let identity = AxisOrientation(axes: [(0, false), (1, false), (2, false)])

  private init(axes: [(target: Int, isFlipped: Bool)]) {
    self.axes = axes
  }

  /// What turns an image with this affine matrix to the closest RAS orientation; `nil` where the matrix has no
  /// independent directions.
  ///
  /// nibabel: `io_orientation`.
  init?(affine: [[Double]]) {
    guard affine.count == 4, affine.allSatisfy({ $0.count == 4 }) else { return nil }
    let lengths = (0..<3).map { column in
      (0..<3).reduce(0) { $0 + affine[$1][column] * affine[$1][column] }.squareRoot()
    }
    guard lengths.allSatisfy({ $0 > 0 && $0.isFinite }) else { return nil }
    let directions = (0..<3).map { row in (0..<3).map { affine[row][$0] / lengths[$0] } }
    guard var rotation = Self.closestRotation(directions) else { return nil }
    // From the clearest axis to the least clear, so that the order of the axes in the file doesn't matter.
    let clearness = (0..<3).map { column in rotation.map { $0[column] * $0[column] }.max() ?? 0 }
    var found = Self.identity.axes
    for column in (0..<3).sorted(by: { clearness[$0] > clearness[$1] }) {
      let magnitudes = rotation.map { abs($0[column]) }
      guard let largest = magnitudes.max(), largest > 1e-8, let row = magnitudes.firstIndex(of: largest) else {
        return nil
      }
      found[column] = (target: row, isFlipped: rotation[row][column] < 0)
      rotation[row] = [0, 0, 0]
    }
    axes = found
  }

  /// The orthogonal factor of the polar decomposition: `A (A^T A)^(-1/2)`, from the eigenvectors of `A^T A`.
  private static func closestRotation(_ a: [[Double]]) -> [[Double]]? {
    var square = (0..<3).map { i in (0..<3).map { j in (0..<3).reduce(0) { $0 + a[$1][i] * a[$1][j] } } }
    var vectors = (0..<3).map { i in (0..<3).map { i == $0 ? 1.0 : 0.0 } }
    // Jacobi's rotations; three by three converges within a few sweeps.
    for _ in 0..<30 {
      for (p, q) in [(0, 1), (0, 2), (1, 2)] where abs(square[p][q]) > 1e-300 {
        let theta = (square[q][q] - square[p][p]) / (2 * square[p][q])
        let t = (theta < 0 ? -1 : 1) / (abs(theta) + (theta * theta + 1).squareRoot())
        let c = 1 / (t * t + 1).squareRoot()
        let s = t * c
        func turn(_ a: Double, _ b: Double) -> (Double, Double) { (c * a - s * b, s * a + c * b) }
        for k in 0..<3 { (square[k][p], square[k][q]) = turn(square[k][p], square[k][q]) }
        for k in 0..<3 { (square[p][k], square[q][k]) = turn(square[p][k], square[q][k]) }
        for k in 0..<3 { (vectors[k][p], vectors[k][q]) = turn(vectors[k][p], vectors[k][q]) }
      }
    }
    let singular = (0..<3).map { max(0, square[$0][$0]).squareRoot() }
    guard let largest = singular.max(), singular.allSatisfy({ $0 > largest * 1e-12 }) else { return nil }
    var rotation = (0..<3).map { _ in [0.0, 0, 0] }
    for i in 0..<3 {
      let image = (0..<3).map { row in (0..<3).reduce(0) { $0 + a[row][$1] * vectors[$1][i] } / singular[i] }
      for row in 0..<3 { for column in 0..<3 { rotation[row][column] += image[row] * vectors[column][i] } }
    }
    return rotation
  }

  /// What undoes this.
  var inverse: AxisOrientation {
    var result = axes
    for (source, axis) in axes.enumerated() { result[axis.target] = (target: source, isFlipped: axis.isFlipped) }
    return AxisOrientation(axes: result)
  }

  /// The affine matrix of the turned image.
  ///
  /// nibabel: `inv_ornt_aff`.
  /// - Parameter sizes: of the image before, along x, y, z.
  func apply(toAffine affine: [[Double]], sizes: [Int]) -> [[Double]] {
    // The index before as a function of the index after.
    var undo = (0..<4).map { row in (0..<4).map { row == 3 && $0 == 3 ? 1.0 : 0.0 } }
    for (source, axis) in axes.enumerated() {
      undo[source][axis.target] = axis.isFlipped ? -1 : 1
      undo[source][3] = axis.isFlipped ? Double(sizes[source] - 1) : 0
    }
    return (0..<4).map { row in
      (0..<4).map { column in (0..<4).reduce(0) { $0 + affine[row][$1] * undo[$1][column] } }
    }
  }

  /// The turned image; a grid's axes are `[C, z, y, x]`.
  func apply<Element>(to grid: VoxelGrid<Element>) -> VoxelGrid<Element> {
    if self == .identity { return grid }
    let sizes = [grid.shape[3], grid.shape[2], grid.shape[1]]
    let strides = [1, sizes[0], sizes[0] * sizes[1]]
    var turnedSizes = sizes
    // Along each turned axis: the step in the old grid; and where in it the turned grid starts.
    var steps = [0, 0, 0]
    var start = 0
    for (source, axis) in axes.enumerated() {
      turnedSizes[axis.target] = sizes[source]
      steps[axis.target] = axis.isFlipped ? -strides[source] : strides[source]
      if axis.isFlipped { start += (sizes[source] - 1) * strides[source] }
    }
    var elements: [Element] = []
    elements.reserveCapacity(grid.elements.count)
    for channel in 0..<grid.channelCount {
      let origin = channel * grid.voxelCount + start
      for z in 0..<turnedSizes[2] {
        for y in 0..<turnedSizes[1] {
          let row = origin + z * steps[2] + y * steps[1]
          for x in 0..<turnedSizes[0] { elements.append(grid.elements[row + x * steps[0]]) }
        }
      }
    }
    return VoxelGrid(shape: [grid.channelCount] + turnedSizes.reversed(), elements: elements)
  }
}
