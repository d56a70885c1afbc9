#!/usr/bin/env bash
# Builds and runs all tests, optimised; says what ran and what was skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
set +e
swift test -c release "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
set -e

echo
echo "Skipped because their data or program is not on this machine:"
grep -h '^SKIPPED:' "$log" | sort | uniq -c || echo "  nothing"
exit "$status"
