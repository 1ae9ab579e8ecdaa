#!/usr/bin/env bash
# Sets up the environments of encoders.py next to the peer's, and runs it.
#
#     tools/peer/encoders.sh PROGRAM MODEL_DIR SENTENCES STS.tsv [FLAG...]
#
# Environment: PEER_HOME (~/.cache/simcse-peer).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${PEER_HOME:-$HOME/.cache/simcse-peer}
onnx=$("$here/environment.sh" onnx)
openvino=$("$here/environment.sh" openvino)
exec "$home/venv/bin/python" "$here/encoders.py" "$@" --out "$home/encoders/$(basename "$2")" \
  --peer "$home/venv/bin/python" --onnx "$onnx" --openvino "$openvino"
