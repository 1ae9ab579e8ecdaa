#!/usr/bin/env bash
# Checks that the workspace compiles without a warning for another processor, where the portable kernels serve. Without a C compiler for it, the hub's
# TLS is left out, and this machine's compiles what C the benches' criterion has: nothing is linked.
# usage: elsewhere.sh [TARGET]     default: aarch64-unknown-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-aarch64-unknown-linux-gnu}
export RUSTFLAGS="${RUSTFLAGS:-} -D warnings"

if ! [[ -d $(rustc --print target-libdir --target "$target") ]]; then
  if ! { command -v rustup > /dev/null && rustup target add "$target" 2> /dev/null; }; then
    echo "skipped: no standard library for $target, and rustup cannot fetch it"
    exit 0
  fi
fi
if command -v "${target%%-*}-linux-gnu-gcc" > /dev/null; then
  cargo check --workspace --all-targets --target "$target"
else
  echo "no C compiler for $target: without the hub"
  export "CC_${target//-/_}=cc"
  cargo check --workspace --all-targets --no-default-features --target "$target"
fi
