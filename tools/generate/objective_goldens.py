#!/usr/bin/env python3
"""Compute with sentence-transformers what `simcse-train/tests/objectives.rs` compares with.

    python3 tools/generate/objective_goldens.py

Needs torch, sentence-transformers 6, transformers, safetensors and numpy. Losses and their gradients
with respect to random embeddings, in f64, by MultipleNegativesRankingLoss with every option. Two rules
are applied to it here: MatryoshkaLoss's, which wants a whole model (a weighted sum of losses of truncated
embeddings), and princeton-nlp/SimCSE's `hard_negative_weight`, which is not a package (a constant added
to the logits of an anchor and its own hard negative before the cross-entropy).

Published variants are written down here from their papers' equations, and PyTorch differentiates them:
Focal-InfoNCE (Hou and Li 2023, equation 2), off-dropout sampling (SimCSE++, Xu et al. 2023, with the
`pos_ratio` of its scripts) and GS-InfoNCE (Wu et al. 2022). The noise of the last one is that of
simcse-tensor/src/ops/contrastive/noise.rs, drawn here from its description.

Writes simcse-train/tests/goldens/objectives.json (options and losses) and objectives.safetensors
(embeddings and gradients, one tensor of shape (columns, examples, width) for each case).
"""

import itertools
import json
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from goldens import check_philox, philox
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim

SEED, EXAMPLES, WIDTH = 20210418, 5, 6
OUTPUT = Path(__file__).resolve().parents[2] / "simcse-train" / "tests" / "goldens"
QUERY, DOC = ["query_to_query"], ["doc_to_query"]
NOISE = dict(count=15, weight=0.5, seed=SEED << 20)
SYMMETRIC = dict(directions=DOC, partition="per_direction")
CASES = [
    dict(), dict(scale=1.0), dict(columns=3), dict(columns=4), SYMMETRIC, dict(SYMMETRIC, columns=3),
    *(dict(directions=list(directions), columns=columns)
      for columns in (2, 3)
      for count in (1, 2, 3)
      for directions in itertools.combinations(["query_to_query", "doc_to_query", "doc_to_doc"], count)),
    *(dict(hardness=hardness, hardness_strength=9.0, columns=columns)
      for hardness in ("in_batch_negatives", "hard_negatives", "all_negatives") for columns in (2, 4)),
    dict(hardness="all_negatives", hardness_strength=5.0, directions=QUERY + DOC + ["doc_to_doc"], columns=3),
    dict(hard_negative_weight=0.5, columns=3), dict(hard_negative_weight=-1.0, columns=4),
    dict(matryoshka=[[6, 1.0], [4, 0.7], [1, 0.2]]), dict(SYMMETRIC, matryoshka=[[5, 1.0], [2, 1.0]], columns=3),
    dict(focal_m=0.3), dict(focal_m=0.3, columns=3), dict(focal_m=-0.1, scale=5.0),
    dict(off_dropout=True, columns=3), dict(off_dropout=True, pos_ratio=0.9, columns=3),
    dict(off_dropout=True, focal_m=0.3, columns=3),
    dict(noise=NOISE), dict(noise=dict(NOISE, count=1, weight=2.5), scale=5.0), dict(noise=NOISE, focal_m=0.3, columns=3),
]


def princeton(embeddings, scale, weight):
    """cl_forward of princeton-nlp/SimCSE, with any number of hard negatives."""
    anchors, *documents = embeddings
    logits = torch.cat([cos_sim(anchors, documents_of) * scale for documents_of in documents], dim=1)
    weights = [torch.eye(len(anchors), dtype=logits.dtype) * (weight if column else 0.0) for column in range(len(documents))]
    return torch.nn.functional.cross_entropy(logits + torch.cat(weights, dim=1), torch.arange(len(anchors)))


def noise_rows(count, seed, batch, width):
    """Directions of normal vectors, by Box and Muller's method from Philox."""
    blocks = philox([np.arange(-(-width // 4)), np.arange(count)[:, None], 0xFFFF << 16, batch], seed)
    words = [word.astype(np.float64) / 2**32 for word in np.broadcast_arrays(*blocks)]
    pairs = [(np.sqrt(-2 * np.log(radius + 0.5 / 2**32)), 2 * np.pi * angle)
             for radius, angle in (words[:2], words[2:])]
    normals = np.stack([radius * turn(angle) for radius, angle in pairs for turn in (np.cos, np.sin)], axis=-1)
    normals = normals.reshape(count, -1)[:, :width]
    return torch.tensor(normals / np.linalg.norm(normals, axis=1, keepdims=True))


def variant(embeddings, batch, scale, focal_m=None, off_dropout=False, pos_ratio=1.0, noise=None):
    """-log(e^positive / (e^positive + Σ e^negative)), whose logits are functions of the cosines."""
    anchors, positives, *others = embeddings
    size = len(anchors)
    positive = cos_sim(anchors, positives).diagonal()
    if off_dropout:
        undropped, = others
        negatives = cos_sim(undropped, undropped)[~torch.eye(size, dtype=bool)].reshape(size, -1)
    else:
        in_batch = cos_sim(anchors, positives)[~torch.eye(size, dtype=bool)].reshape(size, -1)
        negatives = torch.cat([in_batch, *(cos_sim(anchors, column) for column in others)], dim=1)
    weights = torch.zeros_like(negatives)
    if noise is not None:
        rows = noise_rows(noise["count"], noise["seed"], batch, anchors.shape[1])
        negatives = torch.cat([negatives, cos_sim(anchors, rows)], dim=1)
        weights = torch.cat([weights, torch.full((size, len(rows)), noise["weight"], dtype=weights.dtype).log()], dim=1)
    if focal_m is not None:
        positive, negatives = positive**2, negatives * (negatives + focal_m)
    logits = torch.cat([(pos_ratio * positive)[:, None] * scale, negatives * scale + weights], dim=1)
    return torch.nn.functional.cross_entropy(logits, torch.zeros(size, dtype=torch.int64))


def loss_of(embeddings, batch, *, scale=20.0, directions=(), partition="joint", hardness=None, hardness_strength=0.0,
            hard_negative_weight=0.0, matryoshka=None, columns=2, **variants):
    if variants:
        return variant(embeddings, batch, scale, **variants)
    if matryoshka is not None:
        options = dict(scale=scale, directions=directions, partition=partition)
        return sum(weight * loss_of([column[:, :dimension] for column in embeddings], batch, **options)
                   for dimension, weight in matryoshka)
    if hard_negative_weight:
        return princeton(embeddings, scale, hard_negative_weight)
    loss = MultipleNegativesRankingLoss(None, scale, directions=("query_to_doc", *directions), partition_mode=partition,
                                        hardness_mode=hardness, hardness_strength=hardness_strength)
    return loss.compute_loss_from_embeddings(embeddings, None)


def main():
    check_philox()
    rng = np.random.default_rng(SEED)
    cases, tensors = [], {}
    for number, options in enumerate(CASES):
        columns = options.get("columns", 2)
        # A common direction keeps the losses away from 0 at a scale of 20.
        values = (rng.normal(size=(columns, EXAMPLES, WIDTH)) + 2.0).astype(np.float32)
        embeddings = [torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in values]
        loss = loss_of(embeddings, number, **options)
        loss.backward()
        tensors[f"embeddings.{number}"] = values
        tensors[f"gradient.{number}"] = np.stack([column.grad.numpy() for column in embeddings]).astype(np.float32)
        cases.append(dict(options, loss=loss.item()))
    safetensors.numpy.save_file(tensors, OUTPUT / "objectives.safetensors")
    lines = ",\n".join(json.dumps(case) for case in cases)
    (OUTPUT / "objectives.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
