"""A person hears once of updates that grow without end, not of a warm-up, and in which measure a sketch missed."""

from __future__ import annotations

from securefl_client.growth import GrowthWatch
from securefl_client.round_log import missed_words


def told(norms: list[float], *, warmup_rounds: float = 0.0) -> list[str]:
    watch = GrowthWatch(warmup_rounds)
    messages = [watch.note(number, norm) for number, norm in enumerate(norms, start=1)]
    return [message for message in messages if message is not None]


def test_growth_is_told_once_with_its_round_and_norms() -> None:
    [message] = told([2.0, 2.5, 3.5, 4.5, 6.0, 8.0, 12.0, 20.0])
    assert message.startswith("round 5: the mean update grows from round to round (norm 2 at first, now 6)")
    assert "lower learning_rate" in message


def test_norms_that_fall_with_the_rates_are_no_news() -> None:
    assert told([9.0, 9.5, 7.0, 5.0, 3.0, 1.0]) == []


def test_rounds_of_a_warm_up_grow_by_design() -> None:
    warm = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0, 5.0, 4.0]
    assert told(warm, warmup_rounds=5.5) == []
    assert told(warm) != []


def test_a_sketch_misses_no_more_than_all_of_an_update() -> None:
    assert missed_words(0.4) == "the sketch missed about 40% of the mean update"
    assert missed_words(1.12) == "the sketch's error is about 1.1 times as large as the mean update itself"
