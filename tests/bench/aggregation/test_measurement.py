"""What a measured process printed is a measurement, or refused."""

import json
from collections.abc import Callable

import pytest

from securefl.bench.aggregation.measurement import Measurement, read_measurement
from securefl.errors import WireError


def test_a_measurement_comes_back_as_it_was(measurement: Callable[..., Measurement]) -> None:
    made = measurement()
    assert read_measurement(made.model_dump_json().encode(), cohort=3) == made


@pytest.mark.parametrize(
    "line",
    [b"", b"Segmentation fault", b"{}", b"[]", b"null", b"\xff\xfe", b'{"laps": 3}', b"[" * 100_000],
    ids=["nothing", "words", "empty", "list", "null", "not text", "other fields", "deep"],
)
def test_garbage_is_no_measurement(line: bytes) -> None:
    with pytest.raises(WireError, match="no measurement"):
        read_measurement(line, cohort=3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("down_bytes", -1),
        ("down_bytes", "70"),
        ("max_error", float("nan")),
        ("max_error", float("inf")),
        ("max_error", -1e-9),
        ("max_integer_error", 0.5),
        ("peak_memory_bytes", None),
        ("up_bytes", []),
        ("versions", {"numpy": "x" * 1000}),
        ("settings", {str(number): 1 for number in range(100)}),
        ("more", 1),
    ],
)
def test_a_field_out_of_its_range_is_refused(
    field: str, value: object, measurement: Callable[..., Measurement]
) -> None:
    fields = {**measurement().model_dump(mode="json"), field: value}
    with pytest.raises(WireError, match="no measurement"):
        read_measurement(json.dumps(fields).encode(), cohort=3)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), "1"])
def test_seconds_that_are_none_are_refused(seconds: object, measurement: Callable[..., Measurement]) -> None:
    fields = measurement().model_dump(mode="json")
    fields["laps"]["decrypt"] = [[seconds, 0.1]]
    with pytest.raises(WireError, match="no measurement"):
        read_measurement(json.dumps(fields).encode(), cohort=3)


def test_a_round_of_another_cohort_is_refused(measurement: Callable[..., Measurement]) -> None:
    with pytest.raises(WireError, match="no measurement of 4 clients"):
        read_measurement(measurement().model_dump_json().encode(), cohort=4)
