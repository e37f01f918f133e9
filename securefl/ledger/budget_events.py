"""Events of a privacy budget: what was released about a data set, never what it cost.

The rule kept here: epsilon is computed from these events by whoever asks, so an event has the release itself, in the
text of ``privacy.events``. Each has a salt of 32 random bytes, so that a digest of its line tells nothing of it to
whom a head is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

SALT_BYTES: Final = 32
DIGEST_BYTES: Final = 32
MAX_RELEASE: Final = 2000
"""Longest text of a release, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOpened:
    """A ledger of one client's data set begins.

    Attributes:
        client: Its id.
        data_fingerprint: Fingerprint of the data set (32 bytes); see ``fingerprint``.
        ledger_key: Public key that signs this ledger (32 bytes): it outlives the keys of single federations.
        salt: 32 random bytes.
    """

    name: ClassVar[str] = "budget-opened"
    client: str
    data_fingerprint: bytes
    ledger_key: bytes
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeReserved:
    """A release is charged, before anything of it leaves the machine.

    Attributes:
        federation_digest: SHA-256 of the federation file (32 bytes).
        round_number: Number of the round.
        attempt: Number of the attempt, from 1.
        release: What will be released, as text of ``privacy.events``.
        salt: 32 random bytes.
    """

    name: ClassVar[str] = "charge-reserved"
    federation_digest: bytes
    round_number: int
    attempt: int
    release: str
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeContributed:
    """A reserved release is about to leave the machine.

    Attributes:
        reservation: Sequence number of its ``ChargeReserved``.
        body_digest: SHA-256 of the body as it is sent (32 bytes).
        salt: 32 random bytes.
    """

    name: ClassVar[str] = "charge-contributed"
    reservation: int
    body_digest: bytes
    salt: bytes


BudgetEvent = BudgetOpened | ChargeReserved | ChargeContributed


def parse_budget_event(name: object, fields: Mapping[str, object]) -> BudgetEvent:
    """Parse an event of a budget from its JSON fields.

    Raises:
        ValueError: if there is no such event, or a field is missing or of another type.
    """
    match name:
        case BudgetOpened.name:
            return BudgetOpened(
                client=_text(fields, "client"),
                data_fingerprint=_bytes(fields, "data_fingerprint"),
                ledger_key=_bytes(fields, "ledger_key"),
                salt=_bytes(fields, "salt"),
            )
        case ChargeReserved.name:
            return ChargeReserved(
                federation_digest=_bytes(fields, "federation_digest"),
                round_number=_number(fields, "round_number"),
                attempt=_number(fields, "attempt"),
                release=_text(fields, "release"),
                salt=_bytes(fields, "salt"),
            )
        case ChargeContributed.name:
            return ChargeContributed(
                reservation=_number(fields, "reservation"),
                body_digest=_bytes(fields, "body_digest"),
                salt=_bytes(fields, "salt"),
            )
        case _:
            raise ValueError("an event that this version does not know")


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or len(value) > MAX_RELEASE:
        raise ValueError(f"{name} is no text")
    return value


def _number(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is no whole number")  # noqa: TRY004 - one kind of error for every malformed field
    return value


def _bytes(fields: Mapping[str, object], name: str) -> bytes:
    value = bytes.fromhex(_text(fields, name))
    if len(value) != DIGEST_BYTES:
        raise ValueError(f"{name} is no value of {DIGEST_BYTES} bytes")
    return value
