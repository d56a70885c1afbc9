/// Why a case cannot be preprocessed, or a prediction not be brought back to its image.
public enum PreprocessingError: Error, CustomStringConvertible, Hashable {
  case unknownNormalization(name: String, known: [String])
  case unknownResampling(name: String, known: [String])
  case badResamplingArgument(function: String, argument: String, found: String, expected: String)
  /// The image has another number of channels than the plans or the data set.
  case wrongChannelCount(files: String, found: Int, expected: Int)
  case shapeMismatch(image: String, imageShape: [Int], segmentation: String, segmentationShape: [Int])
  case missingIntensityProperties(channel: Int)
  /// `RGBTo01Normalization` takes values between 0 and 255.
  case notRGB(channel: Int, minimum: Float, maximum: Float)
  case wrongLogits(found: [Int], expected: String)
  case wrongAxisCount(what: String, found: [Int])
  /// A case that is larger than the machine or than `nnUNet_memory_limit`, by estimate.
  case notEnoughMemory(needed: Int, available: Int)
  /// `nnUNet_memory_limit` is no number of gigabytes.
  case badMemoryLimit(String)

  public var description: String {
    switch self {
    case .unknownNormalization(let name, let known):
      "unknown normalization scheme \(name) in the plans; known: \(known.joined(separator: ", "))"
    case .unknownResampling(let name, let known):
      "unknown resampling function \(name) in the plans; known: \(known.joined(separator: ", "))"
    case .badResamplingArgument(let function, let argument, let found, let expected):
      "the argument \(argument) of \(function) in the plans is \(found), expected \(expected)"
    case .wrongChannelCount(let files, let found, let expected):
      "\(files) has \(found) channels, the plans expect \(expected); check the files' _0000 endings"
    case .shapeMismatch(let image, let imageShape, let segmentation, let segmentationShape):
      "\(image) has the shape \(imageShape), but its segmentation \(segmentation) has \(segmentationShape); "
        + "fix the data set (nnUNetv2_plan_and_preprocess --verify_dataset_integrity names all such cases)"
    case .missingIntensityProperties(let channel):
      "the plans have no foreground_intensity_properties_per_channel for channel \(channel), which CTNormalization "
        + "needs; run the planner again"
    case .notRGB(let channel, let minimum, let maximum):
      "channel \(channel) has values from \(minimum) to \(maximum), but RGBTo01Normalization expects 0 to 255; "
        + "name another channel in dataset.json"
    case .wrongLogits(let found, let expected): "logits of shape \(found), expected \(expected)"
    case .notEnoughMemory(let needed, let available):
      "the case needs about \(AvailableMemory.text(needed)) of memory, but \(AvailableMemory.text(available)) are "
        + "available; free some, raise nnUNet_memory_limit if it is set, or use a larger machine or a coarser spacing"
    case .wrongAxisCount(let what, let found): "\(what) is \(found), expected one number for each of three axes"
    case .badMemoryLimit(let found):
      "nnUNet_memory_limit is '\(found)', expected a positive number of gigabytes such as 12 or 1.5"
    }
  }
}
