from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

__version__: str

class Model:
    """A sentence encoder: a sentence-transformers or Hugging Face directory, or a name on the hub."""

    def __init__(self, model: str | PathLike[str], *, precision: str = "f32") -> None: ...
    @property
    def dimension(self) -> int:
        """The number of values of an embedding."""
    @property
    def max_seq_length(self) -> int:
        """The most tokens of a sentence, special ones included; what is beyond is cut off."""
    @overload
    def encode(
        self, sentences: str, *, normalize: bool = False, prompt: str | None = None, prompt_name: str | None = None
    ) -> NDArray[np.float32]: ...
    @overload
    def encode(
        self,
        sentences: Sequence[str],
        *,
        normalize: bool = False,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> NDArray[np.float32]:
        """The embedding of a sentence, (C), or those of several, (N, C).

        As `SentenceTransformer.encode`: with the model's default prompt, if it has one, unless another is given.
        """
    def save(self, directory: str | PathLike[str]) -> None:
        """Writes a directory that sentence-transformers loads."""

def train(
    examples: Sequence[str] | Sequence[Sequence[str]],
    *,
    model: str | PathLike[str],
    output_dir: str | PathLike[str],
    on_step: Callable[[int, int, float], Any] | None = None,
    **settings: str | float | bool | Sequence[float] | Sequence[str],
) -> dict[str, Any]:
    """Trains a model on sentences, pairs, or triplets with hard negatives, and writes it to `output_dir`.

    Settings have the names of the flags of `simcse train`, with underscores: `epochs`, `learning_rate`,
    `batch_size`, … `on_step` gets the number of the step, of all steps, and the loss; an exception
    in it, or Ctrl-C, saves a checkpoint, stops the run, and is raised. Returns `steps`, `train_loss`,
    `train_seconds`, `cut` and `skipped`.
    """

def search(
    queries: NDArray[np.float32], corpus: NDArray[np.float32], k: int = 10
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The `k` rows of `corpus`, (N, C), with the highest cosine similarity to each of `queries`, (Q, C): similarities and
    rows, (Q, min(k, N)), best first; of equally similar ones, the first.
    """

class Index:
    """A corpus on disk, made by `simcse index`."""

    def __init__(self, directory: str | PathLike[str]) -> None: ...
    def __len__(self) -> int: ...
    @property
    def dimension(self) -> int:
        """The number of values of an embedding."""
    @property
    def model(self) -> str:
        """The model that the embeddings were made with, as it was named."""
    def text(self, row: int) -> str:
        """The text of a row."""
    def record(self, row: int) -> dict[str, Any]:
        """The text and the other fields of a row's record."""
    def search(
        self, queries: NDArray[np.float32], k: int = 10
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """As the function `search`; the vectors are read in parts."""
