"""Compares what `simcse encode` writes, in all formats and types of values, with sentence-transformers.

    quantized.py PROGRAM MODEL SENTENCES

f32 and f16 must agree to rounding; of the quantized types, which cut, 99.9% of the numbers must be the same and the
others neighbors (of int8 and uint8), or 99.9% of the bits (of binary and ubinary).
"""

import subprocess
import sys
import tempfile

import numpy as np
import pyarrow.feather
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import quantize_embeddings

DIMENSION = 52  # the last byte of binary embeddings has four bits


def main():
    program, model_dir, sentences_file = sys.argv[1:]
    with open(sentences_file, encoding="utf-8") as file:
        sentences = [line.rstrip("\n") for line in file]
    model = SentenceTransformer(model_dir, device="cpu", truncate_dim=DIMENSION)
    embeddings = model.encode(sentences, batch_size=64, normalize_embeddings=True)
    with tempfile.TemporaryDirectory() as directory:
        for dtype in ["f32", "f16", "int8", "uint8", "binary", "ubinary"]:
            found = []
            for extension in ["npy", "safetensors", "arrow"]:
                path = f"{directory}/{dtype}.{extension}"
                subprocess.run([program, "encode", sentences_file, "--model", model_dir, "--truncate-dim", str(DIMENSION),
                                "--normalize", "--output-dtype", dtype, "--output", path, "--quiet"], check=True)
                if extension == "npy":
                    found.append(np.load(path))
                elif extension == "safetensors":
                    found.append(load_file(path)["embeddings"])
                else:
                    table = pyarrow.feather.read_table(path)
                    assert table["text"].to_pylist() == sentences
                    found.append(np.stack(table["embedding"].to_numpy()))
            ours = found[0]
            assert all(other.dtype == ours.dtype and np.array_equal(other, ours) for other in found)
            if dtype in ["f32", "f16"]:
                expected = embeddings.astype({"f32": np.float32, "f16": np.float16}[dtype])
                worst = np.abs(ours.astype(np.float64) - expected).max()
                assert ours.dtype == expected.dtype and worst < (1e-5 if dtype == "f32" else 1e-3), worst
                print(f"{dtype}: {ours.shape}, largest difference {worst:.1e}")
                continue
            expected = quantize_embeddings(embeddings, precision=dtype)
            assert ours.dtype == expected.dtype and ours.shape == expected.shape, (ours.dtype, ours.shape)
            if dtype.endswith("binary"):
                same = (np.unpackbits(ours.view(np.uint8)) == np.unpackbits(expected.view(np.uint8))).mean()
            else:
                assert np.abs(ours.astype(int) - expected).max() <= 1
                same = (ours == expected).mean()
            assert same > 0.999, same
            print(f"{dtype}: {ours.shape}, {100 * same:.3f}% the same")


main()
