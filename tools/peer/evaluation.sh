#!/usr/bin/env bash
# Checks that `simcse eval` computes the same figures as sentence-transformers, SciPy and
# scikit-learn: SentEval's STS sets, retrieval among DOCUMENTS documents, triplets, pairs and labels.
#
#     tools/peer/evaluation.sh PYTHON MODEL_DIR STS_DIR RETRIEVAL_DIR TRIPLETS.csv
#
# Environment: DOCUMENTS (3000; empty for the whole corpus).
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$1 model=$2 sts=$3 retrieval=$4 triplets=$5 documents=${DOCUMENTS-3000}
cargo build -q -p simcse-cli
"$python" tools/peer/evaluation.py target/debug/simcse "$model" --sts "$sts" --retrieval "$retrieval" \
  ${documents:+--documents "$documents"} --triplets "$triplets" 2> >(grep -v Warning >&2)
