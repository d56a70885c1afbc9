import CKernels

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// The best level of this processor, or the lower one that `nnUNet_max_isa` names (avx512, avx2, neon, portable).
func configuredInstructionSet() -> ck_instruction_set {
  let best = ck_probe_instruction_set()
  guard let text = getenv("nnUNet_max_isa") else { return best }
  let name = String(cString: text).lowercased()
  guard let cap = instructionSets.first(where: { String(cString: ck_instruction_set_name($0)) == name }) else {
    check(false, "nnUNet_max_isa is '\(name)'; it takes avx512, avx2, neon or portable")
    return best
  }
  return cap.rawValue < best.rawValue ? cap : best
}

private let instructionSets = [CK_PORTABLE, CK_NEON, CK_AVX2, CK_AVX512]

extension EvaluationContext {
  /// Every level this processor can run, lowest first: tests walk them.
  package static var availableInstructionSets: [ck_instruction_set] {
    let best = ck_probe_instruction_set()
    #if arch(arm64)
      return [CK_PORTABLE, CK_NEON]
    #else
      return [CK_PORTABLE, CK_AVX2, CK_AVX512].filter { $0.rawValue <= best.rawValue }
    #endif
  }
}
