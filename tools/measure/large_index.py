#!/usr/bin/env python3
"""Large indexes: of random vectors, to time searches, pairs and groups on, and what smaller values lose.

    python3 tools/measure/large_index.py random OUT ROWS [WIDTH [STORAGE]]
    python3 tools/measure/large_index.py recall PROGRAM INDEX QUERIES

`random` writes an index whose rows come in clusters of one to ten around random directions, with a cosine
similarity of about 0.9 to their direction, as paraphrases have. STORAGE is f32 (the default), f16 or int8.

`recall` takes an index that `simcse index` made with f32, and a file of queries. It stores the same vectors as
f16 and int8, as `simcse index --storage` would, lets `simcse search` find the best ten rows in each, and prints
the size of the vectors and the share of the best ten of f32 that is found. Needs NumPy.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np

PART = 10_000
BEST = 10


def stored(rows, storage):
    """The bytes of unit vectors in an index."""
    if storage != "int8":
        return rows.astype({"f32": "<f4", "f16": "<f2"}[storage]).tobytes()
    scales = np.abs(rows).max(axis=1, keepdims=True) / np.float32(127)
    values = (rows / np.where(scales > 0, scales, 1)).astype(np.float64)
    values = np.copysign(np.floor(np.abs(values) + 0.5), values).astype(np.int8)  # halves away from zero
    return np.hstack([scales.astype("<f4").view(np.int8), values]).tobytes()


def random(out, rows, width=384, storage="f32"):
    out, rows, width = pathlib.Path(out), int(rows), int(width)
    out.mkdir(parents=True)
    numbers = np.random.default_rng(1)
    with open(out / "vectors.bin", "wb") as vectors:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            of = np.repeat(np.arange(count), numbers.integers(1, 11, count))[:count]
            part = numbers.normal(size=(count, width))[of] + 0.48 * numbers.normal(size=(count, width))
            part = (part / np.linalg.norm(part, axis=1, keepdims=True)).astype("<f4")
            vectors.write(stored(part, storage))
    records = "".join(json.dumps({"text": f"text {row}"}) + "\n" for row in range(rows))
    (out / "records.jsonl").write_text(records)
    description = {"format": 1, "model": "random", "model_sha256": "", "model_settings": "", "prompt": "",
                   "storage": storage, "dimension": width, "rows": rows, "records_bytes": len(records),
                   "sources": [{"name": "random", "rows": rows, "is_complete": True}]}
    (out / "index.json").write_text(json.dumps(description))


def found(program, index, queries):
    """The numbers of the best rows for each query."""
    command = [program, "search", "--index", index, "--queries", queries, "--top-k", str(BEST), "--json"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [{hit["id"] for hit in json.loads(line)} for line in lines]


def recall(program, index, queries):
    index = pathlib.Path(index)
    description = json.loads((index / "index.json").read_text())
    assert description["storage"] == "f32", description["storage"]
    vectors = np.fromfile(index / "vectors.bin", "<f4").reshape(-1, description["dimension"])[: description["rows"]]
    exact = found(program, index, queries)
    print(f"{len(vectors)} rows of {description['dimension']} values, {len(exact)} queries")
    with tempfile.TemporaryDirectory() as directory:
        for storage in ["f32", "f16", "int8"]:
            other = pathlib.Path(directory) / storage
            other.mkdir()
            shutil.copy(index / "records.jsonl", other)
            with open(other / "vectors.bin", "wb") as file:
                for start in range(0, len(vectors), PART):
                    file.write(stored(vectors[start : start + PART], storage))
            (other / "index.json").write_text(json.dumps({**description, "storage": storage}))
            hits = found(program, other, queries)
            share = sum(len(a & b) for a, b in zip(hits, exact)) / (BEST * len(exact))
            size = (other / "vectors.bin").stat().st_size
            print(f"{storage:5} {size:12,} bytes, recall@{BEST} {share:.4f}", flush=True)


if __name__ == "__main__":
    {"random": random, "recall": recall}[sys.argv[1]](*sys.argv[2:])
