"""Whole products of mixed ranks: what a member computes of the others' weights, which ``SECURITY.md`` says.

Under ``sums = "products"`` a client of rank r starts from the mean cut to its rank, and sends the whole product that
it has trained, times its weight. So the next mean is about the sum over ranks of P_r times the old mean cut to r, where
P_r is the share of the weights that the members of rank r have together. Every member knows both means, and solves for
P.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from support.federations import DrawnLearner, TestFederation, make_federation

from securefl.config.aggregation import AggregationSection
from securefl.config.recipes.catalogue import ROWS
from securefl.simulation.federation import SimulatedFederation

MIXED = (2, 4, 4, 8)
SAMPLES = (10, 60, 35, 95)
LAST = 3


@dataclass
class Settling(DrawnLearner):
    """A learner whose first rounds move much, and whose last one moves little, as training does."""

    def learn(self, round_number, start, basis):
        self.scale = 0.1 if round_number < LAST else 0.001
        return super().learn(round_number, start, basis)


def cut(matrix: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    return (left[:, :rank] * singular[:rank]) @ right[:rank]


def means_of(made: TestFederation, *, member: str) -> list[dict[str, NDArray[np.float64]]]:
    """The state after every round, as one member holds it."""
    members = {name: made.aggregation(name) for name in made.federation.cohort}
    learners = {
        each.id: Settling(each.id, each.rank, samples=count)
        for each, count in zip(made.federation.roster, SAMPLES, strict=True)
    }
    found = []

    def applied(name: str, number: int) -> None:
        if name == member:
            found.append({key: np.asarray(value) for key, value in members[name].state.weights.items()})

    SimulatedFederation(members, learners, signing_keys=made.signing_keys, applied=applied).run()
    return found


def shares_by_rank(before: dict, after: dict, ranks: tuple[int, ...]) -> dict[int, float]:
    """P_r, by least squares over all weights."""
    known = sorted(set(ranks))
    columns = [np.concatenate([cut(before[name], rank).ravel() for name in before]) for rank in known]
    target = np.concatenate([after[name].ravel() for name in before])
    solved, *_ = np.linalg.lstsq(np.stack(columns, axis=1), target, rcond=None)
    return dict(zip(known, solved.tolist(), strict=True))


def federation(ranks: tuple[int, ...], recipe: str = "flexlora", **changes: object) -> TestFederation:
    row = ROWS[recipe]
    return make_federation(
        ranks,
        **{
            "payload": row.payload,
            "aggregation": row.others.get("aggregation", AggregationSection()),
            "rounds": LAST,
            "scheme": "none",
            **changes,
        },
    )


def test_a_member_computes_the_share_of_the_weights_that_every_rank_has() -> None:
    """A limit that is stated: where one client has a rank alone, it is that client's share of all samples."""
    *_, before, after = means_of(federation(MIXED), member="client-2")
    found = shares_by_rank(before, after, MIXED)
    total = sum(SAMPLES)
    assert found == pytest.approx({2: 10 / total, 4: 95 / total, 8: 95 / total}, abs=0.02)


def test_with_one_rank_for_all_the_same_algebra_tells_nothing() -> None:
    *_, before, after = means_of(federation((4, 4, 4, 4)), member="client-2")
    assert shares_by_rank(before, after, (4,)) == pytest.approx({4: 1.0}, abs=0.02)


def test_where_changes_are_summed_a_start_is_in_no_sum() -> None:
    """The control: our own mean of changes of the same ranks, from which the same algebra gets no share."""
    changes = federation(MIXED, "products", payload="dense", aggregation=AggregationSection())
    *_, before, after = means_of(changes, member="client-2")
    found = shares_by_rank(before, after, MIXED)
    # The old mean is all in the new one, whatever the ranks are: it is that of the largest rank and what lies beyond.
    assert found[2] == pytest.approx(0.0, abs=0.02)
    assert found[4] == pytest.approx(0.0, abs=0.02)
