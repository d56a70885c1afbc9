#!/usr/bin/env bash
# Builds and runs all tests, optimised; says what ran and what was skipped. Arguments go to 'swift test'; with any, the
# checks of the C kernels and the golden tests under other algorithms and levels are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
set +e
swift test -c release "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
# Golden tests once more for a convolution algorithm or an instruction set: networks and predictions, and what more is named.
again() {
  echo
  echo "Golden tests with $1:"
  env "$1" swift test -c release --skip-build --filter "NeuralNetworksTests.GoldenNetwork|InferenceTests.ModelFolderGolden${2-}" 2>&1 |
    tee -a "$log" | grep -E '✘|↳ .*(differ|is )|Test run with'
  local result=${PIPESTATUS[0]}
  [ "$result" -eq 0 ] || status=$result
}
training='|NeuralNetworksTests.Golden'
if [ $# -eq 0 ]; then
  # The Swift tests run this processor's levels; NEON needs an emulator here.
  Scripts/test-kernels.sh neon 2>&1 | tee -a "$log"
  kernels=${PIPESTATUS[0]}
  [ "$status" -ne 0 ] || status=$kernels
  for algorithm in direct winograd2 winograd4; do again "nnUNet_conv_algorithm=$algorithm" "$training"; done
  # Of predictions: gradients add up the roundings of larger tiles.
  for algorithm in fastest winograd6; do again "nnUNet_conv_algorithm=$algorithm"; done
  for level in avx2 portable; do again "nnUNet_max_isa=$level" "$training"; done
fi
set -e

echo
echo "Skipped because their data or program is not on this machine:"
grep -h '^SKIPPED:' "$log" | sort | uniq -c || echo "  nothing"
exit "$status"
