"""The member's sequence: its stages in order, each told to the clock, whoever's clock it is."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.attempts import cohort_of
from support.federations import learners_of, make_federation

import securefl
from securefl.aggregation.clock import Stage
from securefl.aggregation.member import MemberAggregation
from securefl.bench.overhead.measurement import PHASES
from securefl.errors import TrainingError
from securefl.progress import Phase
from securefl.simulation.federation import SimulatedFederation

MEMBER_STAGES = set(Stage) - {Stage.ADD, Stage.PUBLISH}


class RecordingClock:
    """Keeps what it is told: stages that begin, and how many items each stage made."""

    def __init__(self) -> None:
        self.begun: list[tuple[Stage, int]] = []
        self.made: dict[tuple[Stage, int], int] = {}
        self.open: list[Stage] = []

    @contextmanager
    def stage(self, stage: Stage, round_number: int) -> Iterator[None]:
        self.begun.append((stage, round_number))
        self.open.append(stage)
        try:
            yield
        finally:
            self.open.pop()

    def through(self, stage: Stage, round_number: int, source: Iterable) -> Iterator:
        for item in source:
            self.made[stage, round_number] = self.made.get((stage, round_number), 0) + 1
            yield item


def test_a_round_tells_the_clock_its_stages_in_their_order() -> None:
    made = make_federation(payload="basis", scheme="none", rounds=2)
    clocks = {member: RecordingClock() for member in made.federation.cohort}
    members = {member: made.aggregation(member, clock=clocks[member]) for member in clocks}
    SimulatedFederation(members, learners_of(made.federation), signing_keys=made.signing_keys).run()
    order = [Stage.ENCODE, Stage.TRAIN, Stage.ENCODE, Stage.DECRYPT, Stage.REDISTRIBUTE]
    expected = [(stage, number) for number in (1, 2) for stage in order]
    assert all(clock.begun == expected for clock in clocks.values())


def test_integers_and_windows_count_as_their_stage_as_they_are_made() -> None:
    made = make_federation(payload="dense", scheme="none", rounds=1)
    clock, learner = RecordingClock(), learners_of(made.federation)["client-1"]
    aggregation = made.aggregation("client-1", clock=clock)
    encoded = aggregation.prepare(learner, round_number=1)
    encryption = aggregation.encrypt_attempt(encoded, cohort=cohort_of(made, 1), salt=bytes(32))
    assert clock.made == {}
    windows = list(encryption.windows())
    assert clock.made[Stage.ENCRYPT, 1] == len(windows)
    assert clock.made[Stage.ENCODE, 1] > 0


def test_a_stage_that_fails_is_over() -> None:
    class Failing:
        samples = 3

        def learn(self, round_number: int, start: object, frozen: object, /) -> None:
            raise TrainingError("no")

    made = make_federation(payload="dense", scheme="none")
    clock = RecordingClock()
    aggregation: MemberAggregation = made.aggregation("client-1", clock=clock)
    with pytest.raises(TrainingError):
        aggregation.prepare(Failing(), round_number=1)  # type: ignore[arg-type]
    assert clock.begun[-1] == (Stage.TRAIN, 1)
    assert clock.open == []


def test_the_server_is_timed_by_a_clock_of_its_own() -> None:
    made = make_federation(ranks=(2, 4, 8), payload="dense", scheme="none", rounds=1)
    clock = RecordingClock()
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    SimulatedFederation(
        members, learners_of(made.federation), signing_keys=made.signing_keys, clock=clock
    ).run()
    # Every upload, then the addition; then every download.
    assert clock.begun == [(Stage.ADD, 1)] * 4 + [(Stage.PUBLISH, 1)] * 3


def test_receiving_gives_the_sums_and_the_next_start() -> None:
    made = make_federation(payload="dense", scheme="none", rounds=1)
    members = {member: made.aggregation(member) for member in made.federation.cohort}
    simulated = SimulatedFederation(members, learners_of(made.federation), signing_keys=made.signing_keys)
    before = members["client-1"].start()
    simulated.run()
    after = members["client-1"].start()
    assert members["client-1"].state.round_number == 1
    assert not np.array_equal(before.weights["encoder.0.query"].B, after.weights["encoder.0.query"].B)


@pytest.mark.parametrize("stage", sorted(MEMBER_STAGES, key=lambda stage: stage.value))
def test_every_stage_of_a_member_is_a_phase_that_its_result_can_name(stage: Stage) -> None:
    assert Phase(stage.value).value == stage.value


@pytest.mark.parametrize("stage", Stage)
def test_every_stage_is_a_phase_of_the_overhead_benchmark(stage: Stage) -> None:
    assert stage.value in PHASES


def test_nobody_overrides_a_step_of_the_sequence() -> None:
    sequence = {
        "MemberAggregation",
        "EncryptedRounds",
        "SimulatedFederation",
        "Encryption",
    }
    overriding = [
        f"{path.name}: {node.name}"
        for path in Path(next(iter(securefl.__path__))).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and sequence & {ast.unparse(base) for base in node.bases}
    ]
    assert overriding == []
