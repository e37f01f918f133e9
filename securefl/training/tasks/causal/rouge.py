"""ROUGE-L of two texts: the F1 of their longest common subsequence of words.

Written here because the reference implementation brings NLTK and its data for a stemmer that is off by default. Without
stemming both give the same for English; words here are Unicode's, where the reference counts ASCII alone.

Reference: Lin, Text Summarization Branches Out (2004), section 3.1; google-research, ``rouge/rouge_scorer.py``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")


def rouge_l(written: str, reference: str) -> float:
    """F1 of the longest common subsequence, from 0 to 1; 0 where one of the texts has no word."""
    words, wanted = (_WORD.findall(text.lower()) for text in (written, reference))
    common = _common_subsequence(words, wanted)
    return 2 * common / (len(words) + len(wanted)) if common else 0.0


def _common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    lengths = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, candidate in enumerate(other, start=1):
            kept = lengths[place]
            lengths[place] = before + 1 if word == candidate else max(kept, lengths[place - 1])
            before = kept
    return lengths[-1]
