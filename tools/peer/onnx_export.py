"""Checks that ONNX Runtime computes from what `simcse export` writes what `simcse encode` computes.

    onnx_export.py PROGRAM SENTENCES OUT PEER_PYTHON MODEL_DIR...

Every model is exported, and so is the first one with every mode of pooling, a mix of layers and the
layer of SimCSE's authors, a prompt, and a prompt that is not pooled. `onnx` checks each graph. Then
sentence-transformers encodes titles, an empty text and one longer than the model takes, in padded
batches, with the graph in place of PyTorch, twice:

- as `SentenceTransformer(directory, backend="onnx")` of the environment that runs this script: the
  newest version whose requirements optimum-onnx meets;
- with the version of PEER_PYTHON, whose own loader of graphs needs an optimum-onnx that does not
  exist yet (0.1.0 needs transformers 4, sentence-transformers 6 needs 5). In place of it, a class
  does what `ORTModelForFeatureExtraction` does; everything else is the version's own.

The first skips the families whose tokenizers here were saved by transformers 5 in a form that 4 does
not read, or reads in another way.

Fails if unit vectors, or norms in proportion, differ by more than 1e-5.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
LIMIT = 1e-5
TITLES = 100
FAMILIES_OF_5 = ["camembert", "modernbert", "xlm-roberta"]
VARIANTS = [
    "--pooling cls",
    "--pooling max",
    "--pooling mean_sqrt_len_tokens",
    "--pooling weightedmean",
    "--pooling lasttoken",
    "--pooled-layers avg_first_last --pooling cls --mlp always",
    "--pooled-layers avg_top2 --word-weights idf",
]


def run(*arguments):
    done = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arguments}: {done.stderr}")


def change(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def export(program, model, texts, directory, prompt=()):
    """Exports a model and encodes the texts with it; returns what `compare` needs."""
    import onnx

    run(program, "export", "--model", model, "--format", "onnx", "--output", directory)
    onnx.checker.check_model(str(directory / "onnx" / "model.onnx"), full_check=True)
    ours = directory.with_suffix(".npy")
    run(program, "encode", texts, "--model", model, "--output", ours, *prompt)
    return {"directory": str(directory), "ours": str(ours), "prompt": prompt[-1] if prompt else None}


def variants(program, base, sentences, texts, out):
    """The base model as training leaves it, with all that may follow an encoder."""
    for number, options in enumerate(VARIANTS):
        model = out / f"trained-{number}"
        run(program, "train", sentences, "--model", base, *options.split(), "--max-steps", 2, "--batch-size", 8,
            "--output-dir", model)
        yield export(program, model, texts, out / options.replace("--", "").replace(" ", "_"))
        shutil.rmtree(model)
    for options, suffix in [((), ""), (("--word-weights", "idf"), "_weighted")]:
        model = out / "prompted"
        run(program, "train", sentences, "--model", base, *options, "--max-steps", 2, "--batch-size", 8,
            "--output-dir", model)
        change(model / "config_sentence_transformers.json", prompts={"query": "how to search: "})
        for include in [True, False]:
            change(next(model.glob("?_Pooling")) / "config.json", include_prompt=include)
            directory = out / (("prompt" if include else "prompt_not_pooled") + suffix)
            yield export(program, model, texts, directory, ("--prompt-name", "query"))
        shutil.rmtree(model)


def compare(texts, cases):
    """Encodes with this process's sentence-transformers, and compares with what we computed."""
    import numpy as np
    import sentence_transformers
    import transformers

    lines = Path(texts).read_text(encoding="utf8").split("\n")[:-1]
    versions = f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}"
    print(f"{versions}:", flush=True)
    for case in cases:
        family = json.loads((Path(case["directory"]) / "config.json").read_text())["model_type"]
        if transformers.__version__.startswith("4.") and family in FAMILIES_OF_5:
            continue
        model = sentence_transformers.SentenceTransformer(case["directory"], backend="onnx", device="cpu")
        theirs = model.encode(lines, batch_size=8, prompt_name=case["prompt"]).astype(np.float64)
        ours = np.load(case["ours"]).astype(np.float64)
        assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
        of_ours, of_theirs = (np.linalg.norm(x, axis=1, keepdims=True) for x in (ours, theirs))
        units = np.abs(ours / of_ours - theirs / of_theirs).max()
        norms = np.abs(of_ours / of_theirs - 1).max()
        name = Path(case["directory"]).name
        print(f"  {name:45} unit vectors differ by at most {units:.1e}, norms by {norms:.1e} relative", flush=True)
        if not max(units, norms) <= LIMIT:
            sys.exit(f"{name}: more than {LIMIT}")


def load_graph(model_name_or_path, config, task_name, **_):
    """sentence-transformers' `load_onnx_model`, with the forward of optimum's `ORTModel`."""
    import onnxruntime
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            path = Path(model_name_or_path) / "onnx" / "model.onnx"
            self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            self.config = config

        def forward(self, input_ids=None, attention_mask=None, token_type_ids=None, **_):
            given = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
            names = [value.name for value in self.session.get_inputs()]
            zeros = torch.zeros_like(input_ids)
            values = {name: (zeros if given[name] is None else given[name]).numpy() for name in names}
            [state] = self.session.run(["last_hidden_state"], values)
            return BaseModelOutput(last_hidden_state=torch.from_numpy(state))

    assert task_name == "feature-extraction", task_name
    return Model()


def main():
    if sys.argv[1] == "--compare":
        _, _, loader, texts, cases = sys.argv
        if loader == "ours":
            from sentence_transformers.base.modules import transformer

            transformer.load_onnx_model = load_graph
        return compare(texts, json.loads(Path(cases).read_text()))
    program, sentences, out, python, *models = sys.argv[1:]
    out = Path(out)
    out.mkdir()
    titles = Path(sentences).read_text(encoding="utf8").split("\n")
    long = " ".join(title.strip() for title in titles[:70])
    texts = out / "texts.txt"
    texts.write_text("\n".join([*titles[:TITLES], "", long, ""]), encoding="utf8")
    few = out / "sentences.txt"
    few.write_text("\n".join(titles[:500]), encoding="utf8")
    cases = [export(program, model, texts, out / Path(model).name) for model in models]
    cases += variants(program, models[0], few, texts, out)
    listed = out / "cases.json"
    listed.write_text(json.dumps(cases))
    # The peer's packages come first, and ONNX Runtime is found behind them.
    find = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([python, "-c", find], check=True, capture_output=True, text=True).stdout.strip()
    for loader, path in [("theirs", ""), ("ours", packages)]:
        arguments = [sys.executable, __file__, "--compare", loader, texts, listed]
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(arguments, env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(done.stderr)


if __name__ == "__main__":
    main()
