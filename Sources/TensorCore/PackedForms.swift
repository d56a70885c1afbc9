import CKernels
import Synchronization

/// Forms of a weight that convolutions made for their kernels, kept for the next call.
///
/// A storage that has them is never written in place, so they can't go stale: whoever changes such a tensor gets a copy
/// without them.
package final class PackedForms: Sendable {
  /// Bytes that the forms of several weights may take together.
  package final class Budget: Sendable {
    private let bytesLeft: Atomic<Int>

    package init(byteCount: Int) { bytesLeft = Atomic(byteCount) }

    func take(_ byteCount: Int) -> Bool {
      if bytesLeft.subtract(byteCount, ordering: .relaxed).newValue >= 0 { return true }
      bytesLeft.add(byteCount, ordering: .relaxed)
      return false
    }
  }

  /// What a form depends on besides the weight.
  struct Key: Hashable {
    private let values: [Int]

    init(_ plan: ck_convolution_plan, _ level: ck_instruction_set) {
      let stride = plan.shape.stride, tile = plan.tile
      values =
        [Int(plan.pass.rawValue), Int(plan.algorithm.rawValue), Int(level.rawValue), Int(plan.shape.groups)]
        + [stride.0, stride.1, stride.2, tile.0, tile.1, tile.2].map(Int.init)
    }
  }

  private let budget: Budget
  private let forms = Mutex<[Key: Storage]>([:])

  init(budget: Budget) { self.budget = budget }

  /// The form for `key`, made by `fill` if there is none yet; `nil` where the budget has no room for it.
  func form(_ key: Key, byteCount: Int, _ fill: (UnsafeMutableRawPointer) -> Void) -> Storage? {
    if let form = forms.withLock({ $0[key] }) { return form }
    guard budget.take(byteCount) else { return nil }
    let form = Storage(byteCount: byteCount)
    fill(form.pointer)
    forms.withLock { $0[key] = form }
    return form
  }
}

extension Tensor {
  /// Lets convolutions keep the forms they make of this weight, within the budget.
  package func keepPackedForms(_ budget: PackedForms.Budget) { storage.keepPackedForms(budget) }
}
