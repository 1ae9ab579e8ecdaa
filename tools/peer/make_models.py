#!/usr/bin/env python3
"""Make random-weight models of further families: one in a published shape and a tiny one (two
layers, 64 wide) of each, with tokenizers.

    make_models.py TOKENIZERS_DIR TEXT OUT_DIR [NAME...]

TOKENIZERS_DIR has bert-base-uncased's vocab.txt, which ELECTRA and MPNet use. For XLM-RoBERTa and
CamemBERT a Unigram tokenizer, for ModernBERT a byte-level BPE, is trained on TEXT and on the
sentences of many scripts in simcse-model/tests/hostile_texts.json. Models that are there already are left alone.

Needs torch, transformers and tokenizers.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (CamembertConfig, CamembertModel, CamembertTokenizer, ElectraConfig, ElectraModel,
                          ElectraTokenizer, ModernBertConfig, ModernBertModel, MPNetConfig, MPNetModel, MPNetTokenizer,
                          PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer)

HOSTILE_TEXTS = Path(__file__).resolve().parents[2] / "simcse-model" / "tests" / "hostile_texts.json"
PIECES = 8000
TINY = dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=256)
ROBERTA = dict(max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0,
               eos_token_id=2)
BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
MPNET = dict(max_position_embeddings=514, layer_norm_eps=1e-5)
# The published models have no dropout, and nothing would be compared.
MODERN = dict(bos_token_id=0, cls_token_id=0, eos_token_id=1, sep_token_id=1, pad_token_id=2, embedding_dropout=0.1,
              mlp_dropout=0.1, attention_dropout=0.1)
MODELS = {
    "electra-base": lambda: ElectraModel(ElectraConfig(**BASE, embedding_size=768)),
    "electra-small": lambda: ElectraModel(ElectraConfig()),
    "tiny-electra": lambda: ElectraModel(ElectraConfig(**TINY, embedding_size=32)),
    "mpnet-base": lambda: MPNetModel(MPNetConfig(**MPNET)),
    "tiny-mpnet": lambda: MPNetModel(MPNetConfig(**MPNET, **TINY)),
    "modernbert-base": lambda: ModernBertModel(ModernBertConfig(**MODERN)),
    "tiny-modernbert": lambda: ModernBertModel(ModernBertConfig(
        **MODERN, hidden_size=64, num_hidden_layers=4, num_attention_heads=4, intermediate_size=96, vocab_size=PIECES,
        local_attention=16, max_position_embeddings=512)),
    "xlm-roberta-base": lambda: XLMRobertaModel(XLMRobertaConfig(**ROBERTA, vocab_size=250002)),
    "tiny-xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**ROBERTA, **TINY, vocab_size=PIECES + 2)),
    "camembert-base": lambda: CamembertModel(CamembertConfig(**ROBERTA, vocab_size=32005)),
    "tiny-camembert": lambda: CamembertModel(CamembertConfig(**ROBERTA, **TINY, vocab_size=PIECES + 5)),
}


def words(path):
    return (path / "bert-base-uncased" / "vocab.txt").read_text(encoding="utf8").splitlines()


def sentences(text):
    hostile = json.loads(HOSTILE_TEXTS.read_text(encoding="utf8"))["texts"]
    return text.read_text(encoding="utf8").splitlines()[:20000] + 20 * [line for line in hostile if line.isprintable()]


def byte_level(text):
    """ModernBERT's pipeline: NFC, byte-level BPE, [CLS] and [SEP] around a text."""
    special = ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(sentences(text), trainers.BpeTrainer(
        vocab_size=PIECES, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)])
    names = dict(zip(["cls_token", "sep_token", "pad_token", "unk_token", "mask_token"], special))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def pieces(text):
    """A Unigram vocabulary with its scores, without special tokens."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(vocab_size=PIECES - 6, unk_token="<unk>", special_tokens=["<unk>"],
                                      show_progress=False)
    tokenizer.train_from_iterator(sentences(text), trainer)
    found = json.loads(tokenizer.to_str())["model"]["vocab"]
    return [(piece, score) for piece, score in found if piece != "<unk>"]


def tokenizer(name, tokenizers, text):
    if "electra" in name:
        return ElectraTokenizer(vocab={word: i for i, word in enumerate(words(tokenizers))})
    if "modernbert" in name:
        return byte_level(text)
    if "mpnet" in name:
        special = ["<s>", "<pad>", "</s>", "<unk>"]
        listed = [*special, *words(tokenizers), "<mask>"]
        return MPNetTokenizer(vocab={word: i for i, word in enumerate(listed)})
    if "camembert" in name:
        special = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"]
        return CamembertTokenizer(vocab=[(token, 0.0) for token in special] + pieces(text))
    return XLMRobertaTokenizer(vocab=[(token, 0.0) for token in ["<s>", "<pad>", "</s>", "<unk>"]] + pieces(text))


def main():
    tokenizers, text, out = map(Path, sys.argv[1:4])
    for name in sys.argv[4:] or MODELS:
        folder = out / name
        if (folder / "model.safetensors").exists():
            continue
        torch.manual_seed(0)
        model = MODELS[name]()
        tokens = tokenizer(name, tokenizers, text)
        tokens.model_max_length = 512
        assert len(tokens) <= model.config.vocab_size, (name, len(tokens), model.config.vocab_size)
        tokens.save_pretrained(folder)
        model.save_pretrained(folder)
        print(name, "written", len(tokens), "tokens")


if __name__ == "__main__":
    main()
