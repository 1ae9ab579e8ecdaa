#!/usr/bin/env python3
"""Compute with sentence-transformers and scikit-learn what simcse-eval/tests/evaluators.rs compares
with.

    python3 tools/generate/evaluation.py
        write simcse-eval/tests/goldens/evaluators.json

Needs sentence-transformers 6, scikit-learn, torch and numpy. The evaluators are given embeddings in
place of a model. The cosines of all but the labels' embeddings are multiples of 1/4, so that many
are tied and none depends on rounding; some embeddings are zero. scikit-learn does not say which of
several equally distant neighbors it takes, so labels have embeddings without ties; their votes have
many.
"""
import json
import platform
from pathlib import Path

import numpy as np
import sentence_transformers
import sklearn
import torch
from sentence_transformers.sentence_transformer.evaluation import (
    InformationRetrievalEvaluator,
    TranslationEvaluator,
    TripletEvaluator,
)
from sentence_transformers.util import cos_sim
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

SEED = 20210418
WIDTH = 4
OUTPUT = Path(__file__).resolve().parents[2] / "simcse-eval" / "tests" / "goldens" / "evaluators.json"
rng = np.random.default_rng(SEED)


class Given:
    """Stands for a model: the embeddings of known texts."""

    similarity_fn_name = "cosine"
    similarity = staticmethod(cos_sim)

    def __init__(self, embeddings):
        self.embeddings = embeddings
        self.model_card_data = self

    def set_evaluation_metrics(self, *_, **__):
        pass

    def encode(self, texts, convert_to_numpy=True, convert_to_tensor=False, **_):
        rows = np.array([self.embeddings[text] for text in texts], dtype=np.float32)
        if convert_to_tensor:
            return torch.from_numpy(rows)
        return rows if convert_to_numpy else list(torch.from_numpy(rows))

    encode_query = encode_document = encode


def tied_embedding():
    """Return a vector of zeros, of one value, or of four values of the same size."""
    kind, size = rng.integers(20), float(2.0 ** rng.integers(-2, 3))
    if kind == 0:
        return [0.0] * WIDTH
    if kind < 8:
        return [size * rng.choice([-1.0, 1.0]) if i == kind % WIDTH else 0.0 for i in range(WIDTH)]
    return [size * float(rng.choice([-1.0, 1.0])) for _ in range(WIDTH)]


def texts_with_embeddings(prefix, count):
    return {f"{prefix}{i}": [float(value) for value in tied_embedding()] for i in range(count)}


def triplets():
    embeddings = texts_with_embeddings("t", 12)
    rows = [[str(text) for text in rng.choice(list(embeddings), 3)] for _ in range(30)]
    found = TripletEvaluator(*map(list, zip(*rows)), write_csv=False)(Given(embeddings))
    return {"embeddings": embeddings, "rows": rows, "expected": found}


def pairs():
    """Some texts occur in several pairs."""
    left, right = texts_with_embeddings("a", 10), texts_with_embeddings("b", 10)
    rows = [[str(rng.choice(list(left))), str(rng.choice(list(right)))] for _ in range(14)]
    found = TranslationEvaluator(*map(list, zip(*rows)), write_csv=False)(Given(left | right))
    return {"embeddings": left | right, "rows": rows, "expected": found}


def retrieval(documents):
    """Ids are sorted as texts, and some relevant documents are not in the corpus."""
    queries, corpus = texts_with_embeddings("q", 8), texts_with_embeddings("d", documents)
    # The ids of documents are in another order than their texts.
    ids = {str(number): text for number, text in zip(rng.permutation(documents), corpus)}
    known = [*ids, "absent", "gone"]
    relevant = {query: sorted({str(one) for one in rng.choice(known, rng.integers(1, 8))}) for query in queries}
    evaluator = InformationRetrievalEvaluator(
        {query: query for query in queries}, ids, {query: set(found) for query, found in relevant.items()},
        mrr_at_k=[10], ndcg_at_k=[10], accuracy_at_k=[1], precision_recall_at_k=[100], map_at_k=[100],
        corpus_chunk_size=64, write_csv=False)
    found = evaluator(Given(queries | corpus))
    names = {"map@100": "cosine_map@100", "mrr@10": "cosine_mrr@10", "ndcg@10": "cosine_ndcg@10",
             "recall@100": "cosine_recall@100"}
    return {"embeddings": queries | corpus, "corpus": ids, "relevant": relevant,
            "expected": {name: found[theirs] for name, theirs in names.items()}}


def labels(numbers):
    count = 40
    names = rng.choice([2, 10, 7, 33] if numbers else ["b", "a", "é", "Z"], count)
    centers = {name: rng.normal(size=WIDTH) for name in set(names.tolist())}
    rows = np.array([centers[name] + 0.9 * rng.normal(size=WIDTH) for name in names.tolist()]).astype(np.float32)
    predicted = cross_val_predict(KNeighborsClassifier(10, metric="cosine"), rows, names, cv=LeaveOneOut())
    texts = {f"t{i}": row for i, row in enumerate(rows.tolist())}
    return {"embeddings": texts, "rows": [[text, str(name)] for text, name in zip(texts, names)],
            "expected": {"accuracy": accuracy_score(names, predicted),
                         "macro_f1": f1_score(names, predicted, average="macro", zero_division=0)}}


def main():
    golden = {
        "made_by": f"tools/generate/evaluation.py, seed {SEED}, Python {platform.python_version()}, sentence-transformers "
                   f"{sentence_transformers.__version__}, scikit-learn {sklearn.__version__}, numpy {np.__version__}",
        "triplets": [triplets() for _ in range(4)],
        "pairs": [pairs() for _ in range(8)],
        "retrieval": [retrieval(documents) for documents in [20, 20, 30, 150]],
        "labels": [labels(numbers) for numbers in [False, False, True, True]],
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    cases = {kind: [json.dumps(case, default=float, ensure_ascii=False) for case in found]
             for kind, found in golden.items() if kind != "made_by"}
    text = ",\n".join(f' "{kind}": [\n  ' + ",\n  ".join(found) + "\n ]" for kind, found in cases.items())
    OUTPUT.write_text(f'{{\n "made_by": {json.dumps(golden["made_by"])},\n{text}\n}}\n')


if __name__ == "__main__":
    main()
