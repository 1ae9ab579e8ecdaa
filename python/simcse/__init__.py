"""Sentence embeddings tuned to your sentences, on the CPU."""

from ._simcse import Index, Model, __version__, search, train

__all__ = ["Index", "Model", "__version__", "search", "train"]
