#!/usr/bin/env python3
"""Write an index of random vectors, to measure searches, pairs and groups on.

    python3 tools/measure/large_index.py OUT ROWS [WIDTH [STORAGE]]

Rows come in clusters of one to ten around random directions, with a cosine similarity of about 0.9 to their
direction, as paraphrases have. STORAGE is f32 (the default) or int8. Needs NumPy.
"""
import json
import pathlib
import sys

import numpy as np

PART = 10_000


def main():
    out, rows = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    width = int(sys.argv[3]) if len(sys.argv) > 3 else 384
    storage = sys.argv[4] if len(sys.argv) > 4 else "f32"
    out.mkdir(parents=True)
    random = np.random.default_rng(1)
    with open(out / "vectors.bin", "wb") as vectors:
        for start in range(0, rows, PART):
            count = min(PART, rows - start)
            of = np.repeat(np.arange(count), random.integers(1, 11, count))[:count]
            part = random.normal(size=(count, width))[of] + 0.48 * random.normal(size=(count, width))
            part = (part / np.linalg.norm(part, axis=1, keepdims=True)).astype("<f4")
            if storage == "int8":
                scales = np.abs(part).max(axis=1, keepdims=True) / np.float32(127)
                values = np.rint(part / scales).astype(np.int8)
                vectors.write(np.hstack([scales.astype("<f4").view(np.int8), values]).tobytes())
            else:
                vectors.write(part.tobytes())
    records = "".join(json.dumps({"text": f"text {row}"}) + "\n" for row in range(rows))
    (out / "records.jsonl").write_text(records)
    description = {"format": 1, "model": "random", "model_sha256": "", "model_settings": "", "prompt": "",
                   "storage": storage, "dimension": width, "rows": rows, "records_bytes": len(records),
                   "sources": [{"name": "random", "rows": rows, "is_complete": True}]}
    (out / "index.json").write_text(json.dumps(description))


if __name__ == "__main__":
    main()
