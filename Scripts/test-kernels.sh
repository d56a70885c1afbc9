#!/usr/bin/env bash
# Checks the C kernels without Swift: 'native' runs every level of this processor, 'neon' cross-compiles for 64-bit Arm
# and runs the NEON level under QEMU. Prints which levels ran, and fails where a kernel does.
set -euo pipefail
cd "$(dirname "$0")/.."

# The kernels need the compiler that the package is built with.
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
[ -x "$clang" ] || clang=clang

build() {  # folder target
  make -s -j "$(nproc)" -C Tests/KernelChecks CLANG="$clang" TARGET="$2" BUILD="$PWD/.build/kernel-checks/$1" >&2
}

case "${1:-}" in
  native)
    build native ""
    .build/kernel-checks/native/kernel-checks
    ;;
  neon)
    if [ "$(uname -m)" = aarch64 ]; then
      build native ""
      .build/kernel-checks/native/kernel-checks neon
      exit 0
    fi
    if ! command -v qemu-aarch64 >/dev/null || ! [ -d /usr/aarch64-linux-gnu/include ] ||
      ! [ -d /usr/lib/gcc-cross/aarch64-linux-gnu ]; then
      echo "SKIPPED: NEON kernels: no qemu-aarch64 or no C library for aarch64 ('make test-neon' installs them)"
      exit 0
    fi
    build aarch64 aarch64-linux-gnu
    qemu-aarch64 .build/kernel-checks/aarch64/kernel-checks neon
    ;;
  *)
    echo "usage: Scripts/test-kernels.sh native|neon" >&2
    exit 64
    ;;
esac
