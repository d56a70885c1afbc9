import Foundation
import HDF5Files
import ModelFormats
import TensorCore
import Testing

@Suite struct TrainingCheckpointTests {
  private let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".h5").path

  private func example() -> TrainingCheckpoint {
    var generator = RandomGenerator(seed: .max - 3)
    generator.position = 1 << 40
    return TrainingCheckpoint(
      trainerName: "nnUNetTrainer_5epochs", configuration: "3d_fullres", currentEpoch: 3, currentIteration: 17,
      lossesOfCurrentEpoch: [0.5, -0.25], bestEMA: 0.8125, inferenceAllowedMirroringAxes: [0, 2],
      networkWeights: [
        ("encoder.stages.0.0.convs.0.conv.weight", Tensor((0..<24).map(Float.init), shape: [2, 1, 3, 2, 2])),
        ("norm.num_batches_tracked", Tensor([UInt64(7)], shape: [])),
      ], aliases: ["decoder.encoder.weight": "encoder.stages.0.0.convs.0.conv.weight"],
      optimizerState: [("a.weight", Tensor([1, -2] as [Float], shape: [2]))], generators: ["dropout": generator],
      logging: ["train_losses": [[0.25], [.nan]], "dice_per_class_or_region": [[0.5, 0.75], [0.625, 1]]])
  }

  @Test func everythingReadsBack() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let written = example()
    try written.write(to: path)
    let read = try TrainingCheckpoint(contentsOf: path, aliases: written.aliases)
    #expect(read.trainerName == written.trainerName && read.configuration == written.configuration)
    #expect(read.currentEpoch == 3 && read.currentIteration == 17 && read.lossesOfCurrentEpoch == [0.5, -0.25])
    #expect(read.bestEMA == 0.8125 && read.inferenceAllowedMirroringAxes == [0, 2])
    #expect(read.generators == written.generators)
    let weights = Dictionary(uniqueKeysWithValues: read.networkWeights.map { ($0.name, $0.value) })
    #expect(weights.count == 2)
    #expect(weights["encoder.stages.0.0.convs.0.conv.weight"]?.elements() == (0..<24).map(Float.init))
    #expect(weights["encoder.stages.0.0.convs.0.conv.weight"]?.shape == [2, 1, 3, 2, 2])
    #expect(weights["norm.num_batches_tracked"]?.elements() == [7])
    #expect(read.optimizerState.map(\.name) == ["a.weight"] && read.optimizerState[0].value.elements() == [1, -2])
    #expect(read.logging["dice_per_class_or_region"] == [[0.5, 0.75], [0.625, 1]])
    #expect(read.logging["train_losses"]?[1][0].isNaN == true)
    // PyTorch's other names for a weight are there for readers that expect them.
    let file = try HDF5File.open(path)
    let shape = try file.root.group("network_weights").shape(of: "decoder.encoder.weight")
    #expect(shape == [2, 1, 3, 2, 2])
  }

  @Test func absentValuesStayAbsent() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    var written = example()
    written.bestEMA = nil
    written.inferenceAllowedMirroringAxes = nil
    written.lossesOfCurrentEpoch = []
    try written.write(to: path)
    let read = try TrainingCheckpoint(contentsOf: path)
    #expect(read.bestEMA == nil && read.inferenceAllowedMirroringAxes == nil && read.lossesOfCurrentEpoch.isEmpty)
    #expect(read.networkWeights.count == 3)
  }

  @Test func aFlippedBitIsFound() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    try example().write(to: path)
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    // The float 23 of the weight, as it lies in the file.
    let pattern: [UInt8] = [0, 0, 0xB0, 0x41, 0, 0, 0xB8, 0x41]
    let position = try #require((0..<bytes.count - 8).first { Array(bytes[$0..<$0 + 8]) == pattern })
    bytes[position + 1] ^= 4
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let error = #expect(throws: HDF5Error.self) { try TrainingCheckpoint(contentsOf: path) }
    #expect(error?.description.contains(path) == true)
  }

  @Test func otherFilesAndLaterVersionsAreRefused() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    try HDF5File.create(atomicallyAt: path) { try $0.root.setAttribute("format_version", 99) }
    let later = #expect(throws: CheckpointError.self) { try TrainingCheckpoint(contentsOf: path) }
    #expect(later?.description.contains("99") == true)
    try HDF5File.create(atomicallyAt: path) { _ in }
    #expect(throws: CheckpointError.self) { try TrainingCheckpoint(contentsOf: path) }
    try Data("no HDF5".utf8).write(to: URL(fileURLWithPath: path))
    #expect(throws: HDF5Error.self) { try TrainingCheckpoint(contentsOf: path) }
  }
}
