import TensorCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// How functions are compiled; by default what the environment says.
public struct CompilerOptions: Sendable, Hashable {
  /// `nnUNet_compile`: `false`, `0` or `f` run everything as it is.
  public var isEnabled = true
  /// `nnUNet_compile_warnings`: whether names without a range are told of.
  public var warns = true
  /// `nnUNet_compile_debug=passes`: one line for each pass.
  public var printsPasses = false
  /// `nnUNet_compile_debug=graph`: the graph before and after.
  public var printsGraphs = false
  /// `nnUNet_compile_disable`: names of passes not to run, separated by commas.
  public var disabledPasses: Set<String> = []
  /// `nnUNet_compile_memory`: bytes that activations should stay within, by computing cheap values again.
  public var memoryBudget: Int?
  /// The most positions of a slab, where convolutions are cut into slabs.
  package var slabPositions = SlabConvolution.standardSlabPositions
  /// Checks the graph after every pass rather than once at the end.
  public var verifiesEveryPass: Bool

  public init() {
    #if DEBUG
      verifiesEveryPass = true
    #else
      verifiesEveryPass = false
    #endif
  }

  /// What the process' environment says.
  public static let fromEnvironment = CompilerOptions { name in
    getenv(name).map { String(cString: $0) }
  }

  /// - Parameter variable: the value of an environment variable.
  public init(_ variable: (String) -> String?) {
    self.init()
    isEnabled = !Self.isOff(variable("nnUNet_compile"))
    warns = !Self.isOff(variable("nnUNet_compile_warnings"))
    let debug = Self.list(variable("nnUNet_compile_debug"))
    printsPasses = debug.contains("passes")
    printsGraphs = debug.contains("graph")
    disabledPasses = Set(Self.list(variable("nnUNet_compile_disable")))
    memoryBudget = variable("nnUNet_compile_memory").flatMap(Self.byteCount)
  }

  private static func isOff(_ text: String?) -> Bool {
    text.map { ["false", "0", "f"].contains($0.lowercased()) } ?? false
  }

  private static func list(_ text: String?) -> [String] {
    (text ?? "").split(separator: ",").map { $0.filter { $0 != " " }.lowercased() }
  }

  /// `512M`, `2G`, `100k` or plain bytes; `nil` for anything else.
  static func byteCount(_ text: String) -> Int? {
    let units: [Character: Int] = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30]
    let text = text.lowercased()
    guard let last = text.last else { return nil }
    let (digits, unit) = units[last].map { (String(text.dropLast()), $0) } ?? (text, 1)
    guard let count = Double(digits), count > 0, count.isFinite, count * Double(unit) < 0x1p60 else { return nil }
    return Int(count * Double(unit))
  }

  /// What is wrong with the options, one line each: names of passes there are none of.
  var problems: [String] {
    let unknown = disabledPasses.subtracting(Pipeline.names).sorted()
    return unknown.isEmpty
      ? []
      : ["nnUNet_compile_disable: there is no pass \(unknown.joined(separator: ", ")); there are \(Pipeline.names)"]
  }
}
