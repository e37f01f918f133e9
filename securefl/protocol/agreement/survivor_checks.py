"""Checks of a statement of survivors: its shape, its headers, its certificate, and what a member asks before it votes.

Reference: ``protos/SPEC.md``, "The round", step 3.
"""

from __future__ import annotations

from collections.abc import Mapping

from securefl.crypto.thresholds import CohortSizes
from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.commitment import (
    NO_PACKETS,
    SALT_BYTES,
    ContributionHeader,
    header_digest,
)
from securefl.protocol.agreement.rules import Owners, OwnPart, Rules
from securefl.protocol.agreement.signed import DIGEST_BYTES, Signed
from securefl.protocol.agreement.statement import Certificate, Survivors


def check_survivors(
    statement: Survivors,
    headers: tuple[Signed[ContributionHeader], ...],
    cohort: Cohort,
    rules: Rules,
    *,
    own: OwnPart,
    owners: Owners,
) -> None:
    """Check a proposed statement of survivors as a member does before it votes.

    Guarantee: at least t members of the cohort are in the sum, each with the header that it signed for this A, this
    member with its own or not at all; every coordinate and class has no owner among them or enough; and this member
    holds a share of every survivor's key.

    Args:
        statement: The proposal.
        headers: Of the survivors, in its order.
        cohort: Verified before.
        rules: The federation's.
        own: This member's part.
        owners: The rule of owners.

    Raises:
        ProtocolError, AuthenticationError: at the first thing that does not hold.
    """
    verify_listed(statement, headers, cohort, rules)
    if own.member not in cohort.members:
        raise ProtocolError(f"{own.member} is not in the cohort that is asked to vote")
    listed = {each.index: header for each, header in zip(statement.survivors, headers, strict=True)}
    check_own_header(statement, headers, cohort, own.member, own.header)
    if rules.packets:
        _check_opened(listed, cohort, own)
    check_admissible(statement, cohort, own.spoiled, owners)


def verify_certificate(certificate: Certificate, cohort: Cohort, rules: Rules) -> None:
    """Check that t members of a verified cohort voted for a statement of at least t survivors of it.

    Raises:
        ProtocolError, AuthenticationError: if not.
    """
    sizes = rules.sizes(cohort)
    check_shape(certificate.statement, cohort, sizes)
    certificate.verify(members=cohort.members, threshold=sizes.threshold, public_key_of=rules.public_key_of)


def survivor_ids(statement: Survivors, cohort: Cohort) -> tuple[str, ...]:
    """Ids of a statement's survivors, in the roster's order."""
    members = cohort.members
    return tuple(members[each.index] for each in statement.survivors)


def check_shape(statement: Survivors, cohort: Cohort, sizes: CohortSizes) -> None:
    """Check that a statement is of this cohort, and lists at least t of its members, each once.

    Raises:
        ProtocolError: if not.
    """
    if statement.attempt != cohort.attempt or statement.cohort_digest != cohort.digest:
        raise ProtocolError("the survivors are of another attempt or cohort")
    indices = [each.index for each in statement.survivors]
    if indices != sorted(set(indices)) or any(not 0 <= index < sizes.members for index in indices):
        raise ProtocolError("the survivors are not members of the cohort, each once and in its order")
    if len(indices) < sizes.threshold:
        raise ProtocolError(f"{len(indices)} survivors are too few: {sizes.threshold} are needed")
    digests = [each.header_digest for each in statement.survivors]
    if any(len(digest) != DIGEST_BYTES for digest in (*digests, statement.total_digest)):
        raise ProtocolError("a digest of the statement is none")


def verify_listed(
    statement: Survivors,
    headers: tuple[Signed[ContributionHeader], ...],
    cohort: Cohort,
    rules: Rules,
) -> None:
    """Check that a statement's survivors are of the cohort, and that each signed the listed header for it.

    Raises:
        ProtocolError, AuthenticationError: at the first thing that does not hold.
    """
    check_shape(statement, cohort, rules.sizes(cohort))
    if len(headers) != len(statement.survivors):
        raise ProtocolError("there is not one header for every survivor")
    # Each of them takes all adverts: once, not once a header.
    members, cohort_digest = cohort.members, cohort.digest
    for survivor, header in zip(statement.survivors, headers, strict=True):
        if header.body.signer != members[survivor.index]:
            raise AuthenticationError("a survivor's header is another member's")
        if header_digest(header) != survivor.header_digest:
            raise AuthenticationError(
                f"{header.body.signer}'s header is not the one that the statement lists"
            )
        _check_header(header, cohort, rules, cohort_digest=cohort_digest)


def _check_header(
    header: Signed[ContributionHeader], cohort: Cohort, rules: Rules, *, cohort_digest: bytes
) -> None:
    body = header.body
    if body.attempt != cohort.attempt or body.cohort_digest != cohort_digest:
        raise AuthenticationError(f"{body.signer}'s header is for another attempt or cohort")
    if len(body.salt) != SALT_BYTES:
        raise AuthenticationError(f"{body.signer}'s header has no salt")
    if not rules.packets and body.packets_digest != NO_PACKETS:
        raise AuthenticationError(f"{body.signer}'s header names packets, which this scheme has none of")
    header.verify(rules.public_key_of(body.signer))


def check_own_header(
    statement: Survivors,
    headers: tuple[Signed[ContributionHeader], ...],
    cohort: Cohort,
    member: str,
    header: Signed[ContributionHeader] | None,
) -> None:
    """Check that a statement lists this member with the header that it sent, or not at all.

    Raises:
        AuthenticationError: if it lists another.
    """
    index = cohort.index(member)
    for survivor, shown in zip(statement.survivors, headers, strict=True):
        if survivor.index == index and shown != header:
            raise AuthenticationError("the statement lists another header of this member than it sent")


def _check_opened(listed: Mapping[int, Signed[ContributionHeader]], cohort: Cohort, own: OwnPart) -> None:
    index = cohort.index(own.member)
    for sender, header in listed.items():
        if sender != index and own.opened.get(sender) != header.body.body_digest:
            raise ProtocolError(f"this member holds no share of {header.body.signer}'s key")


def check_admissible(
    statement: Survivors, cohort: Cohort, spoiled: tuple[str, ...] | None, owners: Owners
) -> None:
    """Check that the survivors are those of an earlier sum that could not be opened, and enough owners of each part.

    Raises:
        ProtocolError: if not.
    """
    survivors = survivor_ids(statement, cohort)
    if spoiled is not None and survivors != spoiled:
        raise ProtocolError(
            "other survivors than those of the sum that could not be opened are proposed on its state"
        )
    owners.check(survivors=survivors, cohort=cohort.members)
