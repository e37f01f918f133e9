"""Texts to token ids, and targets where an answer stands.

The rule kept here: a token is an answer's if any of its characters is; every answer's end is learnt. Where the text has
no end-of-text token in its last answer, one is added; what a template writes behind such a token (a line's end) is not
learnt. Rows are cut at ``max_length`` tokens; one whose answers are all cut away is left out, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from securefl.errors import ConfigError, ModelError
from securefl.training.rows.tokens import IGNORED, Ids, Tokenised
from securefl.training.silence import silent_transformers
from securefl.training.tasks.causal.prompts import PromptedText

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def tokenised_answers(
    texts: Sequence[PromptedText], tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> Tokenised:
    """Token ids of texts, and as targets at every place the next token where it is an answer's.

    Args:
        texts: The rows.
        tokenizer: The model's.
        max_length: Most tokens of a row.

    Raises:
        ModelError: if the tokenizer cannot tell where its tokens stand, or has no token that ends a text.
        ConfigError: if no row has an answer within ``max_length`` tokens.
    """
    end = end_of_text(tokenizer)
    made = [_row(text, tokenizer, end, max_length=max_length) for text in texts]
    kept = [(ids, targets) for ids, targets in made if (targets != IGNORED).any()]
    if texts and not kept:
        raise no_answer_fits(f"none of {len(texts)} rows", max_length=max_length)
    return Tokenised(
        ids=tuple(ids for ids, _ in kept),
        types=None,
        targets=tuple(targets for _, targets in kept),
        pad_id=filling_id(tokenizer),
        dropped=len(made) - len(kept),
    )


def any_answer_fits(
    texts: Iterable[PromptedText], tokenizer: PreTrainedTokenizerBase, *, max_length: int
) -> bool:
    """True if one of the texts has an answer within ``max_length`` tokens; those behind it are not looked at.

    Raises:
        ModelError: see ``tokenised_answers``.
    """
    end = end_of_text(tokenizer)
    made = (_row(text, tokenizer, end, max_length=max_length) for text in texts)
    return any((targets != IGNORED).any() for _, targets in made)


def no_answer_fits(rows: str, *, max_length: int) -> ConfigError:
    """The error where rows, in these words, have all answers cut away."""
    return ConfigError(
        f"{rows} has an answer within {max_length} tokens",
        where="model.max_length",
        hint="set it higher, or shorten the prompts",
    )


def prompt_ids(text: PromptedText, tokenizer: PreTrainedTokenizerBase) -> Ids:
    """Token ids of a text whose answer is still to be written."""
    ids, _, _ = _encoded(text, tokenizer)
    return ids


def end_of_text(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends a text.

    Raises:
        ModelError: if the tokenizer has none.
    """
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise ModelError(
            "the model's tokenizer has no token that ends a text, so that no answer could end",
            where="model.path",
            hint="name its eos_token in tokenizer_config.json",
        )
    return end


def filling_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that fills rows: the tokenizer's, else the one that ends texts; the mask hides it."""
    return end_of_text(tokenizer) if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)


def _row(
    text: PromptedText, tokenizer: PreTrainedTokenizerBase, end: int, *, max_length: int
) -> tuple[Ids, Ids]:
    ids, first, past = _encoded(text, tokenizer)
    learnt = np.zeros(len(ids), dtype=np.bool_)
    for begin, stop in text.answers:
        own = (past > begin) & (first < stop) & (past > first)
        learnt |= _to_its_end(own, ids == end)
    places = np.flatnonzero(learnt)
    finished = bool(len(places)) and ids[places[-1]] == end
    if text.answers and text.answers[-1][1] == len(text.text) and not finished:
        ids, learnt = np.append(ids, end), np.append(learnt, True)
    ids, learnt = ids[:max_length], learnt[:max_length]
    targets = np.full(len(ids), IGNORED, dtype=np.int64)
    targets[:-1] = np.where(learnt[1:], ids[1:], IGNORED)
    return ids, targets


def _to_its_end(own: NDArray[np.bool_], ends: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """An answer's tokens up to the last end-of-text among them, or with the one that follows them at once."""
    places = np.flatnonzero(own)
    if not len(places):
        return own
    within = places[ends[places]]
    learnt = own.copy()
    if len(within):
        learnt[within[-1] + 1 :] = False
    elif places[-1] + 1 < len(ends) and ends[places[-1] + 1]:
        learnt[places[-1] + 1] = True
    return learnt


def _encoded(text: PromptedText, tokenizer: PreTrainedTokenizerBase) -> tuple[Ids, Ids, Ids]:
    """Token ids, and of each token its first character and the one after its last.

    What a tokenizer itself puts at the end of a text, such as a separator, is left out: an answer stands there.
    """
    if not tokenizer.is_fast:
        raise ModelError(
            "the model's tokenizer cannot tell which characters a token has",
            where="model.path",
            hint="save it as tokenizer.json, with tokenizers' own classes",
        )
    with silent_transformers():
        encoded = tokenizer(
            text.text, add_special_tokens=not text.templated, return_offsets_mapping=True, truncation=False
        )
    ids = np.array(encoded["input_ids"], dtype=np.int64)
    places = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
    # Of an empty text nothing but special tokens is there, and all of them open it.
    kept = len(ids) if text.templated or not text.text else _past_the_last(places)
    return ids[:kept], places[:kept, 0], places[:kept, 1]


def _past_the_last(places: Ids) -> int:
    """Number of tokens up to the last one that has a character."""
    shown = np.flatnonzero(places[:, 1] > places[:, 0])
    return int(shown[-1]) + 1 if len(shown) else len(places)
