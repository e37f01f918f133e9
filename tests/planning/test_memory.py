"""The memory model bounds what numpy and Python really allocate, and not by a multiple."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.attempts import cohort_of
from support.federations import TestFederation, learners_of, make_federation

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.aggregation.clock import SILENT, Stage
from securefl.config.outer import NesterovSection, SgdSection
from securefl.planning.memory import WORD, memory_of
from securefl.planning.sizes import sizes_of
from securefl.simulation.federation import SimulatedFederation

MIB = 1 << 20


def _peak_of_contributing(made: TestFederation) -> int:
    """What a client allocates while it encodes and seals, without the windows that it has given away."""
    federation = made.federation
    cohort = cohort_of(made, 1)
    aggregation = made.aggregation("client-1")
    learner = learners_of(federation)["client-1"]
    update = learner.learn(1, aggregation.start(), aggregation.frozen(1))
    tracemalloc.start()
    try:
        encoded = aggregation.encode(update, round_number=1, samples=40)
        encryption = aggregation.encrypt_attempt(encoded, cohort=cohort, salt=bytes(32))
        for _ in encryption.windows():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _large(payload: str) -> TestFederation:
    made = make_federation(ranks=(2, 4, 8), payload=payload, scheme="none")
    weights = [TensorSpec(f"weight.{number}", 640, 640, TensorKind.ADAPTED) for number in range(2)]
    layout = Layout((*weights, TensorSpec("head", 3, 640, TensorKind.HEAD)))
    return replace(made, federation=replace(made.federation, layout=layout))


@pytest.mark.parametrize("payload", ["dense", "sketch", "basis", "state"])
def test_a_client_holds_what_the_model_says(payload: str) -> None:
    made = _large(payload)
    expected = memory_of(made.federation, sizes_of(made.federation, 1)).contribute
    measured = _peak_of_contributing(made)
    assert measured <= expected <= 2.5 * measured


class MemoryClock:
    """Notes what redistribution allocates beyond what is there, at its fullest and when it is over."""

    def __init__(self) -> None:
        self.grown: list[int] = []
        self.fullest: list[int] = []

    @contextmanager
    def stage(self, stage: Stage, round_number: int) -> Iterator[None]:
        if stage is not Stage.REDISTRIBUTE:
            yield
            return
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        yield
        after, peak = tracemalloc.get_traced_memory()
        self.grown.append(after - before)
        self.fullest.append(peak - before)

    def through(self, stage: Stage, round_number: int, source: Iterable) -> Iterator:
        return iter(source)


def _llama(payload: str, *, rounds: int, **changes: object) -> TestFederation:
    """Weights in the shapes of a Llama's layer, a third as wide."""
    shapes = {"q": (256, 256), "k": (96, 256), "v": (96, 256), "up": (688, 256), "down": (256, 688)}
    weights = [TensorSpec(name, *shape, TensorKind.ADAPTED) for name, shape in shapes.items()]
    layout = Layout((*weights, TensorSpec("head", 2, 256, TensorKind.HEAD)))
    return make_federation((8, 8, 8), layout=layout, payload=payload, scheme="none", rounds=rounds, **changes)


@pytest.mark.parametrize(
    ("payload", "times"),
    [("dense", 2), ("sketch", 2), ("basis", 2), ("core", 3), ("state", 4), ("head-only", 2)],
)
def test_a_client_that_applies_a_mean_holds_and_keeps_what_the_model_says(payload: str, times: int) -> None:
    rounds = 3
    made = _llama(payload, rounds=rounds)
    sizes = sizes_of(made.federation, rounds)
    expected = memory_of(made.federation, sizes)
    clock = MemoryClock()
    clocks = {"client-1": clock}
    members = {
        member: made.aggregation(member, clock=clocks.get(member, SILENT))
        for member in made.federation.cohort
    }
    tracemalloc.start()
    try:
        SimulatedFederation(members, learners_of(made.federation), signing_keys=made.signing_keys).run()
    finally:
        tracemalloc.stop()
    # The sums are there before.
    coming = expected.apply - WORD * sizes.values
    assert max(clock.fullest) <= coming <= times * max(clock.fullest)
    # What was kept before is let go of when the next one is there.
    assert max(clock.grown) <= expected.keep + MIB // 16
    assert expected.keep <= 3 * max(clock.grown)


def test_what_a_client_keeps_grows_with_the_rounds_up_to_its_bound() -> None:
    kept = []
    for rounds in (1, 2, 100, 200):
        federation = _llama("sketch", rounds=rounds).federation
        kept.append(memory_of(federation, sizes_of(federation, 1)).keep)
    assert kept[0] < kept[1] < kept[2] == kept[3]


def test_what_a_client_keeps_grows_with_what_the_outer_step_carries_along() -> None:
    plain, momentum = (
        _llama("sketch", rounds=4, outer=outer).federation
        for outer in (SgdSection(name="sgd"), NesterovSection(name="nesterov"))
    )
    keeps = [memory_of(federation, sizes_of(federation, 1)).keep for federation in (plain, momentum)]
    assert keeps[1] == 2 * keeps[0]


def test_what_a_client_holds_to_contribute_does_not_grow_with_the_weights() -> None:
    made = _large("dense")
    layout = made.federation.layout
    more = [replace(layout.adapted[0], name=f"more.{number}") for number in range(20)]
    deep = replace(made.federation, layout=Layout((*more, *layout.tensors)))
    few, many = (memory_of(fed, sizes_of(fed, 1)) for fed in (made.federation, deep))
    assert many.contribute - few.contribute < MIB
    assert many.read > 5 * few.read
