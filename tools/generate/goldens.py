#!/usr/bin/env python3
"""Compute with PyTorch what `simcse-train/tests/pytorch.rs` compares with.

    python3 tools/generate/goldens.py [NAME...]
        write simcse-train/tests/goldens/{bert,roberta,distilbert,electra,mpnet,modernbert}
    python3 tools/generate/goldens.py --live MODEL_DIR... --out DIR
        do the same for models on disk, into DIR/<name of the model>; to compare with them:
        SIMCSE_GOLDENS=DIR cargo test -p simcse-train --test pytorch -- --nocapture

Needs torch, transformers, sentence-transformers, safetensors and numpy. The encoders come from
transformers, pooling and loss from sentence-transformers, clipping and AdamW from PyTorch, the
schedule from transformers; everything is computed in f64. Each golden directory holds a model and

    golden.json          batches of token ids, settings, losses, and the distance of PyTorch's own
                         f32 from its f64
    golden.safetensors   hidden states, unit embeddings, gradients, and what ten optimizer steps
                         added to the weights

Eight batches are encoded twice without dropout, and twice with the masks that simcse-tensor's
generator defines. The generator is implemented here independently, from its description in
simcse-tensor/src/ops/dropout.rs, and checked against Random123. To keep the files small, an array
of more than WHOLE values is represented by every STRIDE-th of them, starting at its case's number.
"""

import argparse
import json
import platform
from pathlib import Path

import numpy as np
import safetensors.numpy
import sentence_transformers
import torch
import transformers
from sentence_transformers.losses import MultipleNegativesRankingLoss
from sentence_transformers.models import Pooling
from transformers import (AutoConfig, AutoModel, BertConfig, BertTokenizer, DistilBertConfig, ElectraConfig,
                          ModernBertConfig, MPNetConfig, RobertaConfig, get_linear_schedule_with_warmup)
from transformers.models.modernbert import modeling_modernbert

SEED = 20210418
SCALE = 20.0
BATCHES = 8
POOLINGS = ["mean", "cls", "mean", "max"]  # batch b is pooled by POOLINGS[b % 4]
STEPS, WARMUP_RATIO, WEIGHT_DECAY, MAX_GRAD_NORM = 10, 0.2, 0.01, 1.0
WHOLE, STRIDE = 128, 37
CLS, SEP, FIRST_WORD = 101, 102, 5  # of BERT and its kind; RoBERTa and its kind have 0 and 2
OUTPUT = Path(__file__).resolve().parents[2] / "simcse-train" / "tests" / "goldens"

VOCABULARY, LONGEST = 103, 24
# Tokens of the longest sentence, sentences per batch, and the share of words that a sentence has in
# an order of its own. A pretrained model tells sentences apart so well that only similar ones have
# a loss whose gradient is more than rounding error.
SMALL, LIVE = dict(longest=LONGEST, size=8, own=0.4), dict(longest=8, size=8, own=0.1)
SIZES = dict(vocab_size=VOCABULARY, initializer_range=0.02)
BERT = dict(SIZES, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
            hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.15)
SMALL_MODELS = {
    "bert": BertConfig(**BERT, max_position_embeddings=LONGEST),
    "roberta": RobertaConfig(**BERT, max_position_embeddings=LONGEST + 2, type_vocab_size=1, layer_norm_eps=1e-5,
                             pad_token_id=1, bos_token_id=0, eos_token_id=2),
    "distilbert": DistilBertConfig(**SIZES, dim=64, n_layers=2, n_heads=4, hidden_dim=128, dropout=0.1,
                                   attention_dropout=0.15, max_position_embeddings=LONGEST),
    "electra": ElectraConfig(**BERT, embedding_size=40, max_position_embeddings=LONGEST),
    "mpnet": MPNetConfig(**BERT, max_position_embeddings=LONGEST + 2, layer_norm_eps=1e-5),
    # A layer that sees whole sentences, and one that sees four tokens on either side.
    "modernbert": ModernBertConfig(**SIZES, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                                   intermediate_size=96, embedding_dropout=0.1, mlp_dropout=0.1,
                                   attention_dropout=0.15, global_attn_every_n_layers=2, local_attention=8,
                                   max_position_embeddings=LONGEST, pad_token_id=0, bos_token_id=CLS, cls_token_id=CLS,
                                   eos_token_id=SEP, sep_token_id=SEP),
}
# Where a configuration has the rates of dropout, if not where BERT has them.
RATES = {"distilbert": ("dropout", "attention_dropout"), "modernbert": ("mlp_dropout", "attention_dropout")}


# Dropout masks: see simcse-tensor/src/{rng,ops/dropout}.rs and simcse-model/src/encoder/dropout.rs.

def philox(counter, seed):
    """Philox4x32-10: maps four broadcast arrays of 32-bit words to four such arrays, all stored as
    uint64."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (np.asarray(word, dtype=np.uint64) for word in counter)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = p1 >> 32 ^ c1 ^ np.uint64(k0), p1 & low, p0 >> 32 ^ c3 ^ np.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1, c2, c3


def check_philox():
    """Check the known-answer vectors of Random123's kat_vectors for philox4x32 with 10 rounds."""
    ones = 0xFFFFFFFF
    pi = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    for counter, key, expected in [
        ([0] * 4, [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([ones] * 4, [ones, ones], [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (pi, [0xA4093822, 0x299F31D0], [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ]:
        assert [int(word) for word in philox(counter, key[0] | key[1] << 32)] == expected


def mask(rate, step, site, stream, position, width):
    """Return `width` columns of 0 or 1/(1 − rate); the arrays `stream` and `position` broadcast
    against the columns."""
    column = np.arange(width)
    group, sixteenth, lane = column // 128, column % 128 // 16, column % 16
    words = np.stack(np.broadcast_arrays(*philox([16 * group + lane, stream, site << 16 | position, step], SEED)))
    word = np.take_along_axis(words, np.broadcast_to(sixteenth // 2, words.shape[1:])[None], axis=0)[0]
    bits = word >> (16 * (sixteenth % 2)).astype(np.uint64) & np.uint64(0xFFFF)
    return (bits >= round(65536 * rate)) / (1 - rate)


class Dropout:
    """Replaces `torch.nn.functional.dropout` during one forward pass, in which the model calls it
    at one site after another."""

    def __init__(self, config, lengths, step):
        layers = range(config.num_hidden_layers)
        per_layer = [1, 3] if config.model_type == "distilbert" else [1, 2, 3]
        self.sites = iter([0] + [3 * layer + site for layer in layers for site in per_layer])
        self.windows = [config.sliding_window if kind == "sliding_attention" else None
                        for kind in getattr(config, "layer_types", None) or [None] * config.num_hidden_layers]
        self.lengths, self.step = lengths, step
        half = len(lengths) // 2
        self.streams = [2 * i for i in range(half)] + [2 * i + 1 for i in range(half)]

    def __call__(self, x, p=0.5, training=True, inplace=False):
        if not training:
            return x
        site, shape = next(self.sites), tuple(x.shape)
        if len(shape) == 4:  # attention probabilities, (S, H, T, T)
            drawn, heads = np.ones(shape), np.arange(shape[1])[:, None]
            window = self.windows[(site - 1) // 3]
            for sentence, (stream, t) in enumerate(zip(self.streams, self.lengths)):
                columns = t if window is None else min(t, 2 * window + 1)
                rows = mask(p, self.step, site, stream, heads, t * columns).reshape(-1, t, columns)
                if columns == t:
                    drawn[sentence, :, :t, :t] = rows
                else:  # a key's column is its place in the query's window
                    for i, j in ((i, j) for i in range(t) for j in range(t) if abs(i - j) <= window):
                        drawn[sentence, :, i, j] = rows[:, i, j + window - i]
        else:  # (S, T, C)
            streams, positions = np.array(self.streams)[:, None, None], np.arange(shape[1])[:, None]
            drawn = mask(p, self.step, site, streams, positions, shape[2])
        return x * torch.from_numpy(drawn).to(x.dtype)


# ModernBERT in f64: transformers computes rotations and the softmax in f32, whatever the model's type.

def rotate(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return tuple(x * cos + modeling_modernbert.rotate_half(x) * sin for x in (q, k))


def attend(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    scores = query @ key.transpose(2, 3) * scaling + attention_mask
    probabilities = torch.nn.functional.dropout(scores.softmax(-1), p=dropout, training=module.training)
    return (probabilities @ value).transpose(1, 2).contiguous(), probabilities


modeling_modernbert.apply_rotary_pos_emb, modeling_modernbert.eager_attention_forward = rotate, attend


# One training step.

def forward(model, sentences, pooling, step):
    """Encode both views of a batch: return the hidden states of each, the unit embeddings by each
    pooling, and the loss. There is no dropout if `step` is None."""
    views = sentences + sentences
    lengths = [len(ids) for ids in views]
    ids = torch.full((len(views), max(lengths)), model.config.pad_token_id)
    attention_mask = torch.zeros_like(ids)
    for row, sentence in enumerate(views):
        ids[row, : len(sentence)] = torch.tensor(sentence)
        attention_mask[row, : len(sentence)] = 1

    model.train(step is not None)
    functional, dropout = torch.nn.functional, Dropout(model.config, lengths, step)
    original = functional.dropout
    functional.dropout = dropout
    try:
        hidden = model(input_ids=ids, attention_mask=attention_mask).last_hidden_state
    finally:
        functional.dropout = original
    assert step is None or next(dropout.sites, None) is None, "the model has fewer sites than expected"

    features = {"token_embeddings": hidden, "attention_mask": attention_mask}
    embeddings = {mode: Pooling(hidden.shape[2], mode)(dict(features))["sentence_embedding"] for mode in set(POOLINGS)}
    halves = list(embeddings[pooling].split(len(sentences)))
    loss = MultipleNegativesRankingLoss(None, scale=SCALE).compute_loss_from_embeddings(halves, None)
    units = {mode: functional.normalize(rows) for mode, rows in embeddings.items()}
    return torch.cat([hidden[row, :t] for row, t in enumerate(lengths)]), units, loss


def run_case(model, case, number):
    model.zero_grad()
    hidden, units, loss = forward(model, case["sentences"], case["pooling"], case["step"])
    loss.backward()
    arrays = {"hidden": hidden, **{f"unit.{mode}": rows for mode, rows in units.items()}}
    arrays = {name: array.detach().numpy() for name, array in arrays.items()}
    arrays.update({f"gradient.{name}": parameter.grad.numpy() for name, parameter in model.named_parameters()})
    return sampled(arrays, number), loss.item()


def train(model, batches, learning_rate):
    """Train for ten steps with dropout: return what they added to the weights, and each step's
    loss."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    exempt = [name for name in before if name.endswith(".bias") or "norm" in name.lower()]
    groups = [
        {"params": [p for name, p in model.named_parameters() if (name in exempt) == is_exempt], "weight_decay": decay}
        for is_exempt, decay in [(False, WEIGHT_DECAY), (True, 0.0)]
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8)
    schedule = get_linear_schedule_with_warmup(optimizer, int(np.ceil(WARMUP_RATIO * STEPS)), STEPS)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        _, _, loss = forward(model, batches[step % BATCHES], "mean", step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    added = {name: (parameter.detach() - before[name]).numpy() for name, parameter in model.named_parameters()}
    return sampled({f"update.{name}": array for name, array in added.items()}, 0), losses


# Goldens.

def make_batches(config, longest, size, own, rng):
    """Make sentences of different lengths, among them the longest possible, one-word and empty
    ones; every other batch has a padding token inside a text. The sentences share words, or the
    loss would vanish."""
    cls, sep = (0, 2) if config.model_type == "roberta" else (CLS, SEP)
    batches = []
    for batch in range(BATCHES):
        topic = rng.integers(FIRST_WORD, config.vocab_size - 3, longest)  # CLS and SEP are the small models' last
        lengths = [longest - 2, 1, *rng.integers(2, longest - 2, size - 2)]
        if batch == 2:
            lengths[2] = 0
        sentences = []
        for length in lengths:
            body = np.where(rng.random(length) < own, rng.permutation(topic)[:length], topic[:length])
            sentences.append([cls, *body.tolist(), sep])
        if batch % 2 == 1:
            sentences[0][3] = sentences[3][1] = config.pad_token_id
        batches.append(sentences)
    return batches


def sample(array, first):
    flat = array.reshape(-1)
    return (flat if flat.size <= WHOLE else flat[first::STRIDE]).copy()


def sampled(arrays, case):
    return {name: sample(array, case) for name, array in arrays.items()}


def is_key_bias(name):
    """The softmax is invariant to it: its true gradient is 0."""
    return name.endswith(("key.bias", "k_lin.bias", "attn.k.bias"))


def relative_error(got, expected, prefix):
    """Over all arrays under a prefix together: ‖got − expected‖ / ‖expected‖."""
    names = [name for name in expected if name.startswith(prefix) and not is_key_bias(name)]
    square = lambda of: sum(float(np.square(of(name), dtype=np.float64).sum()) for name in names)
    return (square(lambda name: got[name] - expected[name]) / square(lambda name: expected[name])) ** 0.5


def largest_error(got, expected, prefix):
    return max(float(abs(got[name] - expected[name]).max()) for name in expected if name.startswith(prefix))


def compute(model_dir, dtype, cases, learning_rate):
    """Run all cases, then the training: return the arrays and loss of each. Only one model at a
    time is in memory."""
    model = AutoModel.from_pretrained(model_dir, dtype=dtype, attn_implementation="eager")
    if hasattr(model, "pooler"):
        model.pooler = None  # no sentence embedding depends on it
    results = [run_case(model, case, number) for number, case in enumerate(cases)]
    model.zero_grad()
    return results, train(model, [case["sentences"] for case in cases[:BATCHES]], learning_rate)


def write_golden(directory, model_dir, learning_rate, **shape):
    config = AutoConfig.from_pretrained(model_dir)
    batches = make_batches(config, **shape, rng=np.random.default_rng(SEED))
    cases = [{"sentences": batches[number % BATCHES], "pooling": POOLINGS[number % 4],
              "step": number % BATCHES if number >= BATCHES else None} for number in range(2 * BATCHES)]
    f64, (expected_update, losses) = compute(model_dir, torch.float64, cases, learning_rate)
    f32, (update, f32_losses) = compute(model_dir, torch.float32, cases, learning_rate)

    arrays = dict(expected_update)
    for number, (case, (expected, loss), (got, f32_loss)) in enumerate(zip(cases, f64, f32)):
        case["loss"] = loss
        case["torch_f32"] = {
            "hidden": largest_error(got, expected, "hidden"),
            "unit": largest_error(got, expected, "unit"),
            "loss": abs(f32_loss - loss),
            "gradient": relative_error(got, expected, "gradient"),
            "worst_gradient": max(relative_error(got, expected, name) for name in expected
                                  if name.startswith("gradient") and not is_key_bias(name)),
        }
        arrays.update({f"{number}.{name}": array for name, array in expected.items()})
        print(f"{directory.name} case {number}: loss {loss:.6f}, PyTorch f32: "
              + ", ".join(f"{name} {error:.1e}" for name, error in case["torch_f32"].items()), flush=True)
    made_by = (f"tools/generate/goldens.py, seed {SEED}, Python {platform.python_version()}, torch {torch.__version__}, "
               f"transformers {transformers.__version__}, sentence-transformers {sentence_transformers.__version__}, "
               f"numpy {np.__version__}")
    hidden, attention = RATES.get(config.model_type, ("hidden_dropout_prob", "attention_probs_dropout_prob"))
    golden = {
        "made_by": made_by,
        "model": "." if model_dir == directory else str(model_dir.resolve()),
        "scale": SCALE, "whole": WHOLE, "stride": STRIDE,
        "dropout": {"hidden": getattr(config, hidden), "attention": getattr(config, attention), "seed": SEED},
        "training": {
            "learning_rate": learning_rate, "warmup_ratio": WARMUP_RATIO, "weight_decay": WEIGHT_DECAY,
            "max_grad_norm": MAX_GRAD_NORM, "losses": losses,
            "torch_f32": {"loss": max(abs(a - b) for a, b in zip(losses, f32_losses)),
                          "update": relative_error(update, expected_update, "update"),
                          "worst_update": max(relative_error(update, expected_update, name)
                                              for name in expected_update if not is_key_bias(name))},
        },
        "cases": cases,
    }
    print(f"{directory.name} training: losses {losses[0]:.6f} to {losses[-1]:.6f}, {golden['training']['torch_f32']}")
    text = json.dumps(golden, indent=1)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "golden.json").write_text(text + "\n")
    arrays = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}
    safetensors.numpy.save_file(arrays, directory / "golden.safetensors", metadata={"made_by": made_by})


def make_small_model(directory, config):
    """Make weights so large, and embeddings so small, that every mistake that
    tools/mutants/numerics.sh plants is noticed."""
    torch.manual_seed(SEED)
    model = AutoModel.from_config(config)
    if hasattr(model, "pooler"):
        model.pooler = None
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name.lower() and name.endswith("weight"):
                parameter.normal_(1.0, 0.2)
            elif name.startswith("embeddings.") and parameter.ndim == 2:
                parameter.normal_(0.0, 0.02)
            else:
                parameter.normal_(0.0, 0.15 if parameter.ndim == 2 else 0.3)
    model.save_pretrained(directory)
    words = {0: "[PAD]", 1: "[UNK]", 2: "[MASK]", CLS: "[CLS]", SEP: "[SEP]"}
    words = [words.get(i, f"word{i}") for i in range(config.vocab_size)]
    if config.model_type == "modernbert":  # it has no tokenizer but the one in tokenizer.json
        BertTokenizer(vocab={word: i for i, word in enumerate(words)}).save_pretrained(directory)
        return
    (directory / "vocab.txt").write_text("".join(word + "\n" for word in words))
    # A WordPiece vocabulary, even if the model type implies another tokenizer.
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("models", nargs="*", metavar="NAME", help="write these small models only")
    parser.add_argument("--live", nargs="+", type=Path, metavar="MODEL_DIR", help="compute the same for these models")
    parser.add_argument("--out", type=Path, help="where --live writes")
    arguments = parser.parse_args()
    if not arguments.live:
        torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    check_philox()
    if arguments.live:
        assert arguments.out, "--live needs --out"
        for model_dir in arguments.live:
            write_golden(arguments.out / model_dir.name, model_dir, 5e-5, **LIVE)
        return
    for name in arguments.models or SMALL_MODELS:
        config = SMALL_MODELS[name]
        make_small_model(OUTPUT / name, config)
        write_golden(OUTPUT / name, OUTPUT / name, 1e-3, **SMALL)


if __name__ == "__main__":
    main()
