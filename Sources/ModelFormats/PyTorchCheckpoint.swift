import Archives

/// A checkpoint that nnU-Net's Python trainer wrote (`checkpoint_final.pth`, `_best`, `_latest`).
///
/// Opening reads the description; weights are read when they are asked for. What the file contains and what the keys
/// mean: `nnUNetTrainer.save_checkpoint` of nnU-Net 2.8.1.
public struct PyTorchCheckpoint: Sendable {
  /// One of the network's parameters or buffers.
  public struct Weight: Sendable {
    /// PyTorch's name, without the prefixes that data-parallel training and compilation add.
    public let name: String
    public let tensor: PyTorchTensor

    public var shape: [Int] { tensor.shape }
  }

  public let file: PyTorchFile
  /// In the order of the file. Several names may share their elements.
  public let weights: [Weight]
  /// The name of the trainer's class.
  public let trainerName: String?
  /// The number of epochs done.
  public let currentEpoch: Int?
  /// The best moving average of the pseudo Dice so far.
  public let bestEMA: Double?
  /// Spatial axes along which prediction may mirror; `nil` where mirroring was off.
  public let inferenceAllowedMirroringAxes: [Int]?
  /// What the trainer was made with: `plans`, `configuration`, `fold`, `dataset_json`.
  public let initializationArguments: PickleDictionary
  /// Lists of one value per epoch (`train_losses`, `ema_fg_dice`, ...).
  public let logging: PickleDictionary
  /// Options of the optimizer's parameter groups (`lr`, `momentum`, `params`...), empty without an optimizer state.
  public let parameterGroups: [PickleDictionary]
  /// The momentum of each parameter, by its number in the order of the network's parameters.
  public let momentumBuffers: [Int: PyTorchTensor]

  public init(path: String) throws {
    try self.init(PyTorchFile(path: path))
  }

  package init(_ file: PyTorchFile) throws {
    self.file = file
    guard let root = file.root.dictionary, let state = root["network_weights"]?.dictionary else {
      let keys = file.root.dictionary?.keys.compactMap(\.string).prefix(20).joined(separator: ", ")
      throw ArchiveError(
        .wrongType, file.path, expected: "a checkpoint of nnU-Net with the key 'network_weights'",
        found: keys.map { "the keys " + $0 } ?? "no dictionary")
    }
    weights = try Self.readWeights(state, file)
    trainerName = root["trainer_name"]?.string
    currentEpoch = root["current_epoch"]?.integer
    bestEMA = root["_best_ema"]?.number
    inferenceAllowedMirroringAxes = root["inference_allowed_mirroring_axes"]?.integers
    initializationArguments = root["init_args"]?.dictionary ?? PickleDictionary()
    logging = root["logging"]?.dictionary ?? PickleDictionary()
    let optimizer = root["optimizer_state"]
    parameterGroups = optimizer?["param_groups"]?.elements?.compactMap(\.dictionary) ?? []
    momentumBuffers = try Self.readMomentum(optimizer?["state"]?.dictionary, file)
  }

  private static func readWeights(_ state: PickleDictionary, _ file: PyTorchFile) throws -> [Weight] {
    var weights: [Weight] = []
    var seen: Set<String> = []
    for (key, value) in zip(state.keys, state.values) {
      guard let fullName = key.string, let tensor = try file.tensor(value, name: fullName) else {
        throw ArchiveError(
          .wrongType, file.path + ":network_weights", expected: "names and tensors",
          found: key.string.map { "'\($0)', which is no tensor" } ?? "a key that is no text")
      }
      let name = plainName(fullName)
      guard seen.insert(name).inserted else {
        throw ArchiveError(.damaged, file.path, expected: "one tensor for '\(name)'", found: "several")
      }
      weights.append(Weight(name: name, tensor: tensor))
    }
    return weights
  }

  private static func readMomentum(_ state: PickleDictionary?, _ file: PyTorchFile) throws -> [Int: PyTorchTensor] {
    guard let state else { return [:] }
    var buffers: [Int: PyTorchTensor] = [:]
    for (key, value) in zip(state.keys, state.values) {
      guard let number = key.integer, let buffer = value["momentum_buffer"], buffer != .none else { continue }
      buffers[number] = try file.tensor(buffer, name: "momentum \(number)")
    }
    return buffers
  }

  /// Drops `module.` in front (data-parallel training) and `_orig_mod.` anywhere (compilation).
  package static func plainName(_ name: String) -> String {
    var components = name.split(separator: ".", omittingEmptySubsequences: false).filter { $0 != "_orig_mod" }
    while components.count > 1, components.first == "module" { components.removeFirst() }
    return components.joined(separator: ".")
  }

  /// All weights with their elements, in the order of the file. Names that share a tensor share the array's memory.
  public func networkWeights() throws -> [NamedArray] {
    var read: [PyTorchTensor: [Float]] = [:]
    return try weights.map { weight in
      let elements = try read[weight.tensor] ?? file.elements(of: weight.tensor, name: weight.name)
      read[weight.tensor] = elements
      return NamedArray(name: weight.name, shape: weight.shape, elements: elements)
    }
  }

  /// One weight with its elements.
  public func networkWeight(_ name: String) throws -> NamedArray {
    guard let weight = weights.first(where: { $0.name == name }) else {
      throw ArchiveError(.missing, file.path, expected: "a weight '\(name)'", found: "no weight of this name")
    }
    return NamedArray(
      name: name, shape: weight.shape, elements: try file.elements(of: weight.tensor, name: name))
  }

  /// A logged quantity, one number per epoch.
  public func logged(_ name: String) -> [Double]? { logging[name]?.numbers }
}
