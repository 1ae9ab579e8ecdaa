#!/usr/bin/env bash
# Runs the tests of NEON's operations, of products, and of the tape's operations, in an emulator: five minutes. Needs the
# target's standard library (rustup), a linker for it (Debian: gcc-aarch64-linux-gnu), and qemu-aarch64
# (Debian: qemu-user). An emulated test takes a hundred times as long, so property tests have few cases.
#
#     tools/checks/neon.sh [FILTER…]      default: a selection
set -euo pipefail
cd "$(dirname "$0")/../.."
target=aarch64-unknown-linux-gnu
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
  command -v "$tool" > /dev/null || { echo "skipped: there is no $tool"; exit 0; }
done
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
export PROPTEST_CASES=${PROPTEST_CASES:-2}
if (($# == 0)); then
  set -- simd:: gemm::tests::equals ops::
fi
cargo test -p simcse-tensor --lib --target $target -- "$@"
