#!/usr/bin/env bash
# Builds and runs all tests, optimised; says what ran and what was skipped. Arguments go to 'swift test'; with any, the
# checks of the C kernels are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
set +e
swift test -c release "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
if [ $# -eq 0 ]; then
  # The Swift tests run this processor's levels; NEON needs an emulator here.
  Scripts/test-kernels.sh neon 2>&1 | tee -a "$log"
  kernels=${PIPESTATUS[0]}
  [ "$status" -ne 0 ] || status=$kernels
fi
set -e

echo
echo "Skipped because their data or program is not on this machine:"
grep -h '^SKIPPED:' "$log" | sort | uniq -c || echo "  nothing"
exit "$status"
