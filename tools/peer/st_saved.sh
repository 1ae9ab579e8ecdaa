#!/usr/bin/env bash
# Checks that directories saved by sentence-transformers give the same embeddings here: each model
# with several poolings and lengths and with Normalize, with dense layers and a mix of all layers, as
# `save_pretrained` writes it, and as a plain directory whose tokenizer is only a vocabulary, if it
# has one. The texts are the sentences and some hostile ones. Needs no network.
#
#     tools/peer/st_saved.sh PYTHON SENTENCES.txt MODEL_DIR...
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build -q -p simcse-cli

HF_HUB_OFFLINE=1 "$python" - "$work" "${@:2}" 2> "$work/log" <<'PYTHON' || { cat "$work/log"; exit 1; }
import itertools, json, shutil, sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer
import torch
from sentence_transformers.sentence_transformer.modules import (Dense, Normalize, Pooling, Transformer, WeightedLayerPooling,
                                                               WordWeights)

work, sentences, *models = map(Path, sys.argv[1:])
hostile = json.loads(Path("simcse-model/tests/hostile_texts.json").read_text(encoding="utf8"))["texts"]
with open(sentences, encoding="utf8", newline="\n") as file:
    texts = [line.rstrip("\n") for line in itertools.islice(file, 100)]
# A line break would end the text. transformers 5 strips the space in front of a <mask> only if a
# tokenizer.json says so, and with only vocab.json and merges.txt it does not; transformers 4 always
# did.
texts += [text for text in hostile if not any(part in text for part in ["\n", "\r", "<mask>"])]
(work / "texts.txt").write_bytes("".join(text + "\n" for text in texts).encode())


def expect(directory):
    np.save(f"{directory}.npy", SentenceTransformer(str(directory), device="cpu").encode(texts))


for model in models:
    for mode, length, normalize in [("mean", 16, False), ("cls", 24, True), ("max", 8, False)]:
        transformer = Transformer(str(model), max_seq_length=length)
        modules = [transformer, Pooling(transformer.get_embedding_dimension(), pooling_mode=mode)]
        directory = work / f"{model.name}-{mode}-{length}{'-normalized' if normalize else ''}"
        SentenceTransformer(modules=modules + [Normalize()] * normalize, device="cpu").save_pretrained(str(directory))
        expect(directory)
    transformer = Transformer(str(model), config_kwargs=dict(output_hidden_states=True))
    layers, width = transformer.model.config.num_hidden_layers, transformer.get_embedding_dimension()
    torch.manual_seed(1)
    weights = torch.nn.Parameter(torch.rand(layers) + 0.1)
    directory = work / f"{model.name}-dense-and-mixed"
    tokens = transformer.tokenizer.convert_ids_to_tokens(range(len(transformer.tokenizer)))
    word_weights = WordWeights(tokens, {token: 0.25 * (id % 7) for id, token in enumerate(tokens) if id % 3}, 0.6)
    modules = [transformer, WeightedLayerPooling(width, layers, 1, weights), word_weights, Pooling(width), Dense(width, 40),
               Dense(40, 24, bias=False, activation_function=torch.nn.Identity()), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(directory))
    expect(directory)
    SentenceTransformer(str(model), device="cpu").save_pretrained(str(work / f"{model.name}-unchanged"))
    expect(work / f"{model.name}-unchanged")
    vocabulary = [name for name in ["vocab.txt", "vocab.json", "merges.txt"] if (model / name).exists()]
    if vocabulary:  # not every family has a form of its own for it
        plain = work / f"{model.name}-vocabulary-alone"
        plain.mkdir()
        for name in ["config.json", "model.safetensors", *vocabulary]:
            shutil.copy(model / name, plain)
        expect(plain)
PYTHON

for expected in "$work"/*-*.npy; do
  directory=${expected%.npy}
  target/debug/simcse encode "$work/texts.txt" --model "$directory" --output "$work/ours.npy" 2> "$work/log" ||
    { cat "$work/log"; exit 1; }
  differences=$("$python" tools/peer/compare_embeddings.py "$work/ours.npy" "$expected") ||
    { echo "$(basename "$directory"): $differences: too much"; exit 1; }
  echo "$(basename "$directory"): $differences"
done
