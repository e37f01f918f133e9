"""Predicted and measured stand side by side, and agree where they must."""

from __future__ import annotations

from support.federations import make_federation

from securefl.planning.as_json import comparison_json
from securefl.planning.comparison import (
    Line,
    MeasuredRound,
    compare_memory,
    compare_rounds,
    over_the_run,
)
from securefl.planning.forecast import Forecast, forecast
from securefl.planning.speed import Rate, Speed

ONE = Rate(1.0, 0.0)
SPEED = Speed(
    encode_s=1.0, encrypt=ONE, add=ONE, publish=ONE, expand=ONE, read=ONE, ciphertexts=32, took_s=1.0
)


def _forecast(speed: Speed | None = SPEED) -> Forecast:
    return forecast(make_federation(scheme="none").federation, speed=speed)


def _rounds(found: Forecast, *, up: int = 0, encrypt: float = 2.0) -> list[MeasuredRound]:
    return [
        MeasuredRound(
            client=client,
            round_number=number,
            up=found.of_round(number).sizes.up[client] + up,
            down=found.of_round(number).sizes.down[client],
            seconds={"train": 9.0, "encrypt": encrypt * place, "aggregate": 5.0},
        )
        for number in (1, 2)
        for place, client in enumerate(found.federation.cohort)
    ]


def test_a_run_that_went_as_planned_has_ratio_one_in_every_round() -> None:
    found = _forecast()
    lines = {(line.what, line.round_number): line for line in compare_rounds(found, _rounds(found))}
    for number in (1, 2):
        up = lines["upload_bytes", number]
        assert up.ratio == 1.0
        assert up.predicted == sum(found.of_round(number).sizes.up.values())
        assert lines["download_bytes", number].ratio == 1.0
        # Four contributions of one second, and one to publish.
        assert lines["aggregate_seconds", number].ratio == 1.0


def test_a_time_of_milliseconds_has_no_ratio_and_bytes_have_one_always() -> None:
    def line(what: str, predicted: float) -> Line:
        return Line(what=what, round_number=1, of="", predicted=predicted, measured=2 * predicted)

    assert line("encrypt_seconds", 0.049).ratio is None
    assert line("encrypt_seconds", 0.05).ratio == 2.0
    assert line("upload_bytes", 0.01).ratio == 2.0


def test_bytes_are_added_up_and_seconds_are_the_clients_mean() -> None:
    found = _forecast()
    lines = {
        line.what: line for line in compare_rounds(found, _rounds(found, up=10)) if line.round_number == 2
    }
    assert lines["upload_bytes"].measured - lines["upload_bytes"].predicted == 40
    assert lines["encrypt_seconds"].measured == 3.0
    assert lines["encrypt_seconds"].ratio == 3.0


def test_a_phase_that_nobody_measured_has_no_line() -> None:
    found = _forecast()
    whats = {line.what for line in compare_rounds(found, _rounds(found))}
    assert whats == {"upload_bytes", "download_bytes", "encrypt_seconds", "aggregate_seconds"}


def test_without_a_measured_speed_only_bytes_are_compared() -> None:
    found = _forecast(speed=None)
    assert {line.what for line in compare_rounds(found, _rounds(found))} == {"upload_bytes", "download_bytes"}


def test_memory_of_whole_processes_has_no_ratio_to_the_sums_buffers() -> None:
    lines = compare_memory(_forecast(), clients=[5, 9, 7], server=4)
    assert [(line.what, line.measured, line.ratio) for line in lines] == [
        ("client_memory_bytes", 9, None),
        ("server_memory_bytes", 4, None),
    ]
    assert all(line.predicted > 0 for line in lines)
    assert compare_memory(_forecast(), clients=[], server=None) == ()


def test_the_lines_of_a_run_are_its_rounds_added_up() -> None:
    lines = [
        Line(what="upload_bytes", round_number=number, of="all", predicted=10, measured=10 + number)
        for number in (1, 2)
    ]
    (total,) = over_the_run(lines)
    assert (total.predicted, total.measured, total.ratio) == (20, 23, 1.15)
    assert comparison_json([total]) == [
        {
            "what": "upload_bytes",
            "round_number": None,
            "of": "all",
            "predicted": 20,
            "measured": 23,
            "ratio": 1.15,
        }
    ]
