import CKernels
import TensorCore

/// The augmentation kernels of the best instruction set this process may use.
var kernels: ck_augmentation_kernels {
  ck_augmentation_kernels_for(EvaluationContext.standard.instructionSet).pointee
}

/// Pooled memory for `count` elements of unspecified content, for the duration of `body`.
func withScratch<Element, Result>(
  _ count: Int, of type: Element.Type, _ body: (UnsafeMutablePointer<Element>) -> Result
) -> Result {
  EvaluationContext.standard.withScratch(byteCount: count * MemoryLayout<Element>.stride) {
    body($0.bindMemory(to: Element.self, capacity: count))
  }
}
