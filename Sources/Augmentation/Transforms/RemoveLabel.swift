import TensorCore
import Volumes

/// Replaces one label by another in every channel of the segmentation.
///
/// batchgeneratorsv2: `transforms/utils/remove_label.py`.
public struct RemoveLabel: SampleTransform, Hashable {
  public var label: Int16
  public var replacement: Int16

  public init(label: Int16 = -1, replacement: Int16 = 0) {
    self.label = label
    self.replacement = replacement
  }

  public func apply(_ parameters: Void, to sample: inout TrainingSample) {
    sample.segmentation.elements.withUnsafeMutableBufferPointer {
      guard let labels = $0.baseAddress else { return }
      kernels.replace_label(labels, $0.count, label, replacement)
    }
  }
}
