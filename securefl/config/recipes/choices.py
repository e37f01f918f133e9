"""``[recipe]`` and ``[fusion]``: a row's name, and the choices that no other section has."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from securefl.config.names import Name
from securefl.config.section import Section

DEFAULT: Final = "default"
Personal = Literal["none", "alone", "joint", "on-top", "backbone", "rest"]
Seeding = Literal["public", "personal"]
OwnRank = Literal["own"]
Finish = Literal["search", "few-shot", "none", "sum", "mixer", "fine-tune"]
LEAST_SEARCH_ROWS: Final = 30
"""With fewer validation rows a client does not search, and takes the plain mean of both adapters."""


class FusionSection(Section):
    """``[fusion]``: the search for how much of each adapter a client uses (after FDLoRA's AdaFusion)."""

    finish: Finish = "search"
    """``search``: the weights of both that the validation rows prefer, among ours; ``few-shot``: those that FDLoRA's
    own search finds on five mini-batches of them (``training.few_shot``); ``sum``: both as they are, beside each other;
    ``mixer``: both beside each other, each times its share, which a trained gate gives for every token (FedALT);
    ``fine-tune``: no two are fused, but the global one is trained on the client's own rows, as far as the validation
    rows prefer it so; ``none``: no fused adapter."""
    space: Literal["product", "factor"] = "product"
    max_samples: int = Field(default=375, ge=LEAST_SEARCH_ROWS)
    """At most so many of a client's validation rows, drawn with the seed: every candidate is measured on them. On
    MiniLM 375 rows take 11 processor seconds, less than the 24 candidates of 0.1.0 took on 160."""
    few_shot_budget: int = Field(default=40, ge=5, le=1000)
    """Most candidates of a few-shot search."""
    fine_tune_steps: int | None = Field(default=None, ge=1, le=1_000_000)
    """Steps of that training; without it, so many as read every row once."""
    baselines: bool = False
    """Measure as well the better of both adapters by validation rows, and the global one after one epoch more on the
    client's own rows, which takes the time of that epoch."""

    @property
    def fuses(self) -> bool:
        """True where a client makes an adapter of its own at the end, of two or of the global one."""
        return self.finish != "none"

    @property
    def few_shot(self) -> bool:
        """True where the weights are searched as FDLoRA does."""
        return self.finish == "few-shot"

    @property
    def mixes(self) -> bool:
        """True where a trained gate gives the share of each for every token."""
        return self.finish == "mixer"

    @property
    def tunes(self) -> bool:
        """True where the global adapter is trained on the client's own rows after the last round."""
        return self.finish == "fine-tune"

    @property
    def adds(self) -> bool:
        """True where both are added as they are."""
        return self.finish == "sum"


class Recipe(Section):
    """``[recipe]``: a row's name, and its choices; what a file leaves out, the row says."""

    name: Name
    personal: Personal
    """A client's own part: ``none``, a personal adapter by itself (``alone``), or one that moves in every step beside
    the shared one, and computes with it always (``joint``), or one that is trained after every round's mean has been
    applied, beside the shared one that this gave, and computes with it always (``on-top``), or a backbone of its own,
    beside which a shared adapter of one shape moves (``backbone``), or the adapter that it sends, which stays its own
    from round to round, beside the frozen mean of all others' (``rest``)."""
    personal_rank: OwnRank | Annotated[int, Field(ge=1, le=4096)] | Annotated[float, Field(gt=0, lt=1)] = (
        "own"
    )
    """Rank of the personal adapter; ``own`` for the client's own, with what of it the payload cannot sum; a number
    below 1 for that share of the client's own rank, at least 1 and halves up, such as 0.25 for PF2LoRA's r / 4."""
    seeding: Seeding = "public"
    """``public``: round 1 trains the shared adapter from its public start. ``personal``: round 1 trains the personal
    adapter alone, from that start, and sums its change; later rounds train the shared adapter only."""
    sync_every: int = Field(default=0, ge=0, le=10_000)
    """H: in rounds H, 2 H and so on the personal adapter becomes the client's locally trained global one, and is not
    trained by itself; 0 for never."""
    mu: float | None = Field(default=None, ge=0, le=1)
    """With ``backbone``: share of the shared adapter's loss while a client trains its own model; the rest is the loss
    of that model's own head."""

    @property
    def has_personal(self) -> bool:
        """True where a client has an adapter of its own, which it never sends."""
        return self.personal not in ("none", "rest")

    def private_rank(self, rank: int) -> int | None:
        """Rank of the personal adapter of a client of this rank; None where it follows from what the payload sums."""
        chosen = self.personal_rank
        if chosen == "own":
            return None
        if isinstance(chosen, int):
            return chosen
        # As it is written: 0.1 is a tenth.
        return max(1, math.floor(rank * Fraction(repr(chosen)) + Fraction(1, 2)))

    @property
    def seeded(self) -> bool:
        """True where the mean of the personal adapters is the start of the shared one."""
        return self.seeding == "personal"

    def seeds(self, round_number: int) -> bool:
        """True for the round that trains these personal adapters."""
        return self.seeded and round_number == 1

    def syncs(self, round_number: int) -> bool:
        """True for a round whose locally trained global adapter becomes the client's personal one."""
        return self.sync_every > 0 and round_number % self.sync_every == 0

    @property
    def joins(self) -> bool:
        """True where the personal adapter is trained in the steps of the shared one, and is of use beside it only."""
        return self.personal == "joint"

    @property
    def tops(self) -> bool:
        """True where the personal adapter is trained beside what each round has made of the shared one."""
        return self.personal == "on-top"

    @property
    def needs_shared(self) -> bool:
        """True where the personal adapter is of use beside the shared one only, and both are served as their sum."""
        return self.joins or self.tops

    @property
    def keeps_sent(self) -> bool:
        """True where the adapter that a client sends stays its own, beside the mean of all others'."""
        return self.personal == "rest"

    @property
    def stands_alone(self) -> bool:
        """True where the personal adapter is a whole model's by itself."""
        return self.has_personal and not self.needs_shared

    def trains_alone(self, round_number: int) -> bool:
        """True for a round beside which the personal adapter is trained by itself."""
        return self.stands_alone and not self.seeded and not self.syncs(round_number)

    @property
    def own_backbones(self) -> bool:
        """True where every client has a base model of its own, and only a small adapter beside it is shared."""
        return self.personal == "backbone"

    def without_personal(self) -> Self:
        """The same recipe where clients have no adapter of their own."""
        return type(self)(name=self.name, personal="none")
