import HDF5Files
import TensorCore

/// Everything that training needs to go on as if it had never stopped, and that prediction needs to start.
///
/// Written as `checkpoint_{latest,best,final}.h5`; docs/file-formats.md has the layout. Tensors keep PyTorch's names and
/// axis order.
public struct TrainingCheckpoint: Sendable {
  public var trainerName: String
  public var configuration: String
  /// The number of finished epochs.
  public var currentEpoch: Int
  /// The finished iterations of the epoch under way; 0 where the checkpoint was written between epochs.
  public var currentIteration: Int
  /// The training losses of those iterations.
  public var lossesOfCurrentEpoch: [Float]
  /// The best exponential moving average of the pseudo Dice so far.
  public var bestEMA: Double?
  /// Spatial axes, from 0, along which prediction may mirror; `nil` for none.
  public var inferenceAllowedMirroringAxes: [Int]?
  public var networkWeights: [(name: String, value: Tensor)]
  /// Names under which PyTorch also lists a weight, each with the name it is stored under.
  public var aliases: [String: String]
  /// Momentum buffers by parameter name; parameters that never had a gradient have none.
  public var optimizerState: [(name: String, value: Tensor)]
  public var generators: [String: RandomGenerator]
  /// One entry per finished epoch: a number, or one per class.
  public var logging: [String: [[Double]]]

  public init(
    trainerName: String, configuration: String, currentEpoch: Int, currentIteration: Int = 0,
    lossesOfCurrentEpoch: [Float] = [], bestEMA: Double?, inferenceAllowedMirroringAxes: [Int]?,
    networkWeights: [(name: String, value: Tensor)], aliases: [String: String],
    optimizerState: [(name: String, value: Tensor)], generators: [String: RandomGenerator],
    logging: [String: [[Double]]]
  ) {
    self.trainerName = trainerName
    self.configuration = configuration
    self.currentEpoch = currentEpoch
    self.currentIteration = currentIteration
    self.lossesOfCurrentEpoch = lossesOfCurrentEpoch
    self.bestEMA = bestEMA
    self.inferenceAllowedMirroringAxes = inferenceAllowedMirroringAxes
    self.networkWeights = networkWeights
    self.aliases = aliases
    self.optimizerState = optimizerState
    self.generators = generators
    self.logging = logging
  }

  /// The layout this program writes; it reads this one and older ones.
  package static let formatVersion = 1
}

/// Why a checkpoint can't be used.
public struct CheckpointError: Error, CustomStringConvertible {
  public let description: String

  package init(file: String, problem: String, advice: String) {
    description = "\(file): \(problem). \(advice)."
  }
}

extension TrainingCheckpoint {
  /// Writes the file whole or not at all: a crash leaves the previous one as it was. Every tensor carries a checksum.
  public func write(to path: String) throws {
    try HDF5File.create(atomicallyAt: path) { file in
      let root = file.root
      try root.setAttribute("format_version", Self.formatVersion)
      try root.setAttribute("trainer_name", trainerName)
      try root.setAttribute("configuration", configuration)
      try root.setAttribute("current_epoch", currentEpoch)
      try root.setAttribute("current_iteration", currentIteration)
      if let bestEMA { try root.setAttribute("best_ema", bestEMA) }
      if let axes = inferenceAllowedMirroringAxes {
        try root.setAttribute("inference_allowed_mirroring_axes", axes)
      }
      let weights = try root.createGroup("network_weights")
      try Self.write(networkWeights, to: weights)
      for (name, target) in aliases.sorted(by: { $0.key < $1.key }) { try weights.createAlias(name, of: target) }
      try Self.write(optimizerState, to: root.createGroup("optimizer_state"))
      let states = try root.createGroup("generators")
      for (name, generator) in generators.sorted(by: { $0.key < $1.key }) {
        try states.write(name, [generator.key, generator.position], shape: [2], checksum: true)
      }
      let curves = try root.createGroup("logging")
      for (name, values) in logging.sorted(by: { $0.key < $1.key }) where !values.isEmpty {
        let width = values[0].count
        try curves.write(name, values.flatMap { $0 }, shape: [values.count, width], checksum: true)
      }
      if !lossesOfCurrentEpoch.isEmpty {
        try root.write(
          "losses_of_current_epoch", lossesOfCurrentEpoch, shape: [lossesOfCurrentEpoch.count], checksum: true)
      }
    }
  }

  private static func write(_ tensors: [(name: String, value: Tensor)], to group: HDF5Group) throws {
    let storage = HDF5Storage(checksum: true)
    for (name, value) in tensors {
      let shape = value.shape.extents
      switch value.elementType {
      case .float32:
        try value.withElements(as: Float.self) { try group.write(name, $0, shape: shape, storage: storage) }
      case .int16: try value.withElements(as: Int16.self) { try group.write(name, $0, shape: shape, storage: storage) }
      case .uint8: try value.withElements(as: UInt8.self) { try group.write(name, $0, shape: shape, storage: storage) }
      case .uint64:
        // Counters of batches, which PyTorch keeps as int64.
        let counters = value.withElements(as: UInt64.self) { $0.map { Int64(clamping: $0) } }
        try counters.withUnsafeBufferPointer { try group.write(name, $0, shape: shape, storage: .plain) }
      }
    }
  }

  /// Reads a file that `write(to:)` wrote.
  ///
  /// - Parameter aliases: names that need not be read where the name they stand for is there.
  /// - Throws: `HDF5Error` for a damaged file, `CheckpointError` for one of another program or a later version.
  public init(contentsOf path: String, aliases: [String: String] = [:]) throws {
    let file = try HDF5File.open(path)
    let root = file.root
    try Self.checkFormat(root, path)
    trainerName = try root.attribute("trainer_name", as: String.self)
    configuration = try root.attribute("configuration", as: String.self)
    currentEpoch = try root.attribute("current_epoch", as: Int.self)
    currentIteration = try root.attribute("current_iteration", as: Int.self)
    bestEMA = root.hasAttribute("best_ema") ? try root.attribute("best_ema", as: Double.self) : nil
    inferenceAllowedMirroringAxes =
      root.hasAttribute("inference_allowed_mirroring_axes")
      ? try root.attributeArray("inference_allowed_mirroring_axes", as: Int.self).elements : nil
    networkWeights = try Self.readTensors(root.group("network_weights"), aliases: aliases)
    self.aliases = aliases
    optimizerState = try Self.readTensors(root.group("optimizer_state"), aliases: [:])
    let states = try root.group("generators")
    generators = [:]
    for name in try states.names {
      let words = try states.read(name, as: UInt64.self).elements
      guard words.count == 2 else {
        throw CheckpointError(
          file: path, problem: "the generator '\(name)' has \(words.count) numbers instead of 2",
          advice: "Continue from another checkpoint")
      }
      var generator = RandomGenerator(seed: words[0])
      generator.position = words[1]
      generators[name] = generator
    }
    let curves = try root.group("logging")
    logging = [:]
    for name in try curves.names {
      let array = try curves.read(name, as: Double.self)
      guard array.shape.count == 2 else { continue }
      let width = array.shape[1]
      logging[name] = (0..<array.shape[0]).map { Array(array.elements[$0 * width..<($0 + 1) * width]) }
    }
    lossesOfCurrentEpoch =
      root.contains("losses_of_current_epoch") ? try root.read("losses_of_current_epoch", as: Float.self).elements : []
  }

  static func checkFormat(_ root: HDF5Group, _ path: String) throws {
    guard root.hasAttribute("format_version") else {
      throw CheckpointError(
        file: path, problem: "this HDF5 file is no checkpoint (it has no format_version)",
        advice: "Give a checkpoint that training wrote, or a .pth file of nnU-Net")
    }
    let version = try root.attribute("format_version", as: Int.self)
    guard version <= formatVersion else {
      throw CheckpointError(
        file: path, problem: "its format is version \(version), this program reads up to \(formatVersion)",
        advice: "Use the newer program that wrote it")
    }
  }

  static func readTensors(
    _ group: HDF5Group, aliases: [String: String]
  ) throws -> [(name: String, value: Tensor)] {
    let names = try group.names
    let present = Set(names)
    return try names.filter { name in !(aliases[name].map(present.contains) ?? false) }.map { name in
      let array = try group.read(name, as: Float.self)
      return (name, Tensor(array.elements, shape: Shape(array.shape)))
    }
  }
}
