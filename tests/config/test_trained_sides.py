"""Turns of a shared adapter's two sides, and what of ``[payload]`` contradicts them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from securefl.config.payload import StatePayload, payload_named, sides_of
from securefl.config.trained_sides import TrainedSides, in_odd_turn, rounds_of_all_kinds


@pytest.mark.parametrize(
    ("sides", "left"),
    [
        (TrainedSides(), "LRLRLRL"),
        (TrainedSides(every=3), "LLLRRRL"),
        (TrainedSides("left"), "LLLLLLL"),
        (TrainedSides("right"), "RRRRRRR"),
    ],
)
def test_a_rounds_side_follows_from_its_number(sides: TrainedSides, left: str) -> None:
    assert "".join("L" if sides.left_in(number) else "R" for number in range(1, 8)) == left


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_three_rounds_stand_for_the_first_one_and_for_later_ones_of_both_turns(every: int) -> None:
    first, odd, even = rounds_of_all_kinds(every=every)
    assert (first, in_odd_turn(odd, every=every), in_odd_turn(even, every=every)) == (1, True, False)
    assert odd == min(number for number in range(2, 3 * every + 2) if in_odd_turn(number, every=every))
    assert even == min(number for number in range(2, 3 * every + 2) if not in_odd_turn(number, every=every))


def test_a_payload_without_sides_of_its_own_takes_them_in_turn() -> None:
    assert sides_of(payload_named("basis")) == TrainedSides("alternate", 1)
    assert sides_of(StatePayload(name="state", every=4)) == TrainedSides("alternate", 4)


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        ({"side": "left", "every": 2}, "leave 'every' out"),
        ({"side": "right", "every": 2}, "leave 'every' out"),
        ({"side": "right", "aligned": True}, 'write side = "left"'),
        ({"side": "right", "frozen_from": "principal"}, 'write frozen_from = "seed"'),
        ({"side": "right", "frozen_from": "gradient"}, 'write frozen_from = "seed"'),
    ],
)
def test_keys_that_contradict_the_side_are_refused(keys: dict[str, object], advice: str) -> None:
    with pytest.raises(ValidationError, match=advice):
        StatePayload.model_validate({"name": "state"} | keys)
