"""Writes simcse-eval/tests/goldens/quantization.json: what sentence-transformers' `quantize_embeddings` makes of
random embeddings.

    python3 tools/generate/quantization.py
"""

import json
import pathlib
import platform

import numpy
import sentence_transformers
from sentence_transformers.util import quantize_embeddings

SEED = 20
ROWS, WIDTH = 12, 19  # 19 bits do not fill their last byte


def main():
    random = numpy.random.default_rng(SEED)
    embeddings = random.normal(size=(ROWS, WIDTH)).astype(numpy.float32)
    embeddings[:, 3] = 0.25  # a dimension of one value
    embeddings[2, 5] = 0.0
    embeddings[4] *= 3.0  # outside of the ranges of the first rows
    calibration = embeddings[:4]
    cases = {
        precision: quantize_embeddings(embeddings, precision, calibration_embeddings=calibration).tolist()
        for precision in ["int8", "uint8", "binary", "ubinary"]
    }
    cases["f16"] = embeddings.astype(numpy.float16).astype(numpy.float32).tolist()
    golden = {
        "made_by": f"tools/generate/quantization.py, seed {SEED}, Python {platform.python_version()}, "
        f"sentence-transformers {sentence_transformers.__version__}, NumPy {numpy.__version__}",
        "embeddings": embeddings.tolist(),
        "calibration_rows": len(calibration),
        "quantized": cases,
    }
    root = pathlib.Path(__file__).resolve().parents[2]
    path = root / "simcse-eval" / "tests" / "goldens" / "quantization.json"
    path.write_text(json.dumps(golden) + "\n", encoding="utf-8")


main()
