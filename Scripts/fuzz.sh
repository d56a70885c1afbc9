#!/usr/bin/env bash
# Fuzzes one reader with libFuzzer and the address sanitizer.
# usage: Scripts/fuzz.sh READER SECONDS [libFuzzer's own options]
set -euo pipefail
cd "$(dirname "$0")/.."
reader=${1:?usage: Scripts/fuzz.sh READER SECONDS}
seconds=${2:?usage: Scripts/fuzz.sh READER SECONDS}
shift 2

# SwiftPM's --sanitize takes one sanitizer; it is given so that the program keeps libFuzzer's main function.
swift build --package-path Fuzz -c release --product nnunet-fuzz --sanitize fuzzer \
  -Xswiftc -sanitize=fuzzer,address -Xcc -fsanitize=fuzzer-no-link,address
program=$(swift build --package-path Fuzz -c release --show-bin-path)/nnunet-fuzz

mkdir -p ".fuzz/$reader/corpus"
# Leaks: Swift's runtime and libhdf5 keep tables until the end. A backtrace of Swift's own would hide the sanitizer's.
export READER=$reader ASAN_OPTIONS=detect_leaks=0 SWIFT_BACKTRACE=enable=no
exec nice -n 19 "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2500 -malloc_limit_mb=600 -max_len=8192 \
  -use_value_profile=1 -artifact_prefix=".fuzz/$reader/" "$@" ".fuzz/$reader/corpus" "Tests/FuzzTests/Corpus/$reader"
