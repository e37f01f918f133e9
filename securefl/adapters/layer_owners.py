"""Ownership by layer: which members train a layer of the model in a round, and which layers a round sums.

The rule kept here: a layer is trained and summed in a round only if at least c_max + 2 members own it then, so that a
coalition of the server with c_max clients reads a sum of two honest ones at least; a layer with fewer is trained by
nobody in that round. Who owns what follows from the federation file and the round's number: it is no member's secret,
and a mean divides by the number of owners, which everybody knows. Weights that are functions of data could not be
used: sums over owners that vary would differ by single members' weights.

Terms: a *layer* is all adapted weights of one block of the model, found by the first number in their names, such as
``encoder.layer.3``; the *quota* of a member is how many layers its share allows.

    geometric   the quota's layers by a shape over the depth, the same in every round
    random      one order of all layers a round, drawn without replacement from a prior; a quota takes its first ones
    fisher      the same, from a prior that sums of scores make (``layer_scores``), and for all rounds until the next

So under the last two each member's layers are a draw of its quota without replacement from the prior, and those of a
smaller quota are among those of a larger one: layers have many owners or few, and a small cohort keeps as many as it
can. Independent draws would leave most layers of a small cohort with too few owners.

    >>> from securefl.adapters.layout import TensorKind, TensorSpec
    >>> owners = layer_owners(
    ...     LayersSection(allocation="geometric", shares=(0.5, 1.0, 1.0)),
    ...     Layout(tuple(TensorSpec(f"layer.{n}.query", 4, 4, TensorKind.ADAPTED) for n in range(4))),
    ...     members=3, least=3, seed=7,
    ... )
    >>> owners.of_round(1).counts
    (3, 3, 0, 0)

Reference: Fed-HeLLo, arXiv 2506.12213 (GD-HLA, RGD-HLA, FIM-HLA).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

import numpy as np

from securefl.adapters.layout import Layout
from securefl.adapters.seeding import seeded_generator
from securefl.adapters.update import Factors, Update
from securefl.config.layers import LayersSection, Shape

BONE = (3, 3, 3, 2, 2, 1, 1, 1, 2, 3, 3, 3)
"""The prior of Fed-HeLLo's random allocation over 12 layers, in parts of 27: more at both ends of the depth."""


@dataclass(frozen=True, slots=True)
class RoundOwners:
    """Owners of every layer in one round.

    Attributes:
        layers: Names of each layer's weights, in their order.
        owned: For each member in the roster's order, the places of the layers that it trains.
    """

    layers: tuple[tuple[str, ...], ...]
    owned: tuple[frozenset[int], ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of owners of each layer; 0 where the round leaves it as it is."""
        return tuple(sum(place in own for own in self.owned) for place in range(len(self.layers)))

    def trained_by(self, member: int) -> frozenset[str]:
        """Weights that the member at a place of the roster trains."""
        return frozenset(name for place in self.owned[member] for name in self.layers[place])


@dataclass(frozen=True, slots=True)
class ScoredPrior:
    """A prior that sums of scores have made.

    Attributes:
        round_number: The round that summed them; it draws the order of all rounds after it, until the next scores.
        weights: Whole numbers that layers are drawn in proportion to.
    """

    round_number: int
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayerOwners:
    """Owners of every layer, round by round.

    Attributes:
        section: ``[layers]``.
        layers: Names of each layer's weights, in their order.
        quotas: Layers that each member can train, in the roster's order.
        least: The fewest owners that a summed layer has, c_max + 2.
        seed: The federation's.
    """

    section: LayersSection
    layers: tuple[tuple[str, ...], ...]
    quotas: tuple[int, ...]
    least: int
    seed: int

    def of_round(self, round_number: int, scored: ScoredPrior | None = None) -> RoundOwners:
        """The owners in a round.

        Args:
            round_number: From 1.
            scored: The prior that the last sums of scores have made; None before them, and where there are none.

        Guarantee:
            Each layer has no owner, or at least c_max + 2. A layer that a quota reaches and too few others is dropped
            from it; no member gets another in its place, since that would need its neighbours' resources.
        """
        by_quota = {quota: self._wanted(quota, round_number, scored) for quota in set(self.quotas)}
        wanted = [by_quota[quota] for quota in self.quotas]
        enough = {
            place for place in range(len(self.layers)) if sum(place in own for own in wanted) >= self.least
        }
        return RoundOwners(self.layers, tuple(frozenset(own & enough) for own in wanted))

    def drawn_rounds(self, rounds: int) -> int:
        """Number of rounds, from the first on, whose owners are known before the federation runs."""
        return min(rounds, self.section.first_scored) if self.section.allocation == "fisher" else rounds

    def _wanted(self, quota: int, round_number: int, scored: ScoredPrior | None) -> frozenset[int]:
        count = len(self.layers)
        match self.section.allocation:
            case "all":
                return frozenset(range(count))
            case "geometric":
                return shaped(self.section.shape or "triangle", quota=quota, layers=count)
            case "random" | "fisher":
                chosen = scored or ScoredPrior(round_number, prior(count))
                rng = seeded_generator(self.seed, "layers", chosen.round_number)
                return frozenset(drawn_order(chosen.weights, rng=rng)[:quota])
            case _:
                assert_never(self.section.allocation)


def layer_owners(
    section: LayersSection, layout: Layout, *, members: int, least: int, seed: int
) -> LayerOwners:
    """The owners of a federation's layers.

    Args:
        section: ``[layers]``.
        layout: The federation's tensors.
        members: n.
        least: c_max + 2.
        seed: The federation's.
    """
    layers = layers_of(layout)
    quotas = tuple(quota_of(section.share_of(place), layers=len(layers)) for place in range(members))
    return LayerOwners(section, layers, quotas, least, seed)


def layers_of(layout: Layout) -> tuple[tuple[str, ...], ...]:
    """Names of the adapted weights by layer, layers in the order of their first weight.

    A weight whose name has no number is a layer of its own.
    """
    found: dict[str, list[str]] = {}
    for tensor in layout.adapted:
        found.setdefault(_layer_name(tensor.name), []).append(tensor.name)
    return tuple(map(tuple, found.values()))


def _layer_name(tensor: str) -> str:
    """The name up to its first part that is a whole number; compared part by part, so layer 1 is not layer 10."""
    parts = tensor.split(".")
    numbered = next((place for place, part in enumerate(parts) if part.isdecimal()), len(parts))
    return ".".join(parts[: numbered + 1])


def quota_of(share: Fraction, *, layers: int) -> int:
    """The layers that a share allows: rounded to the nearest number, halves up, but at least one."""
    return max(1, int(share * layers + Fraction(1, 2)))


def shaped(shape: Shape, *, quota: int, layers: int) -> frozenset[int]:
    """Places of a quota of layers under a shape over the depth; place 0 is nearest to the input."""
    match shape:
        case "triangle":
            return frozenset(range(quota))
        case "inverted":
            return frozenset(range(layers - quota, layers))
        case "bottleneck":
            first = -(-quota // 2)
            return frozenset((*range(first), *range(layers - (quota - first), layers)))
        case "uniform":
            return frozenset(place * layers // quota for place in range(quota))
        case _:
            assert_never(shape)


def prior(layers: int) -> tuple[int, ...]:
    """``BONE`` stretched over so many layers: whole numbers that layers are drawn in proportion to."""
    return tuple(BONE[(2 * place + 1) * len(BONE) // (2 * layers)] for place in range(layers))


def drawn_order(weights: Sequence[int], *, rng: np.random.Generator) -> tuple[int, ...]:
    """All places in an order that is drawn without replacement, each time in proportion to the weights that are left.

    Args:
        weights: Whole numbers from 1; no float decides.
        rng: Draws one whole number a place.
    """
    left, order = list(range(len(weights))), []
    while left:
        mark = int(rng.integers(sum(weights[place] for place in left)))
        for place in left:
            mark -= weights[place]
            if mark < 0:
                break
        order.append(place)
        left.remove(place)
    return tuple(order)


def restricted(update: Update, trained: frozenset[str]) -> Update:
    """The update with no change of the weights that are not among ``trained``: factors of zeros."""
    return Update(
        weights={
            name: factors if name in trained else _nothing(factors)
            for name, factors in update.weights.items()
        },
        heads=update.heads,
    )


def _nothing(factors: Factors) -> Factors:
    rows, columns = factors.shape
    return Factors(np.zeros((rows, 1)), np.zeros((1, columns)))
