"""A small federation, twin and all, and a real round of it in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.federations import TestFederation, learners_of, make_federation

from securefl.simulation.federation import SimulatedFederation
from securefl.simulation.traffic import Traffic


@pytest.fixture
def played() -> Callable[[TestFederation], dict[int, Traffic]]:
    """Runs all rounds of a federation and gives what travelled in each."""

    def play(made: TestFederation) -> dict[int, Traffic]:
        federation = made.federation
        aggregations = {member: made.aggregation(member) for member in federation.cohort}
        simulated = SimulatedFederation(aggregations, learners_of(federation), signing_keys=made.signing_keys)
        simulated.run()
        return simulated.traffic

    return play


@pytest.fixture
def wide() -> TestFederation:
    """A federation whose head fills three windows of ciphertexts, which are cut otherwise than chunks."""
    from dataclasses import replace

    from securefl.adapters.layout import Layout, TensorKind, TensorSpec

    made = make_federation(ranks=(2, 4, 8), rounds=1, scheme="none")
    head = TensorSpec("classifier.weight", 600, 1024, TensorKind.HEAD)
    layout = Layout((*made.federation.layout.adapted, head))
    return replace(made, federation=replace(made.federation, layout=layout))
