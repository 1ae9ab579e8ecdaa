#!/usr/bin/env python3
"""Write with PyTorch the files that `simcse-model/tests/weights.rs` reads.

    python3 tools/generate/weights.py

Needs torch, transformers 5 and safetensors. Writes to simcse-model/tests/weights/:

    expected.safetensors    the values of all variants below, in f32 and without views
    *.bin                   the same tensors as torch.save writes them, in its two formats and in every
                            type: views that are transposed, sliced and shared, Parameters, an empty
                            tensor, a scalar, and a buffer of integers
    bert/                   a BertModel of random weights with its config.json, as model.safetensors and as
                            two shards with their index, one shard in each format of torch.save
    refused/                what is not a dictionary of plain tensors, or would call something; each named
                            after what is wrong

and the seeds of the fuzz target to fuzz/seeds/pytorch/.
"""

import io
import json
import os
import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

SEED = 20210418
ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "simcse-model" / "tests" / "weights"
SEEDS = ROOT / "fuzz" / "seeds" / "pytorch"


def tensors(dtype):
    """A state dict whose values are the same in every type."""
    values = torch.arange(12, dtype=torch.float32).sub(5.5).to(dtype)
    matrix = values.reshape(3, 4)
    state = OrderedDict()
    state["whole"] = matrix
    state["shared"] = matrix
    state["transposed"] = matrix.t()
    state["sliced"] = matrix[1:, ::2]
    state["row"] = matrix[1]
    state["column"] = matrix[:, 3]
    state["cube"] = values.reshape(2, 3, 2).permute(2, 0, 1)
    state["parameter"] = torch.nn.Parameter(torch.tensor([0.5, -0.25, 3.0], dtype=dtype))
    state["scalar"] = torch.tensor(1.5, dtype=dtype)
    state["empty"] = torch.zeros(0, 3, dtype=dtype)
    state["position_ids"] = torch.arange(4).expand((1, -1))
    state["backward_ids"] = torch.arange(6).reshape(2, 3).t()
    # As in the state dict of a module.
    state._metadata = OrderedDict([("", {"version": 1})])
    return state


def save(state, name, zip_format=True):
    torch.save(state, OUTPUT / name, _use_new_zipfile_serialization=zip_format)


def bert():
    torch.manual_seed(SEED)
    config = BertConfig(vocab_size=8, hidden_size=4, num_hidden_layers=1, num_attention_heads=2, intermediate_size=4,
                        max_position_embeddings=12, initializer_range=0.5, pad_token_id=0)
    model = BertModel(config, add_pooling_layer=False)
    folder = OUTPUT / "bert"
    model.save_pretrained(folder)
    os.remove(folder / "model.safetensors")
    state = model.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors",
              metadata={"format": "pt"})
    names = list(state)
    shards = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map = {}
    for i, shard in enumerate(shards):
        file = f"pytorch_model-0000{i + 1}-of-00002.bin"
        save({name: state[name] for name in shard}, f"bert/{file}", zip_format=i == 0)
        weight_map |= {name: file for name in shard}
    size = sum(tensor.nelement() * tensor.element_size() for tensor in state.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


class Call:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def refused():
    folder = OUTPUT / "refused"
    folder.mkdir()
    state = tensors(torch.float32)
    torch.save({**state, "evil": Call(os.system, "true")}, folder / "system.bin")
    torch.save({**state, "evil": Call(eval, "1")}, folder / "eval.bin")
    torch.save(torch.nn.Linear(1, 1), folder / "module.bin")
    torch.save({"a": torch.ones(2).to_sparse()}, folder / "sparse.bin")
    torch.save({"a": torch.ones(2, dtype=torch.complex64)}, folder / "complex.bin")
    torch.save({"a": torch.ones(2), "epoch": 3}, folder / "number.bin")
    torch.save({"a": torch.ones(1).expand(4)}, folder / "expanded.bin")
    torch.save([torch.ones(2)], folder / "list.bin")
    torch.save({"a": torch.ones(2)}, folder / "protocol.bin", pickle_protocol=4)
    torch.save({"a": torch.tensor([1.0, float("nan")])}, folder / "nan.bin")
    (folder / "pickle.bin").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    # An archive that was packed again, with compression, and one from a big-endian machine.
    plain = io.BytesIO()
    torch.save({"a": torch.ones(64)}, plain)
    for name, method, order in [("compressed", zipfile.ZIP_DEFLATED, None), ("big_endian", zipfile.ZIP_STORED, b"big")]:
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(folder / f"{name}.bin", "w", method) as target:
            for entry in source.namelist():
                target.writestr(zipfile.ZipInfo(entry), order if order and entry.endswith("byteorder") else source.read(entry),
                                method)


def seeds():
    """The seeds of the fuzz target, with names as short as can be."""
    matrix = torch.arange(6.0).reshape(2, 3)
    state = {"w": torch.ones(2, dtype=torch.float16), "t": matrix.t(), "s": torch.nn.Parameter(matrix[:, ::2]),
             "h": torch.tensor(2.0, dtype=torch.float64), "i": torch.arange(2)}
    torch.save(state, SEEDS / "archive")
    torch.save(state, SEEDS / "old", _use_new_zipfile_serialization=False)


def main():
    shutil.rmtree(OUTPUT, ignore_errors=True)
    (OUTPUT / "bert").mkdir(parents=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors(torch.float32).items()},
              OUTPUT / "expected.safetensors")
    save(tensors(torch.float32), "archive.bin")
    save(dict(tensors(torch.float32)), "old.bin", zip_format=False)
    save(tensors(torch.float16), "f16.bin")
    save(tensors(torch.bfloat16), "bf16.bin")
    save(tensors(torch.float64), "f64_old.bin", zip_format=False)
    bert()
    refused()
    seeds()
    print(f"torch {torch.__version__}:", sum(file.stat().st_size for file in OUTPUT.rglob("*.*")), "bytes")


if __name__ == "__main__":
    main()
