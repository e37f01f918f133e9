"""Reasons for an abstention: for members alone, and all of one length."""

from __future__ import annotations

import pytest

from securefl.crypto.sealed_reasons import MAX_REASON_BYTES, open_reason, seal_reason
from securefl.errors import AuthenticationError

KEY, PLACE = b"k" * 32, b"place"
REASONS = (
    "",
    "directions 3 to 4 would be summed over 1 owner, and 3 are the fewest",
    "directions 13 to 14 would be summed over 2 owners, and 3 are the fewest",
    "11 of the members whose classes were counted are missing, and the classes bear 2",
    "ü" * MAX_REASON_BYTES,
)


@pytest.mark.parametrize("reason", REASONS[:-1])
def test_a_reason_is_read_as_it_was_written(reason: str) -> None:
    assert open_reason(KEY, seal_reason(KEY, reason, place=PLACE), place=PLACE) == reason


def test_a_long_reason_is_cut() -> None:
    assert open_reason(KEY, seal_reason(KEY, REASONS[-1], place=PLACE), place=PLACE) == "ü" * 200


def test_a_servers_view_of_a_reason_does_not_tell_which_it_is() -> None:
    assert {len(seal_reason(KEY, reason, place=PLACE)) for reason in REASONS} == {448}


def test_a_reason_of_another_place_or_under_another_key_does_not_open() -> None:
    box = seal_reason(KEY, REASONS[1], place=PLACE)
    for key, place in ((KEY, b"other"), (b"o" * 32, PLACE)):
        with pytest.raises(AuthenticationError):
            open_reason(key, box, place=place)
