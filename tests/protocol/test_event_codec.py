"""Events and records survive their text, and only known classes come out of it."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.errors import StateError
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import SpoiledVote, SurvivorsVote, VoidVote
from securefl.protocol.serving.event_codec import decode_object, encode_object
from securefl.protocol.serving.round_events import RoundEvent, Voted
from securefl.protocol.serving.sum_head import SumHead

st.register_type_strategy(
    Signed, lambda kind: st.builds(Signed, st.from_type(get_args(kind)[0]), st.binary(max_size=64))
)
ATTEMPT = Attempt(bytes(32), 1, -2, 1)
OBJECTS = st.one_of(*(st.from_type(kind) for kind in (*get_args(RoundEvent), SumHead)))


@given(OBJECTS)
def test_an_object_survives_its_text(written: object) -> None:
    # By their words: a number that is none equals nothing, and the server writes none.
    assert repr(decode_object(encode_object(written))) == repr(written)


@pytest.mark.parametrize("kind", [SurvivorsVote, VoidVote, SpoiledVote])
def test_votes_of_one_form_stay_of_their_kind(kind: type) -> None:
    event = Voted(Signed(kind(ATTEMPT, "client-1", bytes(32)), bytes(64)))
    assert decode_object(encode_object(event)) == event


def test_an_object_that_has_no_place_is_not_written() -> None:
    with pytest.raises(StateError, match="no place in the server's store"):
        encode_object(object())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        '{"~":"Path"}',
        '{"~":"MemberLeft"}',
        '{"x":"zz"}',
        "{}",
        json.dumps({"~": "MemberLeft", "member": "a", "last_words": "", "more": 1}),
        "[" * 100_000,
    ],
)
def test_text_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        decode_object(text)
