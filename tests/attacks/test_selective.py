"""Selective encryption: what the plain coordinates tell of the encrypted ones, and of what they are themselves.

The first test is why a sketched weight is encrypted as one; the last two show what plain coordinates give away by
themselves, which SECURITY.md says and ``allow_plaintext`` accepts.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from support.payloads import encoded

from securefl.adapters.frozen.basis import Side
from securefl.adapters.frozen.core import CoreBases
from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import SegmentKind
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.selection import feature_count, feature_places, select, split
from securefl.adapters.sketching import draw_projections, sketch
from securefl.adapters.update import Factors, Matrix, Update

LAYOUT = Layout(
    (
        TensorSpec("query", 96, 96, TensorKind.ADAPTED),
        TensorSpec("value", 96, 96, TensorKind.ADAPTED),
        TensorSpec("classifier.weight", 5, 96, TensorKind.HEAD),
        TensorSpec("classifier.bias", 5, 1, TensorKind.HEAD),
    )
)
RANKS = (2, 4, 4, 8)
GRID_STEP = 0.5 / 32767


def update_of(plan: PayloadPlan, rank: int, *, round_number: int, seed: int = 0) -> Update:
    """What a client of this rank may contribute to a round."""
    rng, basis = np.random.default_rng(seed), plan.for_round(round_number).frozen
    weights = {}
    for tensor in LAYOUT.adapted:
        left, right = rng.normal(0, 0.02, (tensor.rows, rank)), rng.normal(0, 0.1, (rank, tensor.columns))
        if isinstance(basis, CoreBases):
            pair = basis.cut(tensor.name, rank)
            side = pair.right.shape[0]
            left, right = pair.left @ rng.normal(0, 0.02, (side, side)), pair.right
        elif basis is not None:
            frozen = basis.cut(tensor.name, rank)
            if basis.side is Side.LEFT:
                left, right = left[:, : len(frozen)], frozen
            else:
                left, right = frozen, right[: frozen.shape[1]]
        weights[tensor.name] = Factors(left, right)
    heads = {tensor.name: rng.normal(0, 0.1, (tensor.rows, tensor.columns)) for tensor in LAYOUT.heads}
    return Update(weights=weights, heads=heads)


def plan_of(payload: str) -> PayloadPlan:
    return PayloadPlan(
        payload=payload,  # type: ignore[arg-type]
        layout=LAYOUT,
        ranks=RankTable(RANKS),
        bits=16,
        adapter_bound=0.25,
        head_bound=2.0,
        samples_cap=10,
        seed=3,
    )


def plain_part(
    plan: PayloadPlan, update: Update, rank: int, *, round_number: int, share: Fraction
) -> np.ndarray:
    """What stays plain where the first weight's features have the highest scores."""
    payload = plan.for_round(round_number).payload
    scores = np.ones(feature_count(LAYOUT), dtype=np.int64)
    place = feature_places(LAYOUT)["query"]
    scores[place.rows], scores[place.columns] = 1000, 1000
    mask = select(payload.segments, LAYOUT, scores, share)
    return split(encoded(payload, update, rank=rank), mask)[1]


def share_of_the_first_weight(plan: PayloadPlan, *, round_number: int) -> Fraction:
    segments = plan.for_round(round_number).payload.segments
    always = sum(s.size for s in segments if s.kind is SegmentKind.HEAD or s.partition != 0)
    first = sum(s.size for s in segments if s.tensor == "query" and s.partition == 0)
    return Fraction(always + first, sum(s.size for s in segments))


def test_single_features_of_a_sketch_could_be_computed_from_the_plain_ones() -> None:
    """Control: with a tenth of the rows and columns hidden, the server solves for the hidden rows of the range."""
    rng = np.random.default_rng(1)
    update = Factors(rng.normal(0, 0.02, (96, 4)), rng.normal(0, 0.1, (4, 96)))
    projections = draw_projections(96, 96, rank=16, rng=rng)
    seen = sketch(update, projections)
    hidden = rng.permutation(96) < 10
    range_, corange = rounded(seen.range, rng), rounded(np.vstack([seen.corange, seen.check]), rng)
    found = rows_from_the_rest(range_[~hidden], corange[:, ~hidden], hidden, projections, rank=4)
    wrong = np.linalg.norm(found - seen.range[hidden]) / np.linalg.norm(seen.range[hidden])
    assert wrong < 0.05


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core", "factors"])
@pytest.mark.parametrize("round_number", [1, 2])
def test_a_hidden_weight_has_no_influence_on_what_stays_plain(payload: str, round_number: int) -> None:
    plan = plan_of(payload)
    share = share_of_the_first_weight(plan, round_number=round_number)
    one, other = (update_of(plan, 4, round_number=round_number, seed=seed) for seed in (0, 1))
    mixed = Update(weights={"query": other.weights["query"], "value": one.weights["value"]}, heads=one.heads)
    plain = [
        plain_part(plan, update, 4, round_number=round_number, share=share) for update in (one, mixed, other)
    ]
    np.testing.assert_array_equal(plain[0], plain[1])
    assert not np.array_equal(plain[0], plain[2])


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state", "core", "factors"])
def test_heads_and_with_them_the_labels_of_a_client_have_no_influence_on_what_stays_plain(
    payload: str,
) -> None:
    plan = plan_of(payload)
    one = update_of(plan, 4, round_number=2)
    other = Update(weights=one.weights, heads={name: 2 * head for name, head in one.heads.items()})
    plain = [plain_part(plan, update, 4, round_number=2, share=Fraction(1, 100)) for update in (one, other)]
    np.testing.assert_array_equal(*plain)


@pytest.mark.parametrize("payload", ["basis", "state", "core", "factors"])
@pytest.mark.parametrize("round_number", [1, 2])
def test_no_zeros_show_which_rank_partitions_a_client_owns(payload: str, round_number: int) -> None:
    plan = plan_of(payload)
    for rank in (2, 8):
        update = update_of(plan, plan.update_rank(rank), round_number=round_number)
        assert plain_part(plan, update, rank, round_number=round_number, share=Fraction(1, 100)).all()


@pytest.mark.parametrize("rank", [2, 4, 8])
def test_plain_rows_of_a_product_show_the_clients_rank(rank: int) -> None:
    """A limit that SECURITY.md states: a tenth of the rows is encrypted, the others have the rank of all."""
    plan = plan_of("dense")
    plain = plain_part(
        plan, update_of(plan, rank, round_number=1), rank, round_number=1, share=Fraction(1, 10)
    )
    rows = rounded(plain[plain.size - 96 * 80 :].reshape(80, 96), np.random.default_rng(2))
    singular = np.linalg.svd(rows, compute_uv=False)
    assert int((singular[:-1] / singular[1:]).argmax()) + 1 == rank


def rounded(values: Matrix, rng: np.random.Generator) -> Matrix:
    """Stochastic rounding to the grid, as a contribution has it."""
    rounded: Matrix = np.floor(values / GRID_STEP + rng.random(values.shape)) * GRID_STEP
    return rounded


def rows_from_the_rest(range_, corange, hidden, projections, *, rank: int) -> Matrix:
    """The hidden rows of a range sketch, from its plain rows and the plain columns of the other two sketches.

    The update is L R with unknown factors. The plain rows give L there up to a change of basis H, and the row space T
    of the range sketch; the plain columns give the span S of P L, where P are the test matrices of rows. So P_h L_h =
    S X - P_p L_p, with the few unknowns L_h and X: least squares, column by column.
    """
    span = np.linalg.svd(corange, full_matrices=False)[0][:, :rank]
    row_space = np.linalg.svd(range_, full_matrices=False)[2][:rank]
    known = range_ @ row_space.T
    tests = np.vstack([projections.psi, projections.theta])
    unknown = np.hstack([tests[:, hidden], -span])
    solved = np.linalg.lstsq(unknown, -tests[:, ~hidden] @ known, rcond=None)[0]
    rows: Matrix = solved[: int(hidden.sum())] @ row_space
    return rows
