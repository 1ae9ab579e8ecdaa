#!/usr/bin/env python3
"""One sentence of ten tokens through ONNX Runtime's graph alone, without tokenizer and pooling, for
comparison with `cargo bench --bench model -- one`.

    latency.py MODEL.onnx... [--repeats 200]

tools/peer/encoders.sh exports the graphs and makes the environment. Prints the median in milliseconds,
on one thread and on all.
"""

import argparse
import os
import statistics
import time

import numpy as np
import onnxruntime

TOKENS = 10


def milliseconds(graph, threads, repeats):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    ids = np.arange(1000, 1000 + TOKENS).reshape(1, TOKENS)
    every = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    feed = {each.name: every[each.name] for each in session.get_inputs()}
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("graphs", nargs="+", metavar="MODEL.onnx")
parser.add_argument("--repeats", type=int, default=200)
arguments = parser.parse_args()
for graph in arguments.graphs:
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        print(f"{graph}, {threads} threads: {milliseconds(graph, threads, arguments.repeats):.2f} ms", flush=True)
