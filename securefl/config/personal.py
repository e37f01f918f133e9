"""``[personal]``: the rates of a client's personal adapter, which never leaves it.

The rule kept here: nothing in this section is pinned; a federation file proposes it, ``init`` copies it into each
``client.toml``, and its owner may change it there.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from securefl.config.section import Section

Scale = Annotated[float, Field(gt=0, le=100)]


class PersonalSection(Section):
    """``[personal]``: training of the personal adapter; its length and schedule are those of ``[training]``.

    Where that adapter moves in the steps of the shared one, ``learning_rate`` is its rate of gradient descent, which
    AdamW's seldom suits; nothing else of the section is used, because such an adapter has no head and no trials.
    """

    learning_rate: float | None = Field(default=None, gt=0)
    """Without it, that of ``[training]``."""
    head_learning_rate: float | None = Field(default=None, gt=0)
    """Without it, that of ``[training]``."""
    rate_scales: tuple[Scale, ...] = (1.0, 0.3)
    """Factors of both rates, each tried in the first round, which takes so many times as long; the one
    with the least loss on the validation rows goes on."""

    @field_validator("rate_scales")
    @classmethod
    def _some_scales(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not scales or len(set(scales)) != len(scales):
            raise ValueError("name at least one scale, and each once, such as rate_scales = [1.0, 0.3]")
        return scales
