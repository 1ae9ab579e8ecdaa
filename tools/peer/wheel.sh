#!/usr/bin/env bash
# Installs the wheel into a clean environment and runs the tests of the Python module there, next to the
# peer's sentence-transformers.
#
#     tools/peer/wheel.sh PEER_PYTHON MODEL DIR [PROGRAM]
#
# DIR keeps what was installed from run to run. PROGRAM is packed in place of a static one.
set -euo pipefail
cd "$(dirname "$0")/../.."
peer=$1 model=$2 dir=$3
if [[ ! -x $dir/build/bin/maturin ]]; then
  "$peer" -m venv "$dir/build"
  "$dir/build/bin/pip" install -q "maturin>=1.9,<2"
fi
tools/release/wheel.sh "$dir/build/bin/python" "$dir/dist" "${@:4}"
rm -rf "$dir/clean"
"$peer" -m venv "$dir/clean"
"$dir/clean/bin/pip" install -q "$dir"/dist/simcse-*.whl mypy pytest
# With NumPy alone, the module works.
env -i PATH=/usr/bin:/bin HOME="$dir" "$dir/clean/bin/python" -c "
import simcse
model = simcse.Model('$model')
rows = model.encode(['a wheel', 'alone'])
print(rows.shape, simcse.search(rows, rows, k=1)[1].tolist())"
"$dir/clean/bin/mypy" --strict python/simcse
# The peer's packages come last, so that NumPy is the clean environment's.
"$peer" -c "import site; print(site.getsitepackages()[0])" > "$(echo "$dir"/clean/lib/python3*/site-packages)/peer.pth"
MODEL=$model PATH=$dir/clean/bin:$PATH HF_HUB_OFFLINE=1 "$dir/clean/bin/python" -m pytest -q python/tests
