import Foundation

/// What a synthetic data set looks like; `datasets/demo.json` holds the demo's.
public struct SyntheticDatasetSettings: Codable, Sendable, Hashable {
  /// The folder's name, `DatasetXXX_NAME`.
  public var datasetName: String
  public var seed: UInt64
  /// Cases in `imagesTr` and `labelsTr`.
  public var trainingCases: Int
  /// Held-out cases in `imagesTs` and `labelsTs`.
  public var testCases: Int
  /// Millimetres along z, y, x.
  public var fieldOfView: [Double]
  /// Voxel spacings z, y, x in millimetres; case `i` takes entry `i` modulo their number.
  public var spacings: [[Double]]
  /// The standard deviation of the noise; tissues differ by 0.25 to 0.5.
  public var noise: Double
  /// The amplitude of the smooth multiplicative field, in natural-logarithm units.
  public var biasField: Double

  public init(
    datasetName: String, seed: UInt64, trainingCases: Int, testCases: Int, fieldOfView: [Double],
    spacings: [[Double]], noise: Double, biasField: Double
  ) {
    self.datasetName = datasetName
    self.seed = seed
    self.trainingCases = trainingCases
    self.testCases = testCases
    self.fieldOfView = fieldOfView
    self.spacings = spacings
    self.noise = noise
    self.biasField = biasField
  }

  /// Reads a settings file.
  /// - Throws: `SyntheticDataError` that names the file and what is wrong in it.
  public init(contentsOf file: URL) throws {
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: file))
    } catch {
      throw SyntheticDataError(
        description: "\(file.path): these are no settings of a synthetic data set (\(error)); see datasets/demo.json")
    }
    try validate(file)
  }

  private func validate(_ file: URL) throws {
    func require(_ condition: Bool, _ expected: String) throws {
      guard condition else { throw SyntheticDataError(description: "\(file.path): expected \(expected)") }
    }
    try require(
      datasetName.wholeMatch(of: /Dataset[0-9]{3}_[A-Za-z0-9_-]+/) != nil,
      "a datasetName like Dataset901_Demo, found '\(datasetName)'")
    try require(
      (1...10_000).contains(trainingCases) && (0...10_000).contains(testCases),
      "1 to 10000 trainingCases and up to 10000 testCases, found \(trainingCases) and \(testCases)")
    try require(
      fieldOfView.count == 3 && fieldOfView.allSatisfy { (8...1000).contains($0) },
      "a fieldOfView of three lengths from 8 to 1000 mm, found \(fieldOfView)")
    try require(
      !spacings.isEmpty && spacings.allSatisfy { $0.count == 3 && $0.allSatisfy { (0.1...20).contains($0) } },
      "spacings of three numbers from 0.1 to 20 mm each, found \(spacings)")
    try require(
      (0...10).contains(noise) && (0...3).contains(biasField),
      "noise from 0 to 10 and biasField from 0 to 3, found \(noise) and \(biasField)")
  }
}

/// Why a synthetic data set can't be made.
public struct SyntheticDataError: Error, CustomStringConvertible {
  public let description: String
}
