#!/usr/bin/env bash
# Checks that the workspace compiles for another processor, where the portable kernels serve: the compiler looks at everything but what
# links C (the benches' criterion, and the hub's TLS), which needs a C compiler for that target and is checked too if there is one.
# usage: elsewhere.sh [TARGET]     default: aarch64-unknown-linux-gnu
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-aarch64-unknown-linux-gnu}

if ! [[ -d $(rustc --print target-libdir --target "$target") ]]; then
  if ! { command -v rustup > /dev/null && rustup target add "$target" 2> /dev/null; }; then
    echo "skipped: no standard library for $target, and rustup cannot fetch it"
    exit 0
  fi
fi
if command -v "${target%%-*}-linux-gnu-gcc" > /dev/null; then
  cargo check --workspace --all-targets --target "$target"
else
  echo "no C compiler for $target: without benches and hub"
  cargo check --workspace --exclude simcse-benches --all-targets --no-default-features --target "$target"
fi
