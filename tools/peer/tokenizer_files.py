"""Small vocabularies of every kind, and the files that tokenizers keep them in, for tokenizer_cases.py."""
import base64
import json
import struct

from tokenizers.pre_tokenizers import ByteLevel

BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
MPNET_SPECIAL = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
ALBERT_SPECIAL = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
NOT_USED = ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"]
ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
BERT_ROLES = dict(unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]", mask_token="[MASK]")
ROBERTA_ROLES = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>", sep_token="</s>", pad_token="<pad>",
                     cls_token="<s>", mask_token="<mask>")
MPNET_ROLES = {**ROBERTA_ROLES, "unk_token": "[UNK]"}
ALBERT_ROLES = dict(bos_token="[CLS]", eos_token="[SEP]", unk_token="<unk>", sep_token="[SEP]", pad_token="<pad>",
                    cls_token="[CLS]", mask_token="[MASK]")

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MORE = "éèüßøñçİıςσ0123456789.,!?'\"-()[]<>/_@#中国人漢字日本語テ가나한ﬁ①Ａ👍"
WORDS = "the how can install wifi error café für naïve straße Überfall 中国 日本 foo bar new York don't".split()


def word_pieces(rng, special):
    """A vocab.txt's words: letters of both cases, what accents and Chinese characters are cut into, and whole words."""
    words = list(special) if rng.random() < 0.8 else special[::-1]
    pieces = [piece for c in LETTERS + LETTERS.upper() + MORE for piece in (c, "##" + c)]
    for word in pieces + WORDS + [w.capitalize() for w in WORDS] + [w.lower() for w in WORDS] + ["[unused0]", "[CLS2]"]:
        if word not in words:
            words.append(word)
    return words


def bpe(rng, special, suffix=""):
    """Tokens and merges: bytes as letters (`suffix` empty), or characters with `suffix` at the end of a word."""
    alphabet = sorted(ByteLevel.alphabet()) if not suffix else sorted(set(LETTERS + LETTERS.upper() + MORE))
    alphabet += [c + suffix for c in alphabet] if suffix else []
    pairs = ["h o", "ho w", "Ġ how", "c an", "Ġ can", "a n", "t h", "th e", "Ġ the", "w i", "f i", "wi fi", "Ġ wifi", "Ã ©",
             "e r", "r or"] if not suffix else [f"h o", f"ho w{suffix}", f"w i", f"f i{suffix}", f"wi fi{suffix}", "t h",
                                                f"th e{suffix}", "c a"]
    tokens, merges = list(special) + [c for c in alphabet if c not in special], []
    for pair in pairs:
        first, second = pair.split(" ")
        if first in tokens and second in tokens:
            merges.append(pair)
            if first + second not in tokens:
                tokens.append(first + second)
    rng.shuffle(tail := tokens[len(special):])
    return {token: i for i, token in enumerate(special + tail)}, merges


def unigram(rng, special):
    """Pieces and scores, with the beginning of a word marked as SentencePiece does; the last special token comes last."""
    first = special[:4] + (NOT_USED if rng.random() < 0.3 else [])
    if rng.random() < 0.2:
        rng.shuffle(first)
    pieces = [[token, 0.0] for token in first]
    for piece in ["▁"] + list(LETTERS + LETTERS.upper() + MORE) + ["▁" + w for w in WORDS] + WORDS + ["▁the", "in", "er"]:
        if all(piece != p for p, _ in pieces):
            pieces.append([piece, -round(rng.uniform(1, 12), 4)])
    return pieces + [[special[4], 0.0]]


def charsmap(replacements):
    """A SentencePiece character map: a double array over the bytes of each key, in blocks of 256, then the values."""
    root, values = {}, b""
    for key, value in replacements.items():
        node = root
        for byte in key.encode():
            node = node.setdefault(byte, {})
        node["value"] = len(values)
        values += value.encode() + b"\0"
    units, blocks = [0] * 256, [(root, 0, 0)]
    units[0] = 256 << 10  # the root's children are in the second block
    while blocks:
        node, position, _ = blocks.pop(0)
        base = len(units)
        units += [0] * 256
        units[position] |= (position ^ base) << 10
        if position == 0:
            units[0] = base << 10
        if "value" in node:
            units[position] |= 1 << 8
            units[base] = node["value"] | 1 << 31
        for byte, child in node.items():
            if byte != "value":
                units[base ^ byte] = byte
                blocks.append((child, base ^ byte, 0))
    blob = struct.pack(f"<{len(units)}I", *units)
    return base64.b64encode(struct.pack("<I", len(blob)) + blob + values).decode()


def added(content, id, **flags):
    token = dict(id=id, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    return {**token, **flags}


def template(cls, sep, ids, kind=0):
    token = lambda t, k: {"SpecialToken": {"id": t, "type_id": k}}
    text = lambda name, k: {"Sequence": {"id": name, "type_id": k}}
    return {"type": "TemplateProcessing", "single": [token(cls, kind), text("A", kind), token(sep, kind)],
            "pair": [token(cls, 0), text("A", 0), token(sep, 0), text("B", 1), token(sep, 1)],
            "special_tokens": {t: {"id": t, "ids": [ids[t]], "tokens": [t]} for t in (cls, sep)}}


def tokenizer_json(model, normalizer, splitter, template, added_tokens):
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added_tokens, "normalizer": normalizer,
            "pre_tokenizer": splitter, "post_processor": template, "decoder": None, "model": model}


def of_words(words, rng, roles):
    ids = {word: i for i, word in enumerate(words)}
    flags = dict(lowercase=rng.random() < 0.7, strip_accents=rng.choice([None, None, True, False]),
                 handle_chinese_chars=rng.random() < 0.8)
    return tokenizer_json(
        {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
         "max_input_chars_per_word": rng.choice([100, 100, 5]), "vocab": ids},
        {"type": "BertNormalizer", "clean_text": True, **flags}, {"type": "BertPreTokenizer"},
        template(roles["cls_token"], roles["sep_token"], ids),
        [added(token, ids[token], lstrip=token == "<mask>") for token in dict.fromkeys(roles.values())])


def of_bytes(vocab, merges, rng, special=ROBERTA_SPECIAL):
    prefix = rng.random() < 0.4
    merges = [merge.split(" ") for merge in merges] if rng.random() < 0.5 else merges
    return tokenizer_json(
        {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
         "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": merges}, None,
        {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True},
        {"type": "RobertaProcessing", "sep": [special[2], vocab[special[2]]], "cls": [special[0], vocab[special[0]]],
         "trim_offsets": True, "add_prefix_space": prefix},
        [added(token, vocab[token], lstrip=token in ("<mask>", "[MASK]")) for token in special])


def of_modern_bytes(vocab, merges, rng):
    """As ModernBERT has them: BERT's special tokens around byte pairs."""
    json = of_bytes(vocab, merges, rng, BERT_SPECIAL)
    return {**json, "normalizer": {"type": "NFC"}, "post_processor": template("[CLS]", "[SEP]", vocab)}


def of_characters(vocab, merges, rng):
    return tokenizer_json(
        {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
         "end_of_word_suffix": "</w>", "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": merges},
        {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": False,
         "lowercase": rng.random() < 0.3}, {"type": "BertPreTokenizer"}, template("<s>", "</s>", vocab),
        [added(token, vocab[token]) for token in ROBERTA_SPECIAL])


def of_pieces(pieces, rng, roles):
    ids = {piece: i for i, (piece, _) in enumerate(pieces)}
    precompiled = {"type": "Precompiled", "precompiled_charsmap": charsmap({"ﬁ": "fi", "Ａ": "A", "é": "e", "\u3000": " "})}
    steps = [{"type": "Replace", "pattern": {"String": "``"}, "content": '"'}, {"type": "NFKD"}, {"type": "StripAccents"},
             {"type": "Lowercase"}, precompiled]
    normalizer = rng.choice([precompiled, precompiled, None, {"type": "NFKC"}, {"type": "Sequence", "normalizers": [
        precompiled, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
        {"type": "Sequence", "normalizers": steps}])
    spaces = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": rng.choice(["always", "first", "never"]),
              "split": rng.random() < 0.9}
    return tokenizer_json(
        {"type": "Unigram", "unk_id": ids[roles["unk_token"]], "vocab": pieces, "byte_fallback": rng.random() < 0.1}, normalizer,
        {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, spaces]} if rng.random() < 0.5 else spaces,
        template(roles["cls_token"], roles["sep_token"], ids),
        [added(token, ids[token], lstrip=token == roles["mask_token"]) for token in dict.fromkeys(roles.values())])


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf8")
