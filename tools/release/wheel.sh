#!/usr/bin/env bash
# Builds the Python wheel for x86-64 Linux: the module of python/, and the static program as the command
# `simcse`:
#
#     tools/release/wheel.sh PYTHON [OUT [PROGRAM]]      default: target/dist, and the static program
#
# PYTHON has maturin (pip install maturin). The module is compiled for Python 3.10 and later at once.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${1:?PYTHON}
out=$(realpath -m "${2:-target/dist}")

program=${3:-$out/simcse}
[[ -n ${3:-} ]] || tools/release/static.sh "$out"
scripts=python/simcse.data/scripts
mkdir -p "$scripts"
install -m 755 "$program" "$scripts/simcse"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
"$python" -m maturin build --profile dev --manifest-path python/Cargo.toml --out "$out"
