"""Scaling of a low-rank adapter: what the product of its factors is multiplied by.

LoRA's own alpha / r makes an adapter of low rank the loudest of a cohort of mixed ranks: at one learning rate the
norms of updates of ranks 2, 4, 8 and 16 were 17.8, 12.8, 10.4 and 8.2. With alpha / sqrt(r) (rank-stabilised LoRA,
Kalajdzievski 2023, arXiv 2312.03732) they were 9.7, 9.4, 9.9 and 10.4. A third rule takes one number for all ranks
(``one_scaling``), as a mean of products without their scaling (HLoRA) means the same adapter everywhere only then.
"""

from __future__ import annotations

import math

from securefl.config.model import LoraTerms


def alpha_of(lora: LoraTerms, rank: int) -> float:
    """PEFT's ``lora_alpha`` of an adapter of this rank.

    Example:
        >>> alpha_of(LoraTerms(r=8, lora_alpha=16, use_rslora=False, one_scaling=True), 4)
        8.0
    """
    return lora.lora_alpha / lora.r * rank if lora.one_scaling else lora.lora_alpha


def scaling_of(lora: LoraTerms, rank: int) -> float:
    """The scaling of an adapter of this rank, to the bit the one that PEFT computes.

    Returns:
        ``lora_alpha / rank``, or ``lora_alpha / sqrt(rank)`` under ``use_rslora``, or ``lora_alpha / r`` of ``[lora]``
        whatever the rank under ``one_scaling``.

    Example:
        >>> scaling_of(LoraTerms(lora_alpha=16, use_rslora=True), 4)
        8.0
    """
    return alpha_of(lora, rank) / (math.sqrt(rank) if lora.use_rslora else rank)
