"""Certificates in an audit: every sum that a ledger names was certified by enough members, and all name the same one.

The rule kept here: signatures are checked against the federation file's keys, and nothing else of a certificate is
believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from securefl.errors import RunError
from securefl.ledger.events import AggregateApplied
from securefl.protocol.agreement.verification import survivor_ids, verify_certificate, verify_cohort
from securefl.protocol.federation import Federation
from securefl.protocol.openings import round_name
from securefl.results.sum_certificates import certificate_path, read_certificate
from securefl_client.member_rules import member_rules


def check_certified(folder: Path, member: str, applied: AggregateApplied, federation: Federation) -> bytes:
    """Check that the sum of a ledger's event was certified, in that attempt, with or without this member.

    Args:
        folder: Of the member's results.
        member: Its id.
        applied: The ledger's event.
        federation: The pinned federation.

    Returns:
        Digest of the certified statement (32 bytes).

    Raises:
        RunError: in a clause that fits behind the member's name.

    Guarantee:
        t of the cohort's members signed a vote for exactly these survivors, and every member of the cohort an advert
        for this attempt of this federation. It assumes that signatures cannot be forged.
    """
    number = applied.round_number
    cohort, certificate = read_certificate(certificate_path(folder, number))
    attempt = cohort.attempt
    rules = member_rules(federation, key_epoch=attempt.key_epoch)
    try:
        verify_cohort(cohort, rules)
        verify_certificate(certificate, cohort, rules)
    except RunError as error:
        raise RunError(f"its certificate of {_named(number)} does not hold", hint=error.what) from None
    if (attempt.round_number, attempt.number) != (number, applied.attempt):
        raise RunError(f"its certificate of {_named(number)} is of another attempt than its ledger names")
    if (member in survivor_ids(certificate.statement, cohort)) is not bool(applied.included):
        raise RunError(f"its ledger does not say as its certificate if {_named(number)} has its contribution")
    return certificate.statement.digest


def others(digests: Mapping[str, Mapping[int, bytes]]) -> Iterable[tuple[str, str]]:
    """Members whose certificate of a round is of another statement than most members', with the sentence."""
    for number in sorted({number for own in digests.values() for number in own}):
        said = {member: own[number] for member, own in digests.items() if number in own}
        values = list(said.values())
        most = max(set(values), key=lambda value: (values.count(value), value))
        for member, digest in said.items():
            if digest != most:
                yield (
                    member,
                    f"its certificate of {_named(number)} is of other survivors than those of the others",
                )


def _named(number: int) -> str:
    return round_name(number).replace("-", " ", 1)
