"""Events survive their way through a pipe, and what is no event is refused."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import WireError
from securefl.progress import Event, Failed, Phase, PhaseEnded, decode, encode

EVENTS = st.one_of(*(st.from_type(kind) for kind in get_args(Event)))


def _finite(event: Event) -> bool:
    return all(value == value for value in json.loads(encode(event)).values() if isinstance(value, float))


@given(EVENTS.filter(_finite))
def test_every_event_survives_its_line(event: Event) -> None:
    assert decode(encode(event)) == event


@given(EVENTS)
def test_an_event_is_one_line_of_ascii(event: Event) -> None:
    line = encode(event)
    assert line.isascii()
    assert len(line.splitlines()) == 1


@given(st.text() | st.binary())
def test_what_is_no_event_is_refused_as_such(line: str | bytes) -> None:
    with pytest.raises(WireError):
        decode(line)


@pytest.mark.parametrize(
    "line",
    [
        '{"event": "Nothing"}',
        '{"event": ["Failed"]}',
        '{"event": "Listening"}',
        '{"event": "PhaseEnded", "member": "a", "round_number": 1, "phase": "dance", "seconds": 1.0}',
        '{"event": "PhaseEnded", "member": "a", "round_number": "one", "phase": "train", "seconds": 1.0}',
        '["event"]',
        "[" * 100_000,
    ],
)
def test_a_line_that_is_almost_an_event_is_refused(line: str) -> None:
    with pytest.raises(WireError):
        decode(line)


def test_a_key_of_a_later_version_is_passed_over() -> None:
    event = PhaseEnded(member="client-1", round_number=2, phase=Phase.TRAIN, seconds=1.5)
    assert decode(encode(event).replace("{", '{"colour": "red", ', 1)) == event


def test_a_refused_line_is_not_repeated_in_the_error() -> None:
    with pytest.raises(WireError) as caught:
        decode('{"event": "Failed", "member": "opensesame"}')
    assert "opensesame" not in str(caught.value)
    assert decode(encode(Failed(member="m", code="c", message="s", exit_code=1)))
