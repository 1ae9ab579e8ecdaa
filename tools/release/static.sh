#!/usr/bin/env bash
# Builds the program for x86-64 Linux as one static file, stripped, and its symbols apart:
#
#     tools/release/static.sh [OUT]      default: target/dist
#
# writes OUT/simcse and OUT/simcse.debug, which gdb and perf find next to it by its name. Needs
# rustup, binutils, and a C compiler for musl (Debian: musl-tools), because the hub's TLS has C code.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-target/dist}
target=x86_64-unknown-linux-musl
limit=$((25 * 1000 * 1000))

command -v musl-gcc > /dev/null || { echo "error: musl-gcc is missing (Debian: apt install musl-tools)" >&2; exit 1; }
[[ -d $(rustc --print target-libdir --target $target) ]] || rustup target add $target
cargo build --release -p simcse-cli --target $target
mkdir -p "$out"
built=${CARGO_TARGET_DIR:-target}/$target/release/simcse
objcopy --only-keep-debug --compress-debug-sections "$built" "$out/simcse.debug"
objcopy --strip-all --add-gnu-debuglink="$out/simcse.debug" "$built" "$out/simcse"

file=$out/simcse
if [[ $(readelf --program-headers "$file") == *INTERP* ]]; then
  echo "error: $file is not static" >&2
  exit 1
fi
size=$(stat -c %s "$file")
if ((size >= limit)); then
  echo "error: $file has $size bytes, expected less than $limit" >&2
  exit 1
fi
"$file" --version
echo "$file: $size bytes; symbols: $(stat -c %s "$out/simcse.debug") bytes"
