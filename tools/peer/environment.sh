#!/usr/bin/env bash
# Makes an environment of Python next to the peer's for programs that its own cannot have, if there is
# none yet, and prints the path of its Python. It takes PyTorch and what else it can from the peer's;
# transformers, and what depends on its version, it has of its own.
#
#     tools/peer/environment.sh onnx|openvino
#
# Environment: PEER_HOME (~/.cache/simcse-peer).
set -euo pipefail
home=${PEER_HOME:-$HOME/.cache/simcse-peer}
environment=$home/$1
case $1 in
  onnx) packages=(onnx==1.23.2 onnxruntime==1.32.0 optimum-onnx==0.1.0) ;;
  openvino) packages=(openvino==2026.4.1 optimum-intel==1.27.0 nncf==3.1.0) ;;
  *) echo "$1: expected onnx or openvino" >&2; exit 2 ;;
esac
if [[ ! -f $environment/ready ]]; then
  python3 -m venv "$environment"
  "$home/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    > "$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/peer.pth"
  "$environment/bin/pip" install -q "${packages[@]}" sentence-transformers==5.7.0 transformers==4.57.6 datasets==4.8.5 \
    accelerate==1.11.0 >&2
  touch "$environment/ready"
fi
echo "$environment/bin/python"
