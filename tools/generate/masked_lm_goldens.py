#!/usr/bin/env python3
"""Compute with transformers what `simcse-train/tests/masked_lm.rs` compares with.

    python3 tools/generate/masked_lm_goldens.py
        write simcse-train/tests/goldens/masked_lm.{json,safetensors}

Needs torch, transformers, safetensors and numpy. The models are the small ones that
tools/generate/goldens.py writes, with heads of random weights: `BertForMaskedLM`
and its counterparts of other families, in f64 and without dropout. The files hold masked
texts, the loss, the share of masked tokens that are predicted, the heads' weights, and gradients; of
an array of more than WHOLE values, every STRIDE-th.
"""

import json
import platform
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
import transformers
from transformers import AutoModelForMaskedLM

GOLDENS = Path(__file__).resolve().parents[2] / "simcse-train" / "tests" / "goldens"
SEED, WHOLE, STRIDE, SENTENCES = 7, 128, 37, 40
HEADS = ("cls.", "lm_head.", "vocab_", "generator_", "head.", "decoder.")


def texts(config, rng):
    """Sentences in which about a fifth of the tokens are masked, one of them without any."""
    found = []
    for number in range(SENTENCES):
        ids = rng.integers(5, config.vocab_size, rng.integers(3, 20))
        chosen = np.flatnonzero(rng.random(len(ids)) < (0.2 if number else 0.0))
        labels = ids[chosen]
        ids[chosen] = np.where(rng.random(len(chosen)) < 0.8, 4, rng.integers(5, config.vocab_size, len(chosen)))
        found.append({"ids": ids.tolist(), "positions": chosen.tolist(), "labels": labels.tolist()})
    return found


def compute(name, rng):
    model = AutoModelForMaskedLM.from_pretrained(GOLDENS / name, dtype=torch.float64).eval()
    head = {key: value for key, value in model.named_parameters() if key.startswith(HEADS)}
    for key, value in head.items():
        # Values that the file can hold exactly. Weights of LayerNorm are near 1.
        drawn = rng.normal(0, 0.1, tuple(value.shape)).astype(np.float32)
        value.data = torch.from_numpy(drawn).double() + ("norm" in key.lower() and key.endswith("weight"))
    head = {key: value.detach().numpy().astype(np.float32) for key, value in head.items()}
    for key, value in model.named_parameters():
        if key in head:
            value.data = torch.from_numpy(head[key]).double()

    batch = texts(model.config, rng)
    longest = max(len(text["ids"]) for text in batch)
    ids = torch.full((len(batch), longest), model.config.pad_token_id)
    attention_mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, text in enumerate(batch):
        ids[row, : len(text["ids"])] = torch.tensor(text["ids"])
        attention_mask[row, : len(text["ids"])] = 1
        labels[row, text["positions"]] = torch.tensor(text["labels"], dtype=torch.long)
    output = model(input_ids=ids, attention_mask=attention_mask, labels=labels)
    output.loss.backward()
    masked = labels != -100
    accuracy = (output.logits.argmax(-1)[masked] == labels[masked]).double().mean().item()

    arrays = {f"{name}.head.{key}": value for key, value in head.items()}
    for key, value in model.named_parameters():
        flat = value.grad.numpy().reshape(-1)
        key = key if key in head else key.split(".", 1)[1]  # the bare model's names
        arrays[f"{name}.gradient.{key}"] = (flat if flat.size <= WHOLE else flat[::STRIDE]).astype(np.float32)
    return {"texts": batch, "loss": output.loss.item(), "accuracy": accuracy}, arrays


def main():
    golden, arrays = {"whole": WHOLE, "stride": STRIDE, "models": {}}, {}
    for name in ["bert", "roberta", "distilbert", "electra", "mpnet", "modernbert"]:
        golden["models"][name], found = compute(name, np.random.default_rng(SEED))
        arrays.update(found)
    golden["versions"] = {"python": platform.python_version(), "torch": torch.__version__,
                          "transformers": transformers.__version__}
    (GOLDENS / "masked_lm.json").write_text(json.dumps(golden) + "\n")
    safetensors.numpy.save_file(arrays, GOLDENS / "masked_lm.safetensors")


if __name__ == "__main__":
    main()
