"""Compare two .npy files of embeddings: print the largest absolute difference between unit vectors
and the largest relative difference between norms, and fail if either exceeds LIMIT (1e-5).

    compare_embeddings.py A.npy B.npy [LIMIT]
"""
import sys

import numpy as np

limit = float(sys.argv[3]) if len(sys.argv) > 3 else 1e-5
a, b = (np.load(file).astype(np.float64) for file in sys.argv[1:3])
assert a.shape == b.shape, f"{a.shape} and {b.shape}"
norm_a, norm_b = (np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
units = np.abs(a / norm_a - b / norm_b).max()
norms = np.abs(norm_a / norm_b - 1).max()
print(f"{len(a)} embeddings: unit vectors differ by at most {units:.1e}, norms by {norms:.1e} relative")
sys.exit(not (units <= limit and norms <= limit))
