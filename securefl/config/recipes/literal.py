"""Sections that rows of papers have in common: one weight a member, and nothing done to the head that no paper does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from securefl.config.head import HeadSection
from securefl.config.model import LoraSection
from securefl.config.section import Section

PLAIN_HEAD: Final = HeadSection(start="zeros", rows="together", logit_adjustment=False, calibration=False)
"""The whole head is averaged by the members' weights, from zeros, with the plain loss, and stays as it is."""
ONE_SCALING: Final = LoraSection(use_rslora=False, one_scaling=True)
"""One alpha / r for all ranks."""
PLAIN: Final[Mapping[str, Section]] = {"head": PLAIN_HEAD, "lora": LoraSection(use_rslora=False)}
"""The plain head, and LoRA's own scaling, lora_alpha / r, whatever the ranks."""
