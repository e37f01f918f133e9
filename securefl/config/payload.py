"""``[payload]``: the part of an update that a client sends, a tagged union by ``name``; see ``adapters.payloads``.

The rule kept here: a key stands only in the section of the payload that reads it, so none can be set in vain.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from securefl.config.section import Section
from securefl.config.trained_sides import IN_TURN, SideChoice, TrainedSides

PayloadName = Literal["dense", "sketch", "basis", "state", "core", "factors", "head-only"]
"""All payloads, in the order in which plans compare them."""


Sums = Literal["changes", "products"]


class DensePayload(Section):
    """Whole changes of weights, or whole adapters' products."""

    name: Literal["dense"]
    sums: Sums = "changes"
    """``changes``: what a round changed, added to the global state; ``products``: whole scaled products, whose mean
    replaces the state (FlexLoRA, arXiv 2402.11505)."""


class SketchPayload(Section):
    """Sketches of what ``dense`` sends whole, from both sides."""

    name: Literal["sketch"]
    sums: Sums = "changes"
    """As under ``dense``."""
    rank: int | None = Field(default=None, ge=2, le=4096)
    """k: the mean is exact up to this rank, and near the best approximation of half of it; without it, twice the
    largest rank of the cohort. A weight whose sketch would not be smaller than itself is sent whole."""


class BasisPayload(Section):
    """One factor of a change, against a frozen random one."""

    name: Literal["basis"]


FrozenFrom = Literal["seed", "principal", "gradient"]
"""``seed``: drawn, the same for everybody; ``principal``: the leading singular vectors of each adapted weight of the
base model (PiSSA, arXiv 2404.02948; LoRA-XS, arXiv 2405.17604), which every member computes from its own copy to the
same bits; ``gradient``: those of the members' summed gradient at the public start (Fed-SB, arXiv 2502.15436; LoRA-GA,
arXiv 2407.05000), from one encrypted sum before the first round."""


class StatePayload(Section):
    """One factor of one shared adapter, against the learned other one (RoLoRA, arXiv 2502.01755)."""

    name: Literal["state"]
    side: SideChoice = "alternate"
    """``alternate``: B and A in turn, B first (RoLoRA); ``left``: always B, against one A (FFA-LoRA, arXiv 2403.12313);
    ``right``: always A, against one B."""
    every: int = Field(default=1, ge=1, le=10_000)
    """With ``alternate``: rounds in a row that train one side."""
    aligned: bool = False
    """True where A becomes, after every round, the right singular vectors of B A (FedSVD, arXiv 2505.12805)."""
    frozen_from: FrozenFrom = "seed"
    """Source of the first A, against which round 1 trains B: right singular vectors, orthonormal."""

    @model_validator(mode="after")
    def _one_side_has_no_turns(self) -> Self:
        if self.every > 1 and self.side != "alternate":
            raise ValueError(
                f'every = {self.every} counts the rounds of a side\'s turn, and with side = "{self.side}" there are '
                "no turns; write side = \"alternate\", or leave 'every' out"
            )
        return self

    @model_validator(mode="after")
    def _only_a_first_a_has_a_source(self) -> Self:
        if self.frozen_from != "seed" and self.side == "right":
            raise ValueError(
                f'frozen_from = "{self.frozen_from}" chooses the first A, and side = "right" trains A against a drawn '
                'B; write frozen_from = "seed", or side = "left"'
            )
        return self

    @model_validator(mode="after")
    def _only_orthonormal_rows_are_aligned(self) -> Self:
        if self.aligned and self.side != "left":
            raise ValueError(
                'side must be "left" where aligned = true, because rounds that train A leave its rows no longer '
                'orthonormal; write side = "left", or aligned = false'
            )
        return self


class AutoPayload(Section):
    """The payload that the cohort's ranks call for; the one that it is stands in the provisioned federation."""

    name: Literal["auto"]


class CorePayload(Section):
    """Square cores between frozen factors."""

    name: Literal["core"]
    heads: int = Field(default=1, ge=1, le=64)
    """h cores a weight, each between two frozen factors of its own, with a factor that is trained beside it (Ravan,
    arXiv 2506.05568); the global adapter has h times a client's rank."""
    frozen_from: FrozenFrom = "seed"
    """Source of both frozen factors: left and right singular vectors, orthonormal, for the whole federation."""


SharedFactors = Literal["both", "right"]


class FactorsPayload(Section):
    """Both factors as a client has them after a round, each averaged by itself (FedIT, HetLoRA)."""

    name: Literal["factors"]
    shares: SharedFactors = "both"
    """``right``: A alone is summed; every client's B stays with it (FedSA-LoRA, arXiv 2410.01463)."""


class HeadOnlyPayload(Section):
    """The task's head and no adapter: rounds train it on the base model's features, which nothing changes."""

    name: Literal["head-only"]


Payload = Annotated[
    DensePayload
    | SketchPayload
    | BasisPayload
    | StatePayload
    | CorePayload
    | FactorsPayload
    | HeadOnlyPayload,
    Field(discriminator="name"),
]
"""A payload that rounds are run under."""
PayloadChoice = Annotated[
    AutoPayload
    | DensePayload
    | SketchPayload
    | BasisPayload
    | StatePayload
    | CorePayload
    | FactorsPayload
    | HeadOnlyPayload,
    Field(discriminator="name"),
]
"""``[payload]`` as a file has it."""
_PAYLOAD: TypeAdapter[Payload] = TypeAdapter(Payload)


def payload_named(name: PayloadName) -> Payload:
    """A payload's section with every key at its default."""
    return _PAYLOAD.validate_python({"name": name})


def sums_of(payload: PayloadChoice) -> Sums:
    """Sums of a file's payload; changes where it leaves no choice."""
    return payload.sums if isinstance(payload, DensePayload | SketchPayload) else "changes"


def sums_whole(payload: PayloadChoice) -> bool:
    """True where members send what they have after a round, and its mean replaces the global state."""
    return sums_of(payload) == "products" or isinstance(payload, FactorsPayload)


def shares_of(payload: Payload) -> SharedFactors:
    """Factors that a file sums; both where it leaves no choice."""
    return payload.shares if isinstance(payload, FactorsPayload) else "both"


def sides_of(payload: Payload) -> TrainedSides:
    """Sides that a file's rounds train; both, every other round, where it leaves no choice."""
    return TrainedSides(payload.side, payload.every) if isinstance(payload, StatePayload) else IN_TURN


def is_aligned(payload: PayloadChoice) -> bool:
    """True where the learned factors are turned to their product's singular vectors after every round."""
    return isinstance(payload, StatePayload) and payload.aligned


def frozen_from_of(payload: PayloadChoice) -> FrozenFrom:
    """The source of a file's first frozen factors; the seed where it leaves no choice."""
    return payload.frozen_from if isinstance(payload, StatePayload | CorePayload) else "seed"


def core_heads_of(payload: Payload) -> int:
    """The number of cores a weight; 1 where none are sent."""
    return payload.heads if isinstance(payload, CorePayload) else 1


def sketch_rank_of(payload: Payload) -> int | None:
    """The rank that a file sets for its sketches; None where it sets none, or nothing is sketched."""
    return payload.rank if isinstance(payload, SketchPayload) else None
