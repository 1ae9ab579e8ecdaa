#!/usr/bin/env python3
"""Compute with sentence-transformers what `simcse-train/tests/objectives.rs` compares with.

    python3 tools/generate/objective_goldens.py

Needs torch, sentence-transformers 6, safetensors and numpy. Losses and their gradients with respect
to random embeddings, in f64, by MultipleNegativesRankingLoss with every option. Two rules are applied
to it here: MatryoshkaLoss's, which wants a whole model (a weighted sum of losses of truncated
embeddings), and princeton-nlp/SimCSE's `hard_negative_weight`, which is not a package (a constant added
to the logits of an anchor and its own hard negative before the cross-entropy).

Writes simcse-train/tests/goldens/objectives.json (options and losses) and objectives.safetensors
(embeddings and gradients, one tensor of shape (columns, examples, width) for each case).
"""

import itertools
import json
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.util import cos_sim

SEED, EXAMPLES, WIDTH = 20210418, 5, 6
OUTPUT = Path(__file__).resolve().parents[2] / "simcse-train" / "tests" / "goldens"
QUERY, DOC = ["query_to_query"], ["doc_to_query"]
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
]


def princeton(embeddings, scale, weight):
    """cl_forward of princeton-nlp/SimCSE, with any number of hard negatives."""
    anchors, *documents = embeddings
    logits = torch.cat([cos_sim(anchors, documents_of) * scale for documents_of in documents], dim=1)
    weights = [torch.eye(len(anchors), dtype=logits.dtype) * (weight if column else 0.0) for column in range(len(documents))]
    return torch.nn.functional.cross_entropy(logits + torch.cat(weights, dim=1), torch.arange(len(anchors)))


def loss_of(embeddings, *, scale=20.0, directions=(), partition="joint", hardness=None, hardness_strength=0.0,
            hard_negative_weight=0.0, matryoshka=None, columns=2):
    if matryoshka is not None:
        options = dict(scale=scale, directions=directions, partition=partition)
        return sum(weight * loss_of([column[:, :dimension] for column in embeddings], **options)
                   for dimension, weight in matryoshka)
    if hard_negative_weight:
        return princeton(embeddings, scale, hard_negative_weight)
    loss = MultipleNegativesRankingLoss(None, scale, directions=("query_to_doc", *directions), partition_mode=partition,
                                        hardness_mode=hardness, hardness_strength=hardness_strength)
    return loss.compute_loss_from_embeddings(embeddings, None)


def main():
    rng = np.random.default_rng(SEED)
    cases, tensors = [], {}
    for number, options in enumerate(CASES):
        columns = options.get("columns", 2)
        # A common direction keeps the losses away from 0 at a scale of 20.
        values = (rng.normal(size=(columns, EXAMPLES, WIDTH)) + 2.0).astype(np.float32)
        embeddings = [torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in values]
        loss = loss_of(embeddings, **options)
        loss.backward()
        tensors[f"embeddings.{number}"] = values
        tensors[f"gradient.{number}"] = np.stack([column.grad.numpy() for column in embeddings]).astype(np.float32)
        cases.append(dict(options, loss=loss.item()))
    safetensors.numpy.save_file(tensors, OUTPUT / "objectives.safetensors")
    lines = ",\n".join(json.dumps(case) for case in cases)
    (OUTPUT / "objectives.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
