"""Writes simcse-eval/tests/goldens/mining.json: what sentence-transformers' `mine_hard_negatives` finds among random
embeddings.

    python3 tools/generate/mining.py
"""

import json
import pathlib
import platform

import numpy
import sentence_transformers
import torch
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives

SEED = 21
QUERIES, DOCUMENTS, WIDTH = 12, 60, 8
CASES = [
    {},
    {"num_negatives": 5},
    {"range_min": 2, "num_negatives": 2},
    {"range_min": 1, "range_max": 7, "num_negatives": 4},
    {"max_score": 0.5},
    {"min_score": 0.3, "num_negatives": 8},
    {"absolute_margin": 0.1},
    {"relative_margin": 0.05},
    {"relative_margin": 0.3, "absolute_margin": 0.02, "max_score": 0.7, "range_min": 1, "num_negatives": 6},
    {"num_negatives": 50, "range_max": 55},
]


class Given:
    """A model whose embeddings are given."""

    device = torch.device("cpu")

    def __init__(self, embeddings):
        self.embeddings = embeddings

    def encode_query(self, texts, **_):
        return numpy.array([self.embeddings[text] for text in texts])

    encode_document = encode_query

    def similarity(self, a, b):
        return torch.as_tensor(a) @ torch.as_tensor(b).T

    def similarity_pairwise(self, a, b):
        return (torch.as_tensor(a) * torch.as_tensor(b)).sum(-1)


def main():
    random = numpy.random.default_rng(SEED)
    unit = lambda rows: (rows / numpy.linalg.norm(rows, axis=1, keepdims=True)).astype(numpy.float32)
    documents = unit(random.normal(size=(DOCUMENTS, WIDTH)))
    queries = unit(documents[:QUERIES] + 0.3 * random.normal(size=(QUERIES, WIDTH)))
    queries[3] = -documents[3]  # a positive with a negative score
    pairs = [(f"q{i}", f"d{i}") for i in range(QUERIES)] + [("q1", "d20"), ("q1", "d30"), ("q5", "d40"), ("q5", "d40")]
    corpus = [f"d{i}" for i in range(DOCUMENTS)]
    given = Given({f"q{i}": row for i, row in enumerate(queries)} | {f"d{i}": row for i, row in enumerate(documents)})
    dataset = Dataset.from_dict({"anchor": [a for a, _ in pairs], "positive": [b for _, b in pairs]})
    cases = []
    for arguments in CASES:
        found = mine_hard_negatives(dataset, given, corpus=corpus, verbose=False, output_scores=True, **arguments)
        rows = [[*(int(row[name][1:]) for name in ["anchor", "positive", "negative"]), *row["scores"]] for row in found]
        cases.append({"arguments": arguments, "triplets": rows})
    golden = {
        "made_by": f"tools/generate/mining.py, seed {SEED}, Python {platform.python_version()}, sentence-transformers "
        f"{sentence_transformers.__version__}, torch {torch.__version__}",
        "queries": queries.tolist(),
        "documents": documents.tolist(),
        "pairs": [[int(a[1:]), int(b[1:])] for a, b in pairs],
        "cases": cases,
    }
    root = pathlib.Path(__file__).resolve().parents[2]
    path = root / "simcse-eval" / "tests" / "goldens" / "mining.json"
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in golden.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


main()
