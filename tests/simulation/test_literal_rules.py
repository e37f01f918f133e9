"""Rows that bear a paper's name, round by round against the paper's steps written in numpy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from support.federations import ALPHA, DrawnLearner, TestFederation, make_federation

from securefl.adapters.scaling import scaling_of
from securefl.adapters.update import Adapter, LoraFactors
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.weight_rule import NORM_CAP
from securefl.config.aggregation import AggregationSection
from securefl.config.model import LoraTerms
from securefl.config.payload import DensePayload, StatePayload
from securefl.config.recipes.catalogue import ROWS
from securefl.config.recipes.row import Row
from securefl.errors import DataError
from securefl.simulation.federation import SimulatedFederation

ROUNDS = 3
SAMPLES = (10, 60, 35, 95)
WEIGHTS = ("encoder.0.query", "encoder.0.value")
HEAD = "classifier.weight"
CLOSE = 2e-3
"""Far above the grid's rounding (1e-4 an entry), far below what a round changes (0.05 and more)."""


def of_row(row: Row, ranks: tuple[int, ...], **changes: object) -> TestFederation:
    """A federation without a model whose payload and aggregation are a row's."""
    chosen = {"payload": row.payload, "outer": row.outer, "rounds": ROUNDS, "scheme": "none"}
    if "aggregation" in row.others:
        chosen["aggregation"] = row.others["aggregation"]
    if "lora" in row.others:
        said = row.others["lora"].model_dump(exclude_unset=True)
        chosen["lora"] = LoraTerms.model_validate({"lora_alpha": ALPHA, "use_rslora": False} | said)
    return make_federation(ranks, **chosen | changes)


@dataclass
class Watched(DrawnLearner):
    """A learner that keeps the starts that it was given."""

    starts: dict[int, Adapter] = field(default_factory=dict)

    def learn(self, round_number, start, basis):
        self.starts[round_number] = start.copy()
        return super().learn(round_number, start, basis)


def run(made: TestFederation, samples: tuple[int, ...] = SAMPLES) -> tuple[dict, dict]:
    members: dict[str, MemberAggregation] = {
        member: made.aggregation(member) for member in made.federation.cohort
    }
    learners = {
        member.id: Watched(
            member.id,
            member.rank,
            samples=count,
            scaling=scaling_of(made.federation.terms.lora, member.rank),
            whole_rank=made.federation.plan.update_rank(member.rank)
            if made.federation.terms.payload.name == "factors"
            else None,
        )
        for member, count in zip(made.federation.roster, samples, strict=True)
    }
    SimulatedFederation(members, learners, signing_keys=made.signing_keys).run()
    return members, learners


def shares() -> np.ndarray:
    return np.array(SAMPLES) / sum(SAMPLES)


def factors_after(learner: Watched, number: int, name: str) -> LoraFactors:
    """A_k and B_k as the client has trained them, from its start and its update."""
    change, rank = learner.updates[number].weights[name], learner.rank
    return LoraFactors(A=change.right[:rank], B=change.left[:, :rank] / learner.scaling)


@pytest.mark.parametrize("rule", ["flexlora", "hlora"])
def test_each_round_starts_from_the_papers_split_of_the_mean_of_whole_products(rule: str) -> None:
    ranks = (2, 4, 8, 16)
    members, learners = run(of_row(ROWS[rule], ranks))
    for number in range(1, ROUNDS + 1):
        for name in WEIGHTS:
            trained = [factors_after(learner, number, name) for learner in learners.values()]
            scalings = [ALPHA / rank if rule == "flexlora" else 1.0 for rank in ranks]
            mean = sum(
                share * scaling * pair.B @ pair.A
                for share, scaling, pair in zip(shares(), scalings, trained, strict=True)
            )
            u, s, vt = np.linalg.svd(mean, full_matrices=False)
            for member, learner in learners.items():
                rank = learner.rank
                after = members[member].start() if number == ROUNDS else learner.starts[number + 1]
                got = after.weights[name]
                if rule == "flexlora":
                    expected = LoraFactors(A=vt[:rank], B=u[:, :rank] * s[:rank] / (ALPHA / rank))
                    np.testing.assert_allclose(got.A @ got.A.T, np.eye(rank), atol=1e-9)
                else:
                    expected = LoraFactors(A=s[:rank, None] * vt[:rank], B=u[:, :rank])
                    np.testing.assert_allclose(got.B.T @ got.B, np.eye(rank), atol=1e-9)
                np.testing.assert_allclose(got.B @ got.A, expected.B @ expected.A, atol=CLOSE)
                for row in range(rank):
                    # Singular vectors are the papers' but for a sign, and for what rounding does to near ones.
                    assert np.linalg.norm(got.A[row]) == pytest.approx(
                        np.linalg.norm(expected.A[row]), abs=20 * CLOSE
                    )


def test_heads_are_averaged_by_samples_over_all_samples() -> None:
    members, learners = run(of_row(ROWS["flexlora"], (2, 4, 8, 16)))
    expected = sum(
        share * sum(learner.updates[number].heads[HEAD] for number in range(1, ROUNDS + 1))
        for share, learner in zip(shares(), learners.values(), strict=True)
    )
    assert members["client-1"].state.heads[HEAD] == pytest.approx(expected, abs=CLOSE)


def test_a_member_above_the_bound_of_samples_is_refused_before_it_sends() -> None:
    with pytest.raises(DataError, match=r"'cohort\.samples_cap'"):
        run(of_row(ROWS["flexlora"], (2, 4, 8, 16)), samples=(10, 60, 101, 95))


def test_a_bound_far_above_all_counts_changes_nothing_but_rounding() -> None:
    """What is divided by is the sum of samples, not of capped ones."""
    starts = []
    for samples in (SAMPLES, tuple(count // 5 for count in SAMPLES)):
        members, _ = run(of_row(ROWS["flexlora"], (4, 4, 4, 4), rounds=1), samples=samples)
        pair = members["client-2"].start().weights[WEIGHTS[0]]
        starts.append(pair.B @ pair.A)
    assert starts[0] == pytest.approx(starts[1], abs=CLOSE)


def test_equal_weights_are_not_sent_and_ignore_samples() -> None:
    made = make_federation(
        (4, 4, 4, 4),
        payload=DensePayload(name="dense"),
        aggregation=AggregationSection(weights="equal"),
        rounds=1,
        scheme="none",
    )
    assert made.federation.kind_of(1).weights == 0
    members, learners = run(made)
    mean = sum(learner.updates[1].heads[HEAD] for learner in learners.values()) / len(SAMPLES)
    assert members["client-1"].state.heads[HEAD] == pytest.approx(mean, abs=CLOSE)


def test_an_update_norm_of_whole_products_is_that_of_their_change() -> None:
    one, two = (run(of_row(ROWS["flexlora"], (4, 4, 4, 4), rounds=rounds))[0] for rounds in (1, 2))
    states = [ended["client-1"].state for ended in (one, two)]
    change = [np.asarray(states[1].weights[name]) - np.asarray(states[0].weights[name]) for name in WEIGHTS]
    norm = np.linalg.norm([np.linalg.norm(each) for each in change])
    assert two["client-3"].update_norm == pytest.approx(norm)


def test_under_flexlora_the_mean_replaces_what_no_rank_could_hold() -> None:
    """Four clients of rank 2 make a mean of rank 8; after a round in which nobody moves, only rank 2 is left of it."""
    made = of_row(ROWS["flexlora"], (2, 2, 2, 2), rounds=2)
    members: dict[str, MemberAggregation] = {name: made.aggregation(name) for name in made.federation.cohort}
    learners = {name: Stopping(name, 2, samples=50) for name in members}
    SimulatedFederation(members, learners, signing_keys=made.signing_keys).run()
    for weight in members["client-1"].state.weights.values():
        singular = np.linalg.svd(np.asarray(weight), compute_uv=False)
        assert singular[1] > 0.05
        assert singular[2] < CLOSE


@dataclass
class Stopping(Watched):
    """A learner that moves in the first round alone."""

    def learn(self, round_number, start, basis):
        self.scale = 0.02 if round_number == 1 else 0.0
        return super().learn(round_number, start, basis)


def steps_of(learners: dict, number: int, name: str, *, side: str) -> np.ndarray:
    """n_k / sum n times the trained factor's step of every client, summed."""
    return sum(
        share * getattr(learner.updates[number].weights[name], side)
        for share, learner in zip(shares(), learners.values(), strict=True)
    )


def frozen_of(learners: dict, number: int, name: str, *, side: str) -> np.ndarray:
    """The frozen factor that every client trained against: one and the same."""
    first, *others = (getattr(learner.updates[number].weights[name], side) for learner in learners.values())
    assert all(np.array_equal(first, other) for other in others)
    return first


def state_row(**keys: object) -> Row:
    return replace(ROWS["rolora"], payload=StatePayload.model_validate({"name": "state"} | keys))


@pytest.mark.parametrize(
    ("row", "frozen", "trained"),
    [(ROWS["ffa"], "right", "left"), (state_row(side="right"), "left", "right")],
    ids=["ffa", "right"],
)
def test_one_factor_is_frozen_for_ever_and_the_other_one_is_the_sum_of_mean_steps(
    row: Row, frozen: str, trained: str
) -> None:
    members, learners = run(of_row(row, (4, 4, 4, 4)))
    for name in WEIGHTS:
        first = frozen_of(learners, 1, name, side=frozen)
        steps = sum(steps_of(learners, number, name, side=trained) for number in range(1, ROUNDS + 1))
        for member in members.values():
            learned = member.state.learned[name]
            found = {"left": learned.B, "right": learned.A}
            assert np.array_equal(found[frozen], first)
            assert pytest.approx(steps, abs=CLOSE) == found[trained]


def test_under_rolora_each_round_freezes_the_factor_that_the_round_before_has_learned() -> None:
    members, learners = run(of_row(ROWS["rolora"], (4, 4, 4, 4)))
    for name in WEIGHTS:
        A = frozen_of(learners, 1, name, side="right")
        B = np.zeros((members["client-1"].state.learned[name].B.shape[0], 4))
        for number in range(1, ROUNDS + 1):
            if number % 2:
                assert frozen_of(learners, number, name, side="right") == pytest.approx(A, abs=CLOSE)
                B = B + steps_of(learners, number, name, side="left")
            else:
                assert frozen_of(learners, number, name, side="left") == pytest.approx(B, abs=CLOSE)
                A = A + steps_of(learners, number, name, side="right")
        learned = members["client-1"].state.learned[name]
        assert pytest.approx(A, abs=CLOSE) == learned.A
        assert pytest.approx(B, abs=CLOSE) == learned.B


def test_turns_of_two_rounds_train_b_twice_and_then_a_against_the_sum_of_both_steps() -> None:
    members, learners = run(of_row(state_row(every=2), (4, 4, 4, 4)))
    for name in WEIGHTS:
        A = frozen_of(learners, 1, name, side="right")
        assert np.array_equal(frozen_of(learners, 2, name, side="right"), A)
        B = steps_of(learners, 1, name, side="left") + steps_of(learners, 2, name, side="left")
        assert frozen_of(learners, 3, name, side="left") == pytest.approx(B, abs=CLOSE)
        learned = members["client-1"].state.learned[name]
        assert pytest.approx(B, abs=CLOSE) == learned.B
        assert pytest.approx(A + steps_of(learners, 3, name, side="right"), abs=CLOSE) == learned.A


def test_under_fedsvd_each_round_freezes_the_right_singular_vectors_of_the_product_before_it() -> None:
    members, learners = run(of_row(ROWS["fedsvd"], (4, 4, 4, 4)))
    for name in WEIGHTS:
        product = 0.0
        for number in range(1, ROUNDS + 1):
            A = frozen_of(learners, number, name, side="right")
            np.testing.assert_allclose(A @ A.T, np.eye(4), atol=1e-12)
            if number > 1:
                # To rounding: the mean before it is known to the grid's step, and its own factors exactly.
                vt = np.linalg.svd(product)[2][:4]
                np.testing.assert_allclose(np.abs(np.sum(A * vt, axis=1)), 1.0, atol=1e-3)
            product = product + steps_of(learners, number, name, side="left") @ A
        learned = members["client-1"].state.learned[name]
        assert pytest.approx(product, abs=CLOSE) == learned.B @ learned.A
        singular = np.linalg.norm(learned.B, axis=0)
        assert (np.diff(singular) <= 0).all()


def whole_of(learner: Watched, number: int, name: str, *, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """A_k and B_k as a client sends them, padded with zeros up to a rank."""
    pair = learner.updates[number].weights[name]
    missing = rank - pair.right.shape[0]
    return np.pad(pair.right, ((0, missing), (0, 0))), np.pad(pair.left, ((0, 0), (0, missing)))


def test_under_fedit_both_factors_are_the_means_of_the_clients_own_by_samples() -> None:
    members, learners = run(of_row(ROWS["fedit"], (4, 4, 4, 4)))
    for number in range(1, ROUNDS + 1):
        for name in WEIGHTS:
            sent = [whole_of(learner, number, name, rank=4) for learner in learners.values()]
            A, B = (sum(share * pair[i] for share, pair in zip(shares(), sent, strict=True)) for i in (0, 1))
            for member, learner in learners.items():
                after = members[member].start() if number == ROUNDS else learner.starts[number + 1]
                assert pytest.approx(A, abs=CLOSE) == after.weights[name].A
                assert pytest.approx(B, abs=CLOSE) == ALPHA / 4 * after.weights[name].B


def test_under_hetlora_padded_factors_are_averaged_by_the_norms_of_the_products_of_the_round() -> None:
    # Four members share 4 directions; the fourth has more, of which it trains no more.
    ranks, shared = (2, 4, 4, 8), 4
    made = of_row(ROWS["hetlora"], ranks)
    assert [made.federation.kind_of(number).weights for number in (1, 2, 3)] == [1, 1, 1]
    members, learners = run(made)
    for number in range(1, ROUNDS + 1):
        norms = np.array(
            [
                np.sqrt(sum(np.sum(learner.updates[number].weights[name].product() ** 2) for name in WEIGHTS))
                for learner in learners.values()
            ]
        )
        for name in WEIGHTS:
            sent = [whole_of(learner, number, name, rank=shared) for learner in learners.values()]
            A, B = (
                sum(norm * pair[i] for norm, pair in zip(norms, sent, strict=True)) / norms.sum()
                for i in (0, 1)
            )
            for member, learner in learners.items():
                after = members[member].start() if number == ROUNDS else learner.starts[number + 1]
                kept = min(learner.rank, shared)
                got, scaling = after.weights[name], ALPHA / learner.rank
                # Values are sent times norm / 64, about 1/20 here, which costs bits of the grid.
                np.testing.assert_allclose(got.A[:kept], A[:kept], atol=10 * CLOSE)
                np.testing.assert_allclose(scaling * got.B[:, :kept], B[:, :kept], atol=10 * CLOSE)
                assert not got.B[:, shared:].any()


def test_members_beyond_the_cap_of_norms_weigh_the_same() -> None:
    low = AggregationSection(weights="norm", norm_cap=1e-3)
    members, learners = run(of_row(ROWS["hetlora"], (4, 4, 4, 4), aggregation=low, rounds=1))
    mean = sum(learner.updates[1].heads[HEAD] for learner in learners.values()) / len(SAMPLES)
    assert members["client-1"].state.heads[HEAD] == pytest.approx(mean, abs=CLOSE)


@pytest.mark.parametrize(("cap", "clipped"), [(1e-3, 1), (64.0, 0)])
def test_a_norm_above_its_cap_is_counted_among_what_was_clipped(cap: float, clipped: int) -> None:
    made = of_row(ROWS["hetlora"], (4, 4, 4, 4), aggregation=AggregationSection(weights="norm", norm_cap=cap))
    member, federation = made.aggregation("client-1"), made.federation
    learner = DrawnLearner("client-1", 4, whole_rank=federation.plan.update_rank(4))
    encoded = member.prepare(learner, round_number=1)
    assert encoded.integers.size
    assert encoded.saturated.get(NORM_CAP, 0) == clipped
    assert sum(encoded.saturated.values()) == clipped


def test_norms_of_every_round_stay_encrypted_under_selective_encryption() -> None:
    made = of_row(ROWS["hetlora"], (4, 4, 4, 4), fraction=0.3, scheme="bfv")
    twin = of_row(ROWS["hetlora"], (4, 4, 4, 4))
    assert made.federation.kind_of(2).selective
    (members, _), (others, _) = run(made), run(twin)
    assert members["client-1"].start().digest == others["client-1"].start().digest


def test_under_fedsa_only_a_is_summed_and_its_mean_is_by_samples() -> None:
    made, both = (of_row(ROWS[name], (4, 4, 4, 4)) for name in ("fedsa", "fedit"))
    left = 4 * sum(tensor.rows for tensor in made.federation.layout.adapted)
    assert both.federation.kind_of(1).values - made.federation.kind_of(1).values == left
    members, learners = run(made)
    for name in WEIGHTS:
        sent = [whole_of(learner, ROUNDS, name, rank=4)[0] for learner in learners.values()]
        mean = sum(share * A for share, A in zip(shares(), sent, strict=True))
        for member in members.values():
            assert pytest.approx(mean, abs=CLOSE) == member.start().weights[name].A
            assert not member.start().weights[name].B.any()


def test_under_fedsa_the_norm_of_a_round_is_that_of_what_a_has_moved() -> None:
    """The products are each member's own; of those that all know there is no change."""
    made = of_row(ROWS["fedsa"], (4, 4, 4, 4), rounds=1)
    start = made.aggregation("client-1").state.weights
    members, _ = run(made)
    after = members["client-1"].state.weights
    moved = [np.linalg.norm(after[name].A - start[name].A) for name in WEIGHTS]
    assert members["client-1"].update_norm == pytest.approx(np.linalg.norm(moved))
    assert members["client-1"].update_norm > 0
