"""Model directories with every combination of tokenizer settings, and what the peer makes of them.

    tokenizer_cases.py make OUT_DIR [COUNT] [SEED]     writes OUT_DIR/<case>/ and OUT_DIR/<case>/expected.json
    SIMCSE_TOKENIZER_CASES=OUT_DIR cargo test -p simcse-model --test tokenizer_cases
    tokenizer_cases.py check OUT_DIR                   checks that the peer encodes alike with OUT_DIR/<case>/written

The test compares token ids and embeddings, and writes each model that it can load to `written`. Each case is a function of
its number and the seed. Run with the peer's Python.
"""
import json
import os
import random
import sys
import warnings
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="critical", TOKENIZERS_PARALLELISM="false")
warnings.filterwarnings("ignore")
import logging

logging.disable(logging.CRITICAL)
import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from tokenizer_files import (ALBERT_ROLES, ALBERT_SPECIAL, BERT_ROLES, BERT_SPECIAL, LETTERS, MORE, MPNET_ROLES, MPNET_SPECIAL,
                             NOT_USED, ROBERTA_ROLES, ROBERTA_SPECIAL, WORDS, added, bpe, dump, of_bytes, of_characters,
                             of_modern_bytes, of_pieces, of_words, template, unigram, word_pieces)

HOSTILE = json.loads((Path(__file__).resolve().parents[2] / "simcse-model/tests/hostile_texts.json").read_text("utf8"))
BACKENDS = ["PreTrainedTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer"]
CLASSES = {
    "words": ["BertTokenizer"] * 4 + ["BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizerFast", None, None],
    "mpnet": ["MPNetTokenizer", "MPNetTokenizerFast"],
    "bytes": ["RobertaTokenizer"] * 4 + ["RobertaTokenizerFast", "BartTokenizer", "LongformerTokenizerFast", None],
    "modern": BACKENDS,
    "pieces": ["XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "CamembertTokenizer", "CamembertTokenizerFast"],
    "albert": ["AlbertTokenizer", "AlbertTokenizerFast"],
    "characters": ["HerbertTokenizer", "HerbertTokenizerFast"],
}
SPECIAL = {"words": BERT_SPECIAL, "mpnet": MPNET_SPECIAL, "modern": BERT_SPECIAL, "albert": ALBERT_SPECIAL}
NAMED = {"words": BERT_ROLES, "mpnet": MPNET_ROLES, "modern": BERT_ROLES, "albert": ALBERT_ROLES}
PERCENT = {"words": 35, "mpnet": 10, "bytes": 18, "modern": 5, "pieces": 16, "albert": 8, "characters": 8}
FOREIGN = ["BertJapaneseTokenizer", "FooTokenizer", "T5Tokenizer", "BertweetTokenizer", "BertTokenizer", "RobertaTokenizer"]
NEW_TOKENS = ["[NEW]", "New York", "[unused0]", "FOO", "foo", "wifi", "日本", "<ent>", "café", "the", "fi", " how ", ""]
POSITIONS = 40


class Case:
    """One directory, all of whose choices come from `rng`."""

    def __init__(self, number, seed):
        self.rng = rng = random.Random(f"{seed} {number}")
        self.family = rng.choices(list(PERCENT), list(PERCENT.values()))[0]
        self.roles, self.special = NAMED.get(self.family, ROBERTA_ROLES), SPECIAL.get(self.family, ROBERTA_SPECIAL)
        self.config, self.tokenizer_config, self.files = {}, {}, {}
        self.make_vocabulary()
        self.choose_class()
        self.name_tokens()
        self.add_tokens()
        self.edit_tokenizer_json()
        self.choose_settings()
        self.make_model()

    def maybe(self, percent):
        return self.rng.random() < percent / 100

    def put(self, percent, field, *values):
        """Sets a field of tokenizer_config.json to one of `values`, in that many percent of the cases."""
        if self.maybe(percent):
            self.tokenizer_config[field] = self.rng.choice(values)

    def make_vocabulary(self):
        rng = self.rng
        if self.family in ["words", "mpnet"]:
            words = word_pieces(rng, self.special)
            self.ids, self.json = {w: i for i, w in enumerate(words)}, of_words(words, rng, self.roles)
            if self.maybe(5):
                words.remove(rng.choice(self.special))
            if self.maybe(5):
                words.insert(rng.randrange(10, 50), rng.choice(words))
            end = "\r\n" if self.maybe(10) else "\n"
            text = end.join(w + (" " if self.maybe(1) else "") for w in words) + rng.choice(["", end, end, end, end * 2])
            self.vocabulary = {"vocab.txt": text}
        elif self.family in ["pieces", "albert"]:
            pieces = unigram(rng, self.special)
            self.ids, self.json = {p: i for i, (p, _) in enumerate(pieces)}, of_pieces(pieces, rng, self.roles)
            self.vocabulary = {}
        else:
            make, suffix = {"bytes": (of_bytes, ""), "modern": (of_modern_bytes, "")}.get(self.family, (of_characters, "</w>"))
            self.ids, merges = bpe(rng, self.special, suffix)
            self.json = make(self.ids, merges, rng)
            lines = (["#version: 0.2"] if self.maybe(70) else []) + merges
            if self.maybe(4):
                lines.insert(rng.randrange(len(lines)), rng.choice(["", "a b c", "# comment", "h  o"]))
            end = "\r\n" if self.maybe(10) else "\n"
            self.vocabulary = {"vocab.json": self.ids, "merges.txt": end.join(lines) + rng.choice(["", end])}

    def choose_class(self):
        rng = self.rng
        self.architecture = rng.choices(["bert", "roberta", "distilbert"], [15, 80, 5] if self.family == "bytes" else [70, 15, 15])[0]
        name = rng.choice(CLASSES[self.family] if self.maybe(70) else BACKENDS)
        if self.maybe(4):
            name = rng.choice(FOREIGN)
        place = rng.choices(["tokenizer", "model", "both"], [85, 10, 5])[0]
        if name and place != "model":
            self.tokenizer_config["tokenizer_class"] = name
        if name and place != "tokenizer":
            self.config["tokenizer_class"] = name if place == "model" else rng.choice(BACKENDS + FOREIGN)
        self.is_backend = name in BACKENDS
        self.has_json = not self.vocabulary or self.maybe(97 if self.is_backend else 65)
        if not self.has_json or self.maybe(30):
            self.files.update(self.vocabulary)

    def token(self, content, **flags):
        """An AddedToken as tokenizer_config.json spells it."""
        if self.maybe(5):
            return {"content": content, "lstrip": True}
        flags = flags or {flag: self.maybe(25) for flag in ["lstrip", "rstrip", "normalized", "single_word"] if self.maybe(80)}
        return {"__type": "AddedToken", "content": content, **flags}

    def name_tokens(self):
        rng = self.rng
        how = rng.choices(["none", "strings", "objects", "renamed"], [30, 45, 10, 15])[0]
        if how == "none" and self.is_backend and self.maybe(85):
            how = "strings"
        for role, content in self.roles.items() if how != "none" else ():
            if how == "renamed" and self.maybe(30):
                content = rng.choice(["[CLS2]", "[SEP]", "<s>", "<new>", "a", "[NEW]", "x y", "é:0", content])
            self.tokenizer_config[role] = self.token(content) if how == "objects" else content
        if self.maybe(4):
            self.tokenizer_config[rng.choice(list(self.roles))] = rng.choice([None, 5, ""])

    def new_tokens(self):
        return self.rng.sample(NEW_TOKENS, self.rng.randint(1, 4))

    def add_tokens(self):
        rng, flag = self.rng, lambda percent: self.maybe(percent)
        next_id = max(self.ids.values()) + 1
        flags = lambda: dict(single_word=flag(20), lstrip=flag(25), rstrip=flag(20), normalized=flag(50), special=flag(40))
        if flag(30):
            for i, content in enumerate(self.new_tokens()):
                self.json["added_tokens"].append(added(content, self.ids.get(content, next_id + i), **flags()))
        if flag(25):
            tokens = {} if flag(30) else {self.ids[t]: t for t in self.roles.values() if t in self.ids}
            tokens = {i: {k: v for k, v in added(t, 0, lstrip=flag(10)).items() if k != "id"} for i, t in tokens.items()}
            for i, content in enumerate(self.new_tokens() if flag(60) else []):
                tokens[next_id + i] = {"content": content, **flags()}
            self.tokenizer_config["added_tokens_decoder"] = {str(i): token for i, token in tokens.items()}
        if flag(20):
            fresh = [t for t in self.new_tokens() if t not in self.ids]
            places = rng.sample(range(next_id, next_id + 2 * len(fresh) + 1), len(fresh))
            self.files["added_tokens.json"] = dict(zip(fresh, places))
        if flag(25):
            plain = {role: rng.choice([t, t, t, "[CLS2]", "<new>"]) for role, t in self.roles.items() if flag(80)}
            objects = {r: {"content": t, "lstrip": flag(30), "normalized": flag(30), "rstrip": False, "single_word": False}
                       for r, t in plain.items()}
            self.files["special_tokens_map.json"] = rng.choice([plain, objects])
            if flag(25):
                name = rng.choice(["additional_special_tokens", "extra_special_tokens"])
                self.files["special_tokens_map.json"][name] = [rng.choice([t, t, {"content": t}]) for t in self.new_tokens()]
            if flag(3):
                self.files["special_tokens_map.json"]["do_lower_case"] = False
        extra = [self.token(t) if flag(20) else t for t in self.new_tokens()]
        self.put(12, "additional_special_tokens", extra, None, [])
        self.put(8, "extra_special_tokens", extra, {"image_token": "[NEW]", "own": "<ent>"}, [], None)
        self.put(6, "own_token", "<ent>", "the", self.token("wifi"), None, True)

    def edit_tokenizer_json(self):
        rng, j = self.rng, self.json
        cls, sep = self.roles["cls_token"], self.roles["sep_token"]
        if self.maybe(15):
            j["post_processor"] = None
        elif self.maybe(10):
            bert = {"type": "BertProcessing", "sep": [sep, self.ids[sep]], "cls": [cls, self.ids[cls]]}
            level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
            pair = {"type": "Sequence", "processors": [level, template(cls, sep, self.ids)]}
            j["post_processor"] = rng.choice([bert, pair, template(cls, sep, self.ids, kind=1), level])
        if self.maybe(15):
            j["truncation"] = {"direction": rng.choice(["Right", "Left"]), "max_length": rng.choice([0, 1, 4, 8]),
                               "strategy": "LongestFirst", "stride": rng.choice([0, 0, 0, 3])}
        if self.maybe(15):
            j["padding"] = {"strategy": rng.choice(["BatchLongest", {"Fixed": 16}]), "pad_to_multiple_of": rng.choice([None, 8]),
                            "direction": "Left" if self.maybe(10) else "Right", "pad_id": 3, "pad_type_id": 0,
                            "pad_token": rng.choice(["[PAD]", "<pad>"])}
        if self.maybe(10):
            lower, nfd = {"type": "Lowercase"}, {"type": "NFD"}
            j["normalizer"] = rng.choice([None, lower, {"type": "Sequence", "normalizers": [nfd, lower]}, {"type": "NFKC"}])
        if self.maybe(5) and self.family not in ["pieces", "albert"]:
            j["model"].pop("type")
        if self.maybe(2):
            j.pop("added_tokens")
        if self.maybe(3):
            j["added_tokens"] = []
        if self.maybe(3) and "dropout" in j["model"]:
            j["model"]["dropout"] = 0.5
        if self.maybe(3):
            j["pre_tokenizer"] = {"type": "Whitespace"}
        elif self.maybe(8):
            regex = rng.choice([r"\p{L}+|[^\s\p{L}]+", r"\d", r"(?=\p{Lu})", r"\w+|[^\w\s]+", r"[[:punct:]]", r"\s+(?!\S)|\s+"])
            split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": rng.choice(["Isolated", "Removed"]), "invert": False}
            j["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, j["pre_tokenizer"]]}
        if self.has_json:
            self.files["tokenizer.json"] = j

    def choose_settings(self):
        self.put(45, "do_lower_case", True, False, False, None if self.maybe(5) else True)
        self.put(25, "strip_accents", True, False, None)
        self.put(25, "tokenize_chinese_chars", True, False, False)
        self.put(30, "add_prefix_space", True, True, False, None if self.maybe(10) else False)
        self.put(20, "keep_accents", True, False, None)
        self.put(10, "trim_offsets", True, False)
        self.put(20, "truncation_side", "left", "left", "right", None if self.maybe(10) else "left")
        self.put(4, "padding_side", "right", "left", "right")
        self.put(60, "model_max_length", 10, 24, 512, 1000000000000000019884624838656, None)
        self.put(5, "max_len", 12, 512)
        self.put(8, "split_special_tokens", True, False)
        self.put(8, "model_input_names", ["input_ids", "attention_mask"], ["input_ids", "token_type_ids", "attention_mask"],
                 ["input_ids"])
        self.put(15, "never_split", None, ["wifi"])
        self.put(15, "do_basic_tokenize", True, False)
        self.put(15, "clean_up_tokenization_spaces", True, False)
        self.put(15, "special_tokens_map_file", "/nowhere/special_tokens_map.json")
        self.put(10, "name_or_path", "bert-base-uncased")
        self.put(4, "init_inputs", [], [], [], ["x"])
        self.put(1, "auto_map", {"AutoTokenizer": ["tokenization.X", None]})
        self.put(1, "chat_template", "{{ messages[0].content }}!", None)
        self.put(1, "processor_class", "WhisperProcessor")
        self.put(1, "fast_tokenizer_files", ["tokenizer.4.0.0.json", "tokenizer.json"])
        self.put(1, "vocab", {"a": 0})
        if self.tokenizer_config or self.maybe(50):
            self.files["tokenizer_config.json"] = self.tokenizer_config

    def make_model(self):
        rng = self.rng
        rows = max(1, max(self.ids.values()) + 1 + rng.choice([0, 0, 0, 12, 12, 12, -2]))
        names = ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"]
        if self.architecture == "distilbert":
            names = ["dim", "n_layers", "n_heads", "hidden_dim"]
        roberta = self.architecture == "roberta"
        pad = self.ids.get(self.roles["pad_token"], 0)
        self.config.update(dict(zip(names, [8, 1, 2, 8])), model_type=self.architecture, vocab_size=rows, type_vocab_size=2,
                           pad_token_id=pad, max_position_embeddings=POSITIONS + (pad + 1 if roberta else 0))
        self.files["config.json"] = self.config
        if self.maybe(1):
            self.files["adapter_config.json"] = {"peft_type": "LORA", "base_model_name_or_path": "x"}
        self.folder = ""
        if self.maybe(40):
            return
        kinds = ["Transformer", "Pooling"] + (["Normalize"] if self.maybe(30) else [])
        self.folder = "0_Transformer/" if self.maybe(12) else ""
        paths = {"Transformer": self.folder.strip("/"), "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
        self.files["modules.json"] = [{"idx": i, "name": str(i), "path": paths[kind], "type": f"sentence_transformers.models.{kind}"}
                                      for i, kind in enumerate(kinds)]
        pooling = {"word_embedding_dimension": 8, f"pooling_mode_{rng.choice(['cls_token', 'mean_tokens', 'max_tokens'])}": True}
        if self.maybe(30):
            pooling["include_prompt"] = self.maybe(20)
        if not self.maybe(2):
            self.files["1_Pooling/config.json"] = {} if self.maybe(2) else pooling
        if self.maybe(80):
            length = rng.choice([8, 16, 32, 32, None])
            self.files["sentence_bert_config.json"] = {"max_seq_length": length, "do_lower_case": self.maybe(20)}
        if self.maybe(60):
            prompts = rng.choice([{}, {"query": "query: "}, {"query": "the: ", "passage": "Wifi: "},
                                  {"query": "", "document": "the can ", "x": "how"}, {"a": "[SEP] é "}])
            default = rng.choice([None, None, *prompts, "query", "none" if self.maybe(5) else None])
            self.files["config_sentence_transformers.json"] = {"prompts": prompts, "default_prompt_name": default}
            if self.maybe(2):
                self.files["config_sentence_transformers.json"]["truncate_dim"] = 4

    def texts(self):
        """Hostile texts, every special or new token in a text, and random ones from the vocabulary's letters."""
        rng = self.rng
        tokens = BERT_SPECIAL + ROBERTA_SPECIAL + NOT_USED + NEW_TOKENS + ["[CLS2]", "<new>"]
        texts = [*rng.sample(HOSTILE["texts"], 8), "", "how can wifi", " wifi how", "``how'' can", "Café FÜR Überfall 中国人 naïve ﬁ Ａ é"]
        texts += [f"a{token}b  {token.lower()} {token} x{token.upper()}" for token in tokens]
        texts += ["the how can install wifi error " * 12, " ".join(rng.choices(WORDS, k=30))]
        alphabet = LETTERS + LETTERS.upper() + MORE + "      \u0301\u3000\u00a0\t"
        return texts + ["".join(rng.choices(alphabet, k=rng.randint(1, 30))) for _ in range(8)]

    def write(self, directory):
        of_model = ["modules.json", "1_Pooling/config.json", "config_sentence_transformers.json"]
        (directory / self.folder).mkdir(exist_ok=True)
        for name, content in self.files.items():
            file = directory / name if name in of_model else directory / self.folder / name
            if isinstance(content, str):
                file.write_bytes(content.encode())
            else:
                dump(file, content)
        save_file(weights(self.config), directory / self.folder / "model.safetensors", metadata={"format": "pt"})


def weights(config):
    """A model of random weights, by the names of its family."""
    rng, width = np.random.default_rng(config["vocab_size"]), 8
    matrix = lambda rows: rng.normal(0, 0.5, (rows, width)).astype(np.float32)
    tensors = {"embeddings.word_embeddings.weight": matrix(config["vocab_size"]),
               "embeddings.position_embeddings.weight": matrix(config["max_position_embeddings"]),
               "embeddings.LayerNorm.weight": np.ones(width, np.float32), "embeddings.LayerNorm.bias": matrix(1)[0]}
    attention = [f"attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense")]
    dense, norms = attention + ["intermediate.dense", "output.dense"], ["attention.output.LayerNorm", "output.LayerNorm"]
    layer = "encoder.layer.0."
    if config["model_type"] == "distilbert":
        layer, norms = "transformer.layer.0.", ["sa_layer_norm", "output_layer_norm"]
        dense = [f"attention.{name}_lin" for name in "qkv"] + ["attention.out_lin", "ffn.lin1", "ffn.lin2"]
    else:
        tensors["embeddings.token_type_embeddings.weight"] = matrix(2)
    for name in dense:
        tensors |= {f"{layer}{name}.weight": matrix(width), f"{layer}{name}.bias": matrix(1)[0]}
    for name in norms:
        tensors |= {f"{layer}{name}.weight": np.ones(width, np.float32), f"{layer}{name}.bias": matrix(1)[0]}
    return tensors


def failure(error):
    return f"{type(error).__name__}: {str(error)[:200]}"


def why(directory, error):
    """sentence-transformers tries every kind of processor and reports the last failure; this is the tokenizer's."""
    try:
        AutoTokenizer.from_pretrained(directory)
    except Exception as of_tokenizer:
        error = of_tokenizer
    return failure(error)


def rows_of(model, texts, prompt):
    """Ids and embedding of each text, or why there are none."""
    rows, good = [], []
    for text in texts:
        try:
            ids = model[0].preprocess([text], prompt=prompt)["input_ids"][0].tolist() if prompt + text else []
            ids = ids or model[0].tokenizer(text)["input_ids"]
            if ids:
                model.encode([text], prompt=prompt)
                good.append(len(rows))
            rows.append({"ids": [int(i) for i in ids]})
        except Exception as error:
            rows.append({"error": failure(error)})
    # All at once, because padding must not matter.
    embeddings = model.encode([texts[i] for i in good], prompt=prompt) if good else []
    for i, embedding in zip(good, embeddings):
        rows[i]["embedding"] = [float(x) if np.isfinite(x) else None for x in embedding]
    return rows


def reference(directory, texts):
    try:
        model = SentenceTransformer(str(directory), device="cpu")
        prompts = {"default": model._resolve_prompt(None, None) or "", "query": model.prompts["query"],
                   "document": model.prompts["document"]}
        return {"prompts": {name: {"text": prompt, "rows": rows_of(model, texts if name == "default" else texts[:12], prompt)}
                            for name, prompt in prompts.items()}}
    except Exception as error:
        return {"error": why(directory, error)}


def make(out, count=500, seed=1):
    for number in range(int(count)):
        case, directory = Case(number, seed), out / f"{number:04}"
        directory.mkdir(parents=True)
        case.write(directory)
        texts = case.texts()
        dump(directory / "expected.json", {"texts": texts, **reference(directory, texts)})


def check(out):
    wrong, checked = [], 0
    for written in sorted(out.glob("*/written")):
        expected = json.loads((written.parent / "expected.json").read_text("utf8"))
        found = reference(written, expected["texts"])
        checked += 1
        for name, prompt in expected.get("prompts", {}).items():
            again = found.get("prompts", {}).get(name, {"rows": []})["rows"]
            # Where the peer failed, it may encode now: what is written has a length that its positions suffice for.
            differ = [row["ids"] != new.get("ids") for row, new in zip(prompt["rows"], again) if "ids" in row]
            if any(differ) or len(again) != len(prompt["rows"]):
                wrong.append(f"{written.parent.name} {name}: {found.get('error', 'other ids')}")
                break
    print(f"{checked} written directories, {len(wrong)} of them encode otherwise", *wrong, sep="\n")
    return bool(wrong) or not checked


if __name__ == "__main__":
    torch.set_num_threads(1)
    disable_progress_bar()
    command, out, *rest = sys.argv[1:]
    sys.exit({"make": make, "check": check}[command](Path(out), *rest))
