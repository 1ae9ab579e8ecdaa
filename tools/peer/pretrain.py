"""Masked language modeling with transformers on the CPU: print the median step time, sentences per
second and the losses as one line of JSON.

    pretrain.py MODEL_DIR SENTENCES.txt [--steps N] [--bf16]

The model is transformers' `AutoModelForMaskedLM`, the masks are those of
`DataCollatorForLanguageModeling`, batches are padded to their longest sentence, and the optimizer is
AdamW. `simcse bench SENTENCES.txt --model MODEL_DIR --objective mlm --mlm-weight 1` measures the same
step here. Needs torch and transformers.
"""
import argparse
import json
import os
import statistics
import time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, DataCollatorForLanguageModeling

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("sentences")
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--max-seq-length", type=int, default=32)
parser.add_argument("--learning-rate", type=float, default=5e-5)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--bf16", action="store_true")
parser.add_argument("--seed", type=int, default=42)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
model = AutoModelForMaskedLM.from_pretrained(args.model, dtype=torch.float32).train()
tokenizer = AutoTokenizer.from_pretrained(args.model)
collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
sentences = [line.strip() for line in open(args.sentences, encoding="utf8") if len(line.strip()) >= 10]

seconds, losses = [], []
for step in range(args.steps + 1):
    texts = sentences[step * args.batch_size : (step + 1) * args.batch_size]
    started = time.perf_counter()
    encoded = tokenizer(texts, truncation=True, max_length=args.max_seq_length, return_special_tokens_mask=True)
    batch = collate([dict(zip(encoded, values)) for values in zip(*encoded.values())])
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16):
        loss = model(**batch).loss
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if step:  # the first one warms up
        seconds.append(time.perf_counter() - started)
        losses.append(loss.item())
median = statistics.median(seconds)
print(json.dumps({"step_seconds": median, "sentences_per_second": args.batch_size / median, "losses": losses}))
