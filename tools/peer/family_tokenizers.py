"""Train a small tokenizer of every family that encoders have, for hostile_ids.py to compare.

    family_tokenizers.py OUT_DIR TEXTS_FILE

writes OUT_DIR/<name>/ with the tokenizer's files and a config.json that names a `model_type` and nothing else. What a family's
class ignores in a tokenizer.json differs from what the class does. Run with the peer's Python.
"""
import base64
import json
import sys
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizer_files import (ALBERT_ROLES, ALBERT_SPECIAL, BERT_ROLES, BERT_SPECIAL, MPNET_ROLES, MPNET_SPECIAL, ROBERTA_ROLES,
                             ROBERTA_SPECIAL, charsmap, dump)

HOSTILE = json.loads((Path(__file__).resolve().parents[2] / "simcse-model/tests/hostile_texts.json").read_text("utf8"))
CAMEMBERT_SPECIAL = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"]


def texts(path):
    """Half of the hostile texts, so that each has known and unknown pieces, and English."""
    lines = path.read_text("utf8").splitlines()[:3000]
    return lines + [text for text in HOSTILE["texts"] for _ in range(20)]


def nfkc():
    """A character map as SentencePiece builds it: NFKC of what is not ASCII in these blocks, and of letters with accents."""
    blocks = [(0xA0, 0x100), (0x2000, 0x2060), (0x2150, 0x2190), (0x2460, 0x2480), (0xFB00, 0xFB07), (0xFF01, 0xFFA0)]
    characters = [chr(c) for low, high in blocks for c in range(low, high)] + ["\u3000", "\u0085"]
    characters += [letter + accent for letter in "aeinouAEINOU" for accent in "\u0300\u0301\u0303\u0308"]
    table = {c: unicodedata.normalize("NFKC", c) for c in characters}
    table |= {"\u0085": " ", "\u200b": " ", "\u2028": " "}
    return charsmap({c: to for c, to in table.items() if c != to})


def around(tokenizer, cls, sep):
    ids = [(token, tokenizer.token_to_id(token)) for token in (cls, sep)]
    return processors.TemplateProcessing(single=f"{cls} $A {sep}", pair=f"{cls} $A {sep} $B {sep}", special_tokens=ids)


def unigram(texts, special, mask, unknown, normalizer, splitter):
    """A trained Unigram model's tokenizer, as a tokenizer.json; the mask comes last."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    # A short piece for every character, and none for those of every third text.
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(vocab_size=2500, special_tokens=special, unk_token=unknown,
                                                                  show_progress=False))
    state = json.loads(tokenizer.to_str())
    rare = set("".join(HOSTILE["texts"][::3])) - set(map(chr, range(128)))
    pieces = [piece for piece in state["model"]["vocab"] if piece[0] in special or not rare & set(piece[0])]
    state["model"].update(vocab=pieces + [[mask, 0.0]], unk_id=special.index(unknown))
    state["added_tokens"] = []
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.add_special_tokens([AddedToken(mask, lstrip=True, normalized=False)])
    tokenizer.add_special_tokens([token for token in special if not token.endswith("NOTUSED")])
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


def metaspace(scheme="always", split=True):
    return pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split)


def word_pieces(texts, special, unknown, normalizer):
    tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=3000, special_tokens=special, limit_alphabet=500,
                                                                   show_progress=False))
    return tokenizer


def modern_bytes(texts):
    """ModernBERT's pipeline: NFC, GPT-2's splitter, BERT's special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False,
                                                             special_tokens=[t for t in BERT_SPECIAL if t != "[MASK]"]))
    tokenizer.add_tokens(["  ", "    "])
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
    tokenizer.post_processor = around(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def families(texts):
    """Name, model type, tokenizer_config.json, and the tokenizer or its vocab.txt."""
    xlmr, precompiled = ROBERTA_SPECIAL[:4], normalizers.Precompiled(base64.b64decode(nfkc()))
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace()])
    spaces = normalizers.Sequence([precompiled, normalizers.Replace(Regex(" {2,}"), " ")])
    pieces = unigram(texts, xlmr, "<mask>", "<unk>", spaces, split)
    pieces.post_processor = around(pieces, "<s>", "</s>")
    yield "xlm-roberta", "xlm-roberta", None, pieces
    yield "xlm-roberta-named", "bert", {"tokenizer_class": "XLMRobertaTokenizerFast", **ROBERTA_ROLES}, pieces
    backend = {"tokenizer_class": "PreTrainedTokenizerFast", **ROBERTA_ROLES}
    yield "unigram-backend", "xlm-roberta", backend, pieces
    for scheme in ["always", "first", "never"]:
        for whole in [True, False]:
            other = Tokenizer.from_str(pieces.to_str())
            other.normalizer, other.pre_tokenizer = normalizers.NFKC(), metaspace(scheme, whole)
            yield f"unigram-{scheme}-{'split' if whole else 'whole'}", "xlm-roberta", backend, other
    state = json.loads(pieces.to_str())
    state["model"]["vocab"][4:4] = [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
    state["model"]["byte_fallback"], state["added_tokens"] = True, []
    for model_type, config in [("xlm-roberta", None), ("xlm-roberta", backend)]:
        yield f"unigram-bytes-{'backend' if config else 'class'}", model_type, config, Tokenizer.from_str(json.dumps(state))

    pieces = unigram(texts, CAMEMBERT_SPECIAL, "<mask>", "<unk>", precompiled, split)
    pieces.add_special_tokens(["<s>", "</s>"])
    pieces.post_processor = around(pieces, "<s>", "</s>")
    yield "camembert", "camembert", None, pieces
    yield "camembert-named", "bert", {"tokenizer_class": "CamembertTokenizer", **ROBERTA_ROLES}, pieces

    accents = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), precompiled])
    pieces = unigram(texts, ALBERT_SPECIAL[:4], "[MASK]", "<unk>", accents, split)
    yield "albert", "albert", None, pieces
    pieces.post_processor = around(pieces, "[CLS]", "[SEP]")
    yield "albert-cased", "albert", {"do_lower_case": False, "keep_accents": True, **ALBERT_ROLES}, pieces

    words = word_pieces(texts, BERT_SPECIAL, "[UNK]", normalizers.BertNormalizer(lowercase=True))
    yield "electra", "electra", None, words
    yield "electra-cased", "electra", {"tokenizer_class": "ElectraTokenizer", "do_lower_case": False, **BERT_ROLES}, words
    yield "electra-words", "electra", None, sorted(words.get_vocab(), key=words.token_to_id)

    words = word_pieces(texts, MPNET_SPECIAL, "[UNK]", normalizers.BertNormalizer(lowercase=False))
    yield "mpnet", "mpnet", None, words
    yield "mpnet-named", "bert", {"tokenizer_class": "MPNetTokenizerFast", "tokenize_chinese_chars": False, **MPNET_ROLES}, words
    yield "mpnet-words", "mpnet", None, sorted(words.get_vocab(), key=words.token_to_id)

    pairs = modern_bytes(texts)
    yield "modernbert", "modernbert", {"tokenizer_class": "PreTrainedTokenizerFast", **BERT_ROLES}, pairs
    yield "modernbert-misnamed", "modernbert", {"tokenizer_class": "BertTokenizer", **BERT_ROLES}, pairs


if __name__ == "__main__":
    out, lines = map(Path, sys.argv[1:])
    for name, model_type, config, tokenizer in families(texts(lines)):
        dump(out / name / "config.json", {"model_type": model_type})
        if config is not None:
            dump(out / name / "tokenizer_config.json", config)
        if isinstance(tokenizer, list):
            (out / name / "vocab.txt").write_text("\n".join(tokenizer) + "\n", encoding="utf8")
        else:
            tokenizer.save(str(out / name / "tokenizer.json"))
        print(name)
