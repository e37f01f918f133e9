"""Events and records of the server as text, for its store: JSON with the name of every object's class.

The rule kept here: what is decoded is equal to what was encoded, and only classes of the table below can come out.
The store is the server's own; its checksums, not this module, tell an altered byte.

    >>> from securefl.protocol.serving.round_events import MemberLeft
    >>> encode_object(MemberLeft("client-1", "it was stopped by its operator"))
    '{"last_words":"it was stopped by its operator","member":"client-1","~":"MemberLeft"}'
    >>> decode_object(encode_object(MemberLeft("client-1", "")))
    MemberLeft(member='client-1', last_words='')
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import Any, Final, get_args

from securefl.errors import StateError
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    SpoiledProof,
    SpoiledVote,
    Survivor,
    Survivors,
    SurvivorsVote,
    VoidProof,
    VoidVote,
)
from securefl.protocol.calls import SettledAttempt, StageContribution
from securefl.protocol.serving.round_events import Cause, RoundEvent
from securefl.protocol.serving.sum_head import SumHead

_CLASSES: Final[dict[str, type]] = {
    cls.__name__: cls
    for cls in (
        *get_args(RoundEvent),
        *(Advert, Attempt, Cause, Certificate, Cohort, ContributionHeader, Manifest, Reveal, SettledAttempt),
        *(Signed, SpoiledProof, SpoiledVote, StageContribution, SumHead, Survivor, Survivors, SurvivorsVote),
        *(VoidProof, VoidVote),
    )
}
_CLASS: Final = "~"
_BYTES: Final = "x"


def encode_object(value: object) -> str:
    """One line of ASCII JSON.

    Raises:
        StateError: if it is of a class that has no place in the store.
    """
    return json.dumps(_plain(value), separators=(",", ":"), sort_keys=True)


def decode_object(text: str) -> object:
    """The inverse of ``encode_object``.

    Raises:
        StateError: if the text is no such line.
    """
    try:
        return _object(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise StateError(
            "a record of the server's store cannot be read", hint="was it written by another version?"
        ) from None


def _plain(value: object) -> Any:
    if isinstance(value, bytes):
        return {_BYTES: value.hex()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value) and type(value).__name__ in _CLASSES:
        named = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {_CLASS: type(value).__name__, **named}
    if value is None or isinstance(value, str | int | float):
        return value
    raise StateError(f"a {type(value).__name__} has no place in the server's store")


def _object(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_object(each) for each in plain)
    if not isinstance(plain, dict):
        return plain
    if _CLASS not in plain:
        return bytes.fromhex(plain[_BYTES])
    cls = _CLASSES[plain[_CLASS]]
    return cls(**{name: _object(each) for name, each in plain.items() if name != _CLASS})
