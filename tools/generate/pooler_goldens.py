#!/usr/bin/env python3
"""Compute with sentence-transformers what `simcse-train/tests/poolers.rs` compares with.

    python3 tools/generate/pooler_goldens.py

Needs torch, transformers, sentence-transformers 6, safetensors and numpy. Embeddings, loss and
gradients, in f64 and without dropout, of a small BERT of four layers followed by
sentence-transformers' WeightedLayerPooling, WordWeights, Pooling, Dense and Normalize. The named mixes
of layers and the tanh layer are also computed as princeton-nlp/SimCSE does in its `simcse/models.py`
(`Pooler`, `MLPLayer`), and must agree.

Writes into simcse-train/tests/goldens/poolers the model, golden.json (options, token ids and losses)
and golden.safetensors (for each case its dense layers, embeddings, and gradients; of a gradient with
more than WHOLE values, every STRIDE-th).
"""

import json

import numpy as np
import safetensors.numpy
import torch
import transformers
from goldens import CLS, FIRST_WORD, OUTPUT as GOLDENS, SEED, SEP, SIZES, make_small_model
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, WeightedLayerPooling, WordWeights
from transformers import AutoModel, BertConfig

SCALE, EXAMPLES, LONGEST = 20.0, 6, 12
WHOLE, STRIDE = 128, 37
OUTPUT = GOLDENS / "poolers"
WIDTH, LAYERS = 16, 4
# The mixes' weights of the embeddings and of each layer's output.
MIXES = {"avg_top2": [0.0, 0.0, 0.0, 1.0, 1.0], "avg_first_last": [0.0, 1.0, 0.0, 0.0, 1.0]}
TANH = dict(out=WIDTH, bias=True, activation="Tanh")
CASES = [
    dict(pooling="cls", dense=[TANH]),  # princeton-nlp's pooler_type cls
    dict(pooling="cls", dense=[]),  # cls_before_pooler
    dict(pooling="mean", dense=[]),  # avg
    dict(pooling="mean", pooled_layers="avg_top2", dense=[]),
    dict(pooling="mean", pooled_layers="avg_first_last", dense=[]),
    dict(pooling="max", pooled_layers="avg_top2", dense=[dict(out=24, bias=False, activation="Identity")]),
    dict(pooling="mean", dense=[dict(out=40, bias=True, activation="Tanh"), dict(out=9, bias=True, activation="Identity")],
         normalize=True),
    dict(pooling="weightedmean", pooled_layers="avg_first_last", dense=[TANH], normalize=True),
    dict(pooling="mean", pooled_layers="avg_top2", dense=[], normalize=True,
         word_weights=[(7 * token % 11) / 4 for token in range(SIZES["vocab_size"])]),
]


def princeton(case, states, attention_mask, dense):
    """The embeddings by the Pooler and the MLPLayer of princeton-nlp/SimCSE, if it has the case."""
    mean = lambda hidden: (hidden * attention_mask.unsqueeze(-1)).sum(1) / attention_mask.sum(-1).unsqueeze(-1)
    options = {key: value for key, value in case.items() if key != "dense"}
    if options == dict(pooling="cls") and case["dense"] in ([], [TANH]):
        pooled = states[-1][:, 0]
        return torch.tanh(dense[0].linear(pooled)) if dense else pooled
    if options.pop("pooling") != "mean" or case["dense"] or "normalize" in options:
        return None
    other = {None: states[-1], "avg_top2": states[-2], "avg_first_last": states[1]}[options.get("pooled_layers")]
    return mean((states[-1] + other) / 2.0)


def run(model, case, sentences, rng):
    ids = torch.full((len(sentences), max(map(len, sentences))), model.config.pad_token_id)
    attention_mask = torch.zeros_like(ids)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence)] = torch.tensor(sentence)
        attention_mask[row, : len(sentence)] = 1
    output = model(input_ids=ids, attention_mask=attention_mask, output_hidden_states=True)

    features = {"token_embeddings": output.last_hidden_state, "all_layer_embeddings": output.hidden_states,
                "attention_mask": attention_mask}
    if mix := MIXES.get(case.get("pooled_layers")):
        features = WeightedLayerPooling(WIDTH, len(mix) - 1, 0, layer_weights=torch.tensor(mix).double())(features)
    if weights := case.get("word_weights"):
        vocabulary = [str(token) for token in range(len(weights))]
        features["input_ids"] = ids
        features = WordWeights(vocabulary, dict(zip(vocabulary, weights))).double()(features)
    features = Pooling(WIDTH, case["pooling"])(features)
    dense, width = [], WIDTH
    for layer in case["dense"]:
        module = Dense(width, layer["out"], layer["bias"], getattr(torch.nn, layer["activation"])()).double()
        with torch.no_grad():
            for parameter in module.parameters():
                values = rng.normal(scale=0.3, size=tuple(parameter.shape)).astype(np.float32)
                parameter.copy_(torch.from_numpy(values))
        features, width = module(features), layer["out"]
        dense.append(module)
    expected = princeton(case, output.hidden_states, attention_mask, dense)
    embeddings = features["sentence_embedding"]
    assert expected is None or torch.allclose(embeddings, expected, atol=1e-13), case
    if case.get("normalize"):
        embeddings = Normalize()(features)["sentence_embedding"]

    loss = MultipleNegativesRankingLoss(None, scale=SCALE).compute_loss_from_embeddings(
        list(embeddings.split(EXAMPLES)), None)
    model.zero_grad()
    loss.backward()
    named = {f"dense.{number}.{name}": parameter for number, module in enumerate(dense)
             for name, parameter in module.named_parameters()}
    weights = {name: parameter.detach().numpy() for name, parameter in named.items()}
    # A layer that the loss does not reach has no gradient.
    gradients = {name: parameter.grad.numpy() for name, parameter in [*model.named_parameters(), *named.items()]}
    return embeddings.detach().numpy(), loss.item(), weights, gradients


def sample(array):
    flat = array.reshape(-1)
    return flat if flat.size <= WHOLE else flat[::STRIDE]


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    rng = np.random.default_rng(SEED)
    config = BertConfig(**SIZES, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=24,
                        max_position_embeddings=LONGEST + 2)
    make_small_model(OUTPUT, config)
    model = AutoModel.from_pretrained(OUTPUT, dtype=torch.float64, attn_implementation="eager").eval()
    model.pooler = None  # no sentence embedding depends on it
    # Words that all sentences share keep the loss away from 0.
    topic = rng.integers(FIRST_WORD, CLS, LONGEST)
    body = lambda length: np.where(rng.random(length) < 0.4, rng.integers(FIRST_WORD, CLS, length), topic[:length])
    sentences = [[CLS, *body(length).tolist(), SEP] for length in rng.integers(0, LONGEST, 2 * EXAMPLES)]
    cases, tensors = [], {}
    for number, case in enumerate(CASES):
        embeddings, loss, weights, gradients = run(model, case, sentences, rng)
        tensors[f"{number}.embeddings"] = embeddings
        tensors.update({f"{number}.weights.{name}": array for name, array in weights.items()})
        tensors.update({f"{number}.gradient.{name}": sample(array) for name, array in gradients.items()})
        cases.append(dict(case, loss=loss))
        print(f"{case}: loss {loss:.6f}")
    tensors = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in tensors.items()}
    safetensors.numpy.save_file(tensors, OUTPUT / "golden.safetensors")
    lines = ",\n  ".join(json.dumps(case) for case in cases)
    golden = f'{{\n "scale": {SCALE}, "whole": {WHOLE}, "stride": {STRIDE},\n "sentences": {json.dumps(sentences)},\n'
    (OUTPUT / "golden.json").write_text(f'{golden} "cases": [\n  {lines}\n ]\n}}\n')


if __name__ == "__main__":
    main()
