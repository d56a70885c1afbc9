import Volumes

/// What preprocessing did to a case, so that a prediction can be brought back to the image; keys as in nnU-Net's `.pkl`.
///
/// Axes are those after `transpose_forward`, except for the image's own `spacing`.
public struct CaseProperties: Codable, Hashable, Sendable {
  /// What the reader said about the image: spacing in the file's axis order, and the geometry.
  public var image: ImageProperties
  public var shapeBeforeCropping: [Int]
  public var boxUsedForCropping: BoundingBox
  public var shapeAfterCroppingAndBeforeResampling: [Int]

  public init(
    image: ImageProperties, shapeBeforeCropping: [Int], boxUsedForCropping: BoundingBox,
    shapeAfterCroppingAndBeforeResampling: [Int]
  ) {
    self.image = image
    self.shapeBeforeCropping = shapeBeforeCropping
    self.boxUsedForCropping = boxUsedForCropping
    self.shapeAfterCroppingAndBeforeResampling = shapeAfterCroppingAndBeforeResampling
  }

  private enum CodingKeys: String, CodingKey {
    case shapeBeforeCropping = "shape_before_cropping"
    case boxUsedForCropping = "bbox_used_for_cropping"
    case shapeAfterCroppingAndBeforeResampling = "shape_after_cropping_and_before_resampling"
  }

  public init(from decoder: any Decoder) throws {
    image = try ImageProperties(from: decoder)
    let container = try decoder.container(keyedBy: CodingKeys.self)
    shapeBeforeCropping = try container.decode([Int].self, forKey: .shapeBeforeCropping)
    boxUsedForCropping = try container.decode(BoundingBox.self, forKey: .boxUsedForCropping)
    shapeAfterCroppingAndBeforeResampling = try container.decode(
      [Int].self, forKey: .shapeAfterCroppingAndBeforeResampling)
  }

  public func encode(to encoder: any Encoder) throws {
    try image.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(shapeBeforeCropping, forKey: .shapeBeforeCropping)
    try container.encode(boxUsedForCropping, forKey: .boxUsedForCropping)
    try container.encode(shapeAfterCroppingAndBeforeResampling, forKey: .shapeAfterCroppingAndBeforeResampling)
  }
}

/// Where the classes of a preprocessed case lie: `class_locations` of nnU-Net.
public struct ClassLocations: Hashable, Sendable {
  public struct Entry: Hashable, Sendable {
    /// The label, the labels of a region, or -1 and all labels for the annotated voxels of a data set with ignore label.
    public var labels: [Int]
    /// Whether the key is a tuple in nnU-Net: a region or the annotated voxels, even of one label.
    public var isTuple: Bool
    /// Rows of z, y, x in the preprocessed grid, one after the other.
    public var voxels: [Int32]

    public init(labels: [Int], isTuple: Bool, voxels: [Int32]) {
      self.labels = labels
      self.isTuple = isTuple
      self.voxels = voxels
    }

    /// The number of stored voxels.
    public var count: Int { voxels.count / 3 }

    /// The key as Python prints it: `1` or `(1, 2)` or `(1,)`.
    public var key: String {
      guard isTuple else { return labels.map(String.init).joined() }
      return "(" + labels.map(String.init).joined(separator: ", ") + (labels.count == 1 ? ",)" : ")")
    }
  }

  /// In nnU-Net's order of keys.
  public var entries: [Entry]

  public init(entries: [Entry]) { self.entries = entries }
}

/// A case that is ready for training or prediction.
public struct PreprocessedCase: Sendable {
  /// `[C, Z, Y, X]`, normalised and resampled.
  public var data: VoxelGrid<Float>
  /// `[1, Z, Y, X]`; -1 outside of the nonzero mask.
  public var segmentation: VoxelGrid<Int16>
  public var properties: CaseProperties
  /// Empty where there was no label file.
  public var classLocations: ClassLocations

  public init(
    data: VoxelGrid<Float>, segmentation: VoxelGrid<Int16>, properties: CaseProperties, classLocations: ClassLocations
  ) {
    self.data = data
    self.segmentation = segmentation
    self.properties = properties
    self.classLocations = classLocations
  }
}
