"""Texts to token ids once, token ids to batches as they are needed.

The rule kept here: which rows stand in a batch follows from lengths and a seeded generator alone. Batches are
made of texts of like length ("length buckets"), so that little of the arithmetic is spent on padding, and are
padded to their own longest text, on the right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from securefl.config.model import DEFAULT_MAX_LENGTH, DIALOGUE_MAX_LENGTH
from securefl.errors import ConfigError
from securefl.training.rows.examples import Examples
from securefl.training.silence import silent_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Ids = NDArray[np.int64]
IGNORED = -100
"""A target that no loss counts: torch's ``ignore_index``."""
BATCHES_A_BUCKET = 16
"""Rows are shuffled, then sorted by length within stretches of so many batches: order stays random, padding small."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows on the training device; tensors of int64.

    Attributes:
        input_ids: (rows, tokens).
        attention_mask: (rows, tokens).
        token_type_ids: (rows, tokens), where the tokenizer makes them.
        targets: (rows, width) what the task asks of each row, ``IGNORED`` at the end of shorter ones.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Tokenised:
    """Examples as token ids.

    Attributes:
        ids: Token ids of every row, unpadded, at least one.
        types: Token types of every row, where the tokenizer makes them.
        targets: What the task asks of every row, as many numbers as it takes.
        pad_id: What fills the end of a row; the mask hides it.
        dropped: Examples that were left out because nothing that is asked of them fits.
    """

    ids: tuple[Ids, ...] = field(repr=False)
    types: tuple[Ids, ...] | None = field(repr=False)
    targets: tuple[Ids, ...] = field(repr=False)
    pad_id: int
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(rows,) number of tokens."""
        return np.array([len(row) for row in self.ids], dtype=np.int64)

    def taken(self, rows: NDArray[np.int64]) -> Tokenised:
        """The rows of these numbers, in this order."""
        return Tokenised(
            ids=tuple(self.ids[row] for row in rows),
            types=None if self.types is None else tuple(self.types[row] for row in rows),
            targets=tuple(self.targets[row] for row in rows),
            pad_id=self.pad_id,
        )

    def parts(self, rows: NDArray[np.int64], *, most: int | None, device: torch.device) -> list[Batch]:
        """The rows of these numbers as batches of so many rows at most, each padded to its own longest text.

        Args:
            rows: Row numbers.
            most: Rows of a part; None makes one part.
            device: Where the tensors go.
        """
        size = most or len(rows)
        return [self.batch(rows[start : start + size], device=device) for start in range(0, len(rows), size)]

    def batch(self, rows: NDArray[np.int64], *, device: torch.device) -> Batch:
        """The rows of these numbers, padded to the longest of them."""
        width = max(len(self.ids[row]) for row in rows)
        input_ids = np.full((len(rows), width), self.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), width), dtype=np.int64)
        types = np.zeros((len(rows), width), dtype=np.int64)
        for place, row in enumerate(rows):
            tokens = len(self.ids[row])
            input_ids[place, :tokens] = self.ids[row]
            mask[place, :tokens] = 1
            if self.types is not None:
                types[place, :tokens] = self.types[row]
        return Batch(
            input_ids=torch.from_numpy(input_ids).to(device),
            attention_mask=torch.from_numpy(mask).to(device),
            token_type_ids=None if self.types is None else torch.from_numpy(types).to(device),
            targets=torch.from_numpy(_padded([self.targets[row] for row in rows])).to(device),
        )


def check_length(tokenizer: PreTrainedTokenizerBase, *, max_length: int, positions: int | None) -> None:
    """Refuses texts that the model has no positions for.

    Args:
        tokenizer: The model's; a limit of its own that is no positive number is none.
        max_length: Most tokens of a text.
        positions: How many positions the model has; None where nothing limits them.

    Raises:
        ConfigError: if ``max_length`` exceeds what the model or its tokenizer can do.
    """
    own = tokenizer.model_max_length
    limits = [limit for limit in (positions, own) if limit is not None and limit > 0]
    if limits and max_length > min(limits):
        limit = int(min(limits))
        usual = max_length in (DEFAULT_MAX_LENGTH, DIALOGUE_MAX_LENGTH)
        default = f"; without the key it is {max_length}" if usual else ""
        raise ConfigError(
            f"max_length {max_length} is more than the model's {limit} tokens",
            where="model.max_length",
            hint=f"write max_length = {limit} or less in [model]{default}",
        )


def tokenise(examples: Examples, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> Tokenised:
    """Token ids of all examples; texts longer than ``max_length`` tokens are cut, of a pair the longer one first."""
    pad_id = 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)
    columns = [list(column) for column in zip(*examples.texts, strict=True)]
    with silent_transformers():
        encoded = (
            tokenizer(*columns, truncation=True, max_length=max_length) if columns else {"input_ids": []}
        )
    # An empty text has no token at all under tokenizers without special tokens, and a mean needs one.
    ids = tuple(np.array(row or [pad_id], dtype=np.int64) for row in encoded["input_ids"])
    types = encoded.get("token_type_ids")
    return Tokenised(
        ids=ids,
        types=None if types is None else tuple(np.array(row or [0], dtype=np.int64) for row in types),
        targets=tuple(examples.targets),
        pad_id=pad_id,
    )


def _padded(targets: Sequence[Ids]) -> Ids:
    padded = np.full((len(targets), max(map(len, targets))), IGNORED, dtype=np.int64)
    for place, row in enumerate(targets):
        padded[place, : len(row)] = row
    return padded


def shuffled_batches(
    lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Every row once, in batches of like length, in random order."""
    order = rng.permutation(len(lengths))
    stretch = batch_size * BATCHES_A_BUCKET
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), stretch):
        rows = order[start : start + stretch]
        batches.extend(_cut(rows[np.argsort(lengths[rows], kind="stable")], batch_size))
    return [batches[place] for place in rng.permutation(len(batches))]


def ordered_batches(lengths: NDArray[np.int64], batch_size: int) -> list[NDArray[np.int64]]:
    """Every row once, from the shortest to the longest."""
    return list(_cut(np.argsort(lengths, kind="stable"), batch_size))


def _cut(rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
