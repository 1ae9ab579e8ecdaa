#!/usr/bin/env python3
"""Time PyTorch's attention, forward and backward, for long sentences, as a Markdown table.

    attention.py [--threads N] [--heads N] [--size N] [--window N] [TOKENS...]

`scaled_dot_product_attention` with dropout of 0.1 in f32 on the CPU, over sentences of TOKENS tokens
(128, 256 and 512), 8192 tokens in a batch, medians of five. With --window, each query sees only the
keys that are at most N tokens away, by a mask, as transformers' ModernBERT does it.

Needs torch.
"""

import argparse
import os
import statistics
import time

import torch

BATCH = 8192


def times(tokens, args):
    shape = (BATCH // tokens, args.heads, tokens, args.size)
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    mask = None
    if args.window is not None:
        position = torch.arange(tokens)
        mask = (position[:, None] - position[None, :]).abs() <= args.window
    found = []
    for _ in range(6):
        start = time.perf_counter()
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=0.1)
        middle = time.perf_counter()
        out.backward(torch.ones_like(out))
        found.append((middle - start, time.perf_counter() - middle))
    return [1e6 / BATCH * statistics.median(pair[i] for pair in found[1:]) for i in (0, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("tokens", nargs="*", type=int, default=[128, 256, 512])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--window", type=int)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("| tokens | forward, µs per token | backward, µs per token |\n|---|---|---|")
    for tokens in args.tokens:
        forward, backward = times(tokens, args)
        print(f"| {tokens} | {forward:.2f} | {backward:.2f} |", flush=True)


if __name__ == "__main__":
    main()
