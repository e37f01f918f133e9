"""``[recipe]`` and ``[fusion]``: a row's name, and the choices that no other section has."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from securefl.config.names import Name
from securefl.config.section import Section

DEFAULT: Final = "default"
Personal = Literal["none", "alone"]
LEAST_SEARCH_ROWS: Final = 30
"""With fewer validation rows a client does not search, and takes the plain mean of both adapters."""


class FusionSection(Section):
    """``[fusion]``: the search for how much of each adapter a client uses (after FDLoRA's AdaFusion)."""

    space: Literal["product", "factor"] = "product"
    max_samples: int = Field(default=375, ge=LEAST_SEARCH_ROWS)
    """At most so many of a client's validation rows, drawn with the seed: every candidate is measured on them. On
    MiniLM 375 rows take 11 processor seconds, less than the 24 candidates of 0.1.0 took on 160."""
    baselines: bool = False
    """Measure as well the better of both adapters by validation rows, and the global one after one epoch more on the
    client's own rows, which takes the time of that epoch."""


class Recipe(Section):
    """``[recipe]``: a row's name, and its choices; what a file leaves out, the row says."""

    name: Name
    personal: Personal
    """What a client trains for itself alone: ``none``, or a personal adapter by itself (``alone``)."""

    @property
    def has_personal(self) -> bool:
        """True where a client has an adapter of its own, which it never sends."""
        return self.personal != "none"
