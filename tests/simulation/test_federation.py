"""A whole federation in one process: exactness of the encrypted sum and of what every client makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from support.federations import ALPHA, TestFederation, learners_of, make_federation

from securefl.adapters.linalg import Decomposition
from securefl.adapters.update import Adapter
from securefl.aggregation.member import MemberAggregation
from securefl.config.outer import AdamSection, NesterovSection
from securefl.simulation.federation import SimulatedFederation


def run(federation: TestFederation) -> tuple[SimulatedFederation, dict[str, MemberAggregation], dict]:
    aggregations = {member: federation.aggregation(member) for member in federation.federation.cohort}
    learners = learners_of(federation.federation)
    simulated = SimulatedFederation(aggregations, learners, signing_keys=federation.signing_keys)
    simulated.run()
    return simulated, aggregations, learners


def final_adapters(aggregations: dict[str, MemberAggregation]) -> dict[str, Adapter]:
    return {member: aggregation.start() for member, aggregation in aggregations.items()}


def product(weight: Decomposition | np.ndarray) -> np.ndarray:
    return weight.product() if isinstance(weight, Decomposition) else weight


@pytest.mark.parametrize(
    ("payload", "sketch_rank", "heads"),
    [
        ("dense", None, 1),
        ("sketch", 4, 1),
        ("basis", None, 1),
        ("state", None, 1),
        ("core", None, 1),
        ("core", None, 3),
        ("factors", None, 1),
        ("head-only", None, 1),
    ],
)
def test_with_and_without_the_cipher_every_integer_and_every_adapter_is_the_same(
    payload: str, sketch_rank: int | None, heads: int
) -> None:
    choices = {"payload": payload, "sketch_rank": sketch_rank, "heads": heads, "rounds": 3}
    encrypted, members, _ = run(make_federation(scheme="kahe", **choices))
    twin, twin_members, _ = run(make_federation(scheme="none", **choices))

    for number in (1, 2, 3):
        for member in members:
            np.testing.assert_array_equal(
                encrypted.traffic[number].sums[member], twin.traffic[number].sums[member]
            )
    for member, adapter in final_adapters(members).items():
        other = twin_members[member].start()
        for name, factors in adapter.weights.items():
            np.testing.assert_array_equal(factors.A, other.weights[name].A)
            np.testing.assert_array_equal(factors.B, other.weights[name].B)


@pytest.mark.parametrize("payload", ["sketch", "state"])
def test_twelve_bits_are_summed_as_exactly_as_sixteen(payload: str) -> None:
    choices = {"payload": payload, "rounds": 2, "bits": 12}
    encrypted, members, _ = run(make_federation(scheme="bfv", **choices))
    twin, _, _ = run(make_federation(scheme="none", **choices))
    assert members["client-1"].federation.profile.lane_bits == 16
    for number in (1, 2):
        own, other = (run.traffic[number].sums["client-1"] for run in (encrypted, twin))
        np.testing.assert_array_equal(own, other)


def test_all_clients_hold_the_same_state_whatever_their_rank() -> None:
    _, members, _ = run(make_federation(ranks=(2, 4, 8, 16), rounds=2))

    states = [aggregation.state for aggregation in members.values()]
    for name in states[0].weights:
        for state in states[1:]:
            np.testing.assert_array_equal(product(states[0].weights[name]), product(state.weights[name]))


def test_all_clients_learn_the_same_shared_adapter_to_the_bit_under_encryption() -> None:
    _, members, _ = run(make_federation(payload="state", ranks=(2, 4, 8, 16), rounds=3, scheme="kahe"))
    first, *others = [aggregation.state.learned for aggregation in members.values()]
    assert others
    for name, pair in first.items():
        assert pair.A.shape[0] == 4
        assert pair.B.any()
        for other in others:
            assert other[name].A.tobytes() == pair.A.tobytes()
            assert other[name].B.tobytes() == pair.B.tobytes()


def test_each_client_gets_the_best_adapter_of_its_rank_of_the_true_weighted_mean() -> None:
    federation = make_federation(ranks=(2, 4, 8, 16), rounds=1)
    _, members, learners = run(federation)

    weights = {member: learner.samples / 100 for member, learner in learners.items()}
    for name in ("encoder.0.query", "encoder.0.value"):
        mean = sum(
            weights[member] * learner.updates[1].weights[name].product()
            for member, learner in learners.items()
        ) / sum(weights.values())
        u, s, vt = np.linalg.svd(mean)
        for aggregation in members.values():
            rank = aggregation.rank
            best = (u[:, :rank] * s[:rank]) @ vt[:rank]
            factors = aggregation.start().weights[name]
            got = ALPHA / rank * factors.B @ factors.A
            # The grid's step is 1/32767; rounding errors of 768 coordinates move a singular vector a little.
            assert np.abs(got - best).max() < 3e-4


def test_every_client_knows_the_same_estimate_of_what_its_sketch_missed() -> None:
    _, members, learners = run(make_federation(payload="sketch", sketch_rank=4, rounds=1))
    name = "encoder.0.query"
    known = [aggregation.reconstruction_error[name] for aggregation in members.values()]
    weights = {member: learner.samples / 100 for member, learner in learners.items()}
    products = {member: learner.updates[1].weights[name].product() for member, learner in learners.items()}
    mean = sum(weights[member] * products[member] for member in members) / sum(weights.values())
    missing = np.linalg.norm(mean - product(members["client-1"].state.weights[name]))
    assert all(estimate == known[0] for estimate in known)
    assert known[0].error == pytest.approx(missing, rel=0.5)
    assert 0.05 < known[0].share < 1


def test_exact_payloads_miss_nothing_to_estimate() -> None:
    _, members, _ = run(make_federation(payload="core", rounds=1))
    assert not members["client-1"].reconstruction_error


@pytest.mark.parametrize(("payload", "sketch_rank"), [("dense", None), ("sketch", 4)])
def test_every_client_knows_the_same_norm_of_the_mean_update(payload: str, sketch_rank: int | None) -> None:
    _, members, _ = run(make_federation(payload=payload, sketch_rank=sketch_rank, rounds=1))
    known = {aggregation.update_norm for aggregation in members.values()}
    # After the first round the state is the mean.
    weights = members["client-1"].state.weights.values()
    assert len(known) == 1
    assert known.pop() == pytest.approx(
        np.linalg.norm([np.linalg.norm(product(weight)) for weight in weights])
    )


def test_before_the_first_round_there_is_no_norm() -> None:
    assert make_federation().aggregation("client-1").update_norm is None


def test_the_uploaded_bytes_of_two_equal_updates_differ() -> None:
    federation = make_federation()
    bodies = []
    for _ in range(2):
        simulated, _, _ = run(federation)
        bodies.append(simulated.traffic[1].contributions["client-1"].body)

    assert bodies[0] != bodies[1]


@pytest.mark.parametrize(
    ("payload", "outer"),
    [
        ("sketch", NesterovSection(name="nesterov", momentum=0.5)),
        ("dense", AdamSection(name="adam", learning_rate=0.02)),
    ],
)
def test_an_outer_step_is_taken_along_the_decrypted_mean_by_all_members_alike(payload, outer) -> None:
    choices = {"payload": payload, "rounds": 3, "outer": outer}
    _, encrypted, _ = run(make_federation(scheme="bfv", **choices))
    _, twin, learners = run(make_federation(scheme="none", **choices))

    # Learners draw their updates whatever they start from, so that the means are known.
    total = sum(learner.samples for learner in learners.values())
    expected, first, second = 0.0, 0.0, 1e-6
    for number in (1, 2, 3):
        mean = sum(
            learner.samples / total * learner.updates[number].heads["classifier.weight"]
            for learner in learners.values()
        )
        if outer.name == "nesterov":
            first = 0.5 * first + mean
            expected = expected + mean + 0.5 * first
        else:
            first, second = 0.9 * first + 0.1 * mean, 0.99 * second + 0.01 * mean**2
            expected = expected + 0.02 * first / (np.sqrt(second) + 1e-3)
    for member, aggregation in encrypted.items():
        for name, factors in aggregation.start().weights.items():
            other = twin[member].start().weights[name]
            np.testing.assert_array_equal(factors.A, other.A)
            np.testing.assert_array_equal(factors.B, other.B)
        np.testing.assert_allclose(aggregation.state.heads["classifier.weight"], expected, atol=1e-3)


@pytest.mark.parametrize("choices", [{"payload": "sketch"}, {"payload": "dense", "fraction": 0.4}])
def test_one_time_keys_end_in_the_bits_of_bfv_and_of_their_twin(choices: dict[str, object]) -> None:
    states, lengths = [], []
    for scheme in ("kahe", "bfv", "none"):
        simulated, _, _ = run(make_federation(scheme=scheme, rounds=2, **choices))
        states.append([sums.tobytes() for sums in simulated.traffic[2].sums.values()])
        lengths.append(len(simulated.traffic[2].contributions["client-1"].body))
    assert states[0] == states[1] == states[2]
    assert lengths[0] == lengths[2] < lengths[1]
