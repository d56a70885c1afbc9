/// What a compilation found and decided.
public struct CompileReport: Sendable, Hashable, CustomStringConvertible {
  public struct Pass: Sendable, Hashable {
    public var name: String
    public var operationCount: Int
  }

  public var function: String
  /// Operations that were traced.
  public var tracedOperations: Int
  /// Operations after each pass that ran, in order.
  public var passes: [Pass]
  /// Outputs that are written over inputs.
  public var overwrites: Int
  /// Planned memory of values and of what operations take for themselves.
  public var arenaByteCount: Int
  /// Memory of outputs.
  public var resultByteCount: Int
  /// How many convolutions, gradients included, run by each algorithm at the largest shapes: the kernels' choice.
  public var algorithms: [String: Int]
  public var seconds: Double
  /// Axes that operations need equal and that are not proven equal at every shape in the ranges; they are checked when a
  /// shape comes.
  public var unprovenEqualities: [String]
  /// Named dimensions without a declared range.
  public var unknownNames: [String]

  /// The most bytes a run takes besides its inputs.
  public var peakByteCount: Int { arenaByteCount + resultByteCount }

  public var description: String {
    let open = unprovenEqualities.isEmpty ? "" : ", \(unprovenEqualities.count) extent(s) to be compared at each shape"
    let unknown = unknownNames.isEmpty ? "" : ", \(unknownNames.count) dimension(s) of unknown range"
    let convolutions =
      algorithms.isEmpty
      ? ""
      : ", convolutions: "
        + algorithms.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
    return "compiled \(function) in \(Int((seconds * 1000).rounded())) ms: \(tracedOperations) operations traced, "
      + "\(passes.last?.operationCount ?? tracedOperations) run, at most \(Self.megabytes(peakByteCount)) MB beside the "
      + "inputs (outputs \(Self.megabytes(resultByteCount)) MB)\(convolutions)\(open)\(unknown)"
  }

  static func megabytes(_ bytes: Int) -> Double { (Double(bytes) / 0x1p20 * 10).rounded() / 10 }
}
