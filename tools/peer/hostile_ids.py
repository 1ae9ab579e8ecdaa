"""Tokenize hostile texts with transformers, for `simcse-model/tests/reference.rs` to compare with.

    hostile_ids.py OUT_DIR MODEL_DIR...

writes OUT_DIR/<model>.jsonl with lines of {"tokenizer", "text", "ids"}. To compare with them:

    SIMCSE_HOSTILE_IDS=OUT_DIR cargo test -p simcse-model --test reference
"""
import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
from transformers import AutoTokenizer

TEXTS = Path(__file__).resolve().parents[2] / "simcse-model" / "tests" / "hostile_texts.json"
MAX_LENGTH = 128

hostile = json.loads(TEXTS.read_text(encoding="utf8"))
texts = hostile["texts"] + [word * 10_000 for word in hostile["repeated"]]
out, *models = map(Path, sys.argv[1:])
out.mkdir(parents=True, exist_ok=True)
for model in models:
    tokenizer = AutoTokenizer.from_pretrained(model)
    with open(out / f"{model.name}.jsonl", "w", encoding="utf8") as file:
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]
            file.write(json.dumps({"tokenizer": str(model.resolve()), "text": text, "ids": ids}) + "\n")
    print(f"{model.name}: {len(texts)} texts by {type(tokenizer).__name__}")
