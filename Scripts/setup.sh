#!/usr/bin/env bash
# Installs the system packages given as arguments where that is allowed, and otherwise prints the command to run.
set -euo pipefail

if ! command -v swift >/dev/null; then
  echo "setup: no 'swift' on the PATH. Install Swift 6.1 or later from https://swift.org/install and run this again." >&2
  exit 1
fi
if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is not a Debian or Ubuntu system. Install OpenBLAS, NIfTI (niftilib), HDF5, zlib, libpng, libtiff" \
    "and Cairo with their headers, and pkg-config, by your system's own means; then 'swift build -c release'." >&2
  exit 0
fi

missing=()
for package in "$@"; do
  [ "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "setup: all system packages are installed"
  exit 0
fi

if [ "$(id -u)" -eq 0 ]; then
  privileged=()
elif sudo -n true 2>/dev/null; then
  privileged=(sudo)
else
  echo "setup: these packages are missing. Run this once, then repeat:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
  exit 1
fi
echo "setup: installing ${missing[*]}"
"${privileged[@]}" apt-get update -qq
"${privileged[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
