"""Choices of the mean in words: what is summed, what members weigh, and how a mean becomes factors again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from securefl.config.aggregation import WeightsName
    from securefl.config.payload import FrozenFrom
    from securefl.config.trained_sides import TrainedSides
    from securefl.protocol.federation import Federation

_WEIGHTS: Final[Mapping[WeightsName, str]] = {
    "capped": "members weigh by their rows up to the cap",
    "samples": "members weigh by their rows, none above the cap",
    "equal": "all members weigh the same",
    "norm": "members weigh by the norms of their products",
}
_FROZEN: Final[Mapping[FrozenFrom, str]] = {
    "seed": "rounds begin from drawn factors",
    "principal": "rounds begin from singular vectors of the base model's weights",
    "gradient": "rounds begin from singular vectors of a summed gradient",
}
_IN_ROUND_1: Final = "One of the first round's values is the client's weight; later rounds have none."
_NOTES: Final[Mapping[WeightsName, str]] = {
    "capped": _IN_ROUND_1,
    "samples": _IN_ROUND_1,
    "equal": "No round has a weight: all clients count the same.",
    "norm": "One of every round's values is the client's weight, the norm of its product.",
}


def mean_choices(federation: Federation) -> Iterator[str]:
    """One line of what a recipe or file says of the mean beside the defaults; none where it says nothing."""
    aggregation = federation.terms.aggregation
    said = []
    if federation.plan.sums_products:
        said.append("whole products are summed, and their mean replaces the global state")
    if federation.plan.shares == "right":
        said.append("A alone is summed, and every client keeps its B")
    said.extend(_sides(federation.plan.sides))
    if federation.plan.aligned:
        said.append("A becomes the singular vectors of B A after every round")
    if federation.plan.frozen_from != "seed":
        said.append(_FROZEN[federation.plan.frozen_from])
    if aggregation.weights != "capped":
        said.append(_WEIGHTS[aggregation.weights])
    if aggregation.split != "left":
        said.append(f"singular values of a mean split {aggregation.split}")
    if said:
        yield f"  {'; '.join(said)}"


def _sides(sides: TrainedSides) -> Iterator[str]:
    if sides.choice == "left":
        yield "every round trains B alone"
    if sides.choice == "right":
        yield "every round trains A alone"
    if sides.every > 1:
        yield f"B and A are trained in turns of {sides.every} rounds"


def weight_note(federation: Federation) -> str:
    """Rounds whose contributions carry weights, in a sentence."""
    if not federation.plan.weighs_first:
        return "Weights are summed before round 1; no round has any."
    return _NOTES[federation.terms.aggregation.weights]
