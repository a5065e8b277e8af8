#!/usr/bin/env bash
# Makes sure that the C++ tests can be built: a compiler, cmake and GoogleTest (with "bench", Google
# Benchmark too). Installs what is missing with apt-get where this user may, else says what it is.
# Usage: tools/system_packages.sh [bench]
set -uo pipefail
cxx=${CXX:-c++}
missing=()
command -v "$cxx" >/dev/null || missing+=(g++)
command -v cmake >/dev/null || missing+=(cmake)

has_header() {
  echo "#include <$1>" | "$cxx" -std=c++20 -E -x c++ - >/dev/null 2>&1
}
if command -v "$cxx" >/dev/null; then
  has_header gtest/gtest.h || missing+=(libgtest-dev)
  if [ "${1:-}" = bench ]; then
    has_header benchmark/benchmark.h || missing+=(libbenchmark-dev)
  fi
else
  missing+=(libgtest-dev)
  [ "${1:-}" != bench ] || missing+=(libbenchmark-dev)
fi
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    as_root=(false)
  fi
fi
if command -v apt-get >/dev/null && [ "${as_root[0]:-}" != false ]; then
  echo "installing the Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get update &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y "${missing[@]}" && exit 0
fi
echo "missing, and this user may not install them: ${missing[*]}" >&2
echo "on Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
exit 1
