#!/bin/sh
# Installs what the other side of the benchmarks needs, into bench/peer-env (about 5 GB): the newest PyTorch, ONNX Runtime and
# scikit-learn (for jaccard) that the package index has for the system's own Python. Debian's python3-torch, if installed, is measured beside it.
# Usage: bench/install_peers.sh
set -eu
cd "$(dirname "$0")"
python=/usr/bin/python3
if ! "$python" -m pip --version >/dev/null 2>&1; then
    echo "bench: pip is missing for $python: apt-get install python3-pip" >&2
    exit 1
fi
"$python" -m pip install --quiet --target peer-env.tmp --upgrade torch numpy onnx onnxscript onnxruntime scikit-learn
rm -rf peer-env
mv peer-env.tmp peer-env
PYTHONPATH=peer-env "$python" -c 'import torch, onnxruntime; print("torch", torch.__version__, "onnxruntime", onnxruntime.__version__)'
