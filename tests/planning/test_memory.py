"""The memory model bounds what numpy and Python really allocate, and not by a multiple."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from support.federations import TestFederation, learners_of, make_federation

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.planning.memory import memory_of
from securefl.planning.sizes import sizes_of
from securefl.protocol.messages import Manifest

MIB = 1 << 20


def _peak_of_contributing(made: TestFederation) -> int:
    """What a client allocates while it encodes and seals, without the windows that it has given away."""
    federation = made.federation
    manifest = Manifest(federation.digest, 1, federation.cohort)
    aggregation = made.aggregation("client-1")
    learner = learners_of(federation)["client-1"]
    update = learner.learn(1, aggregation.start(), aggregation.frozen(1))
    tracemalloc.start()
    try:
        encryption = aggregation.encrypt(
            aggregation.encode(update, manifest=manifest, samples=40), manifest=manifest
        )
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


def test_what_a_client_holds_to_contribute_does_not_grow_with_the_weights() -> None:
    made = _large("dense")
    layout = made.federation.layout
    more = [replace(layout.adapted[0], name=f"more.{number}") for number in range(20)]
    deep = replace(made.federation, layout=Layout((*more, *layout.tensors)))
    few, many = (memory_of(fed, sizes_of(fed, 1)) for fed in (made.federation, deep))
    assert many.contribute - few.contribute < MIB
    assert many.read > 5 * few.read
