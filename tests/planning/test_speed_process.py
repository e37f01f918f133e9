"""A measurement in a process of its own arrives whole, or says why it did not."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from support.federations import make_federation

from securefl.config.aggregation import AggregationSection, WeightsName
from securefl.config.payload import FactorsPayload
from securefl.errors import RunError
from securefl.planning import speed_process as apart
from securefl.planning.speed import measure_speed
from securefl.planning.speed_process import measure_speed_in_process


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take an interpreter's place."""
    path = tmp_path / "python"
    monkeypatch.setattr(apart.sys, "executable", str(path))
    return path


def _behave(python: Path, script: str) -> None:
    python.write_text(f"#!/bin/sh\ncat > /dev/null\n{script}\n")
    python.chmod(0o700)


@pytest.mark.slow
def test_a_process_of_its_own_measures() -> None:
    speed = measure_speed_in_process(make_federation(scheme="none").federation)
    assert speed.encrypt.of(32) > 0
    assert speed.took_s > 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo the reason. >&2; exit 3", "could not be measured: the reason."),
        ("exit 3", "could not be measured: its process ended with 3."),
        ("echo '{}'", r"could not be measured: its process failed \(ValidationError\)."),
    ],
)
def test_a_measurement_that_failed_is_told_in_one_sentence(python: Path, script: str, said: str) -> None:
    _behave(python, script)
    with pytest.raises(RunError, match=said):
        measure_speed_in_process(make_federation(scheme="none").federation)


def test_the_measuring_process_gets_one_thread(python: Path, tmp_path: Path) -> None:
    _behave(python, f'echo "$OMP_NUM_THREADS $OPENBLAS_NUM_THREADS" > {tmp_path}/seen; exit 1')
    with pytest.raises(RunError):
        measure_speed_in_process(make_federation(scheme="none").federation)
    assert (tmp_path / "seen").read_text().split() == ["1", "1"]


@pytest.mark.parametrize("weights", get_args(WeightsName))
def test_a_machine_is_measured_for_every_kind_of_weights(weights: WeightsName) -> None:
    aggregation, payload = AggregationSection(weights=weights), FactorsPayload(name="factors")
    made = make_federation((4, 4, 4), scheme="none", aggregation=aggregation, payload=payload)
    assert measure_speed(made.federation).took_s > 0


def test_a_machine_is_measured_for_several_heads() -> None:
    made = make_federation((2, 2, 2), scheme="none", payload="core", heads=2)
    assert measure_speed(made.federation).took_s > 0
