#!/usr/bin/env bash
# Checks that the workspace compiles without warnings for another processor, one that has other
# kernels. Without a C compiler for it, the hub client and its TLS are left out, and the
# host's compiler compiles the C code in dependencies; nothing is linked. Tests are left out: those of the
# kernels run in neon.sh.
#
#     tools/checks/other_processors.sh [TARGET]      default: aarch64-unknown-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:-aarch64-unknown-linux-gnu}
export RUSTFLAGS="${RUSTFLAGS:-} -D warnings"

if ! [[ -d $(rustc --print target-libdir --target "$target") ]]; then
  if ! { command -v rustup > /dev/null && rustup target add "$target" 2> /dev/null; }; then
    echo "skipped: the standard library for $target is not installed and rustup cannot download it"
    exit 0
  fi
fi
if command -v "${target%%-*}-linux-gnu-gcc" > /dev/null; then
  cargo check --workspace --target "$target"
else
  echo "no C compiler for $target: checking without the hub client"
  export "CC_${target//-/_}=cc"
  cargo check --workspace --no-default-features --target "$target"
fi
