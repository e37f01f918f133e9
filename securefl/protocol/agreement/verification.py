"""Checks of what a server relays, by a member that trusts none of it: cohorts, survivors, settlements, heads of sums.

The rule kept here: everything is checked against the pinned roster and what this member itself signed, before anything
is signed, revealed or applied; the server can stall a round by a lie, and no more.

    RoundOpened        ``verify_manifest``, ``verify_settled``: nobody adverts before all earlier attempts are settled
    CohortClosed       ``verify_cohort``: signatures, order, size, one state, the own advert unaltered
    SurvivorsProposed  ``check_survivors``: before the vote
    Certified          ``verify_certificate``: before the reveal
    AggregateReady     ``verify_head``: before the sum is opened, by members that took no part too

Reference: ``protos/SPEC.md``, "The round".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from securefl.crypto.thresholds import CohortSizes
from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.cohort import NONCE_BYTES, Advert, Cohort, Manifest
from securefl.protocol.agreement.rules import Owners, OwnPart, Rules
from securefl.protocol.agreement.signed import DIGEST_BYTES, Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    SpoiledProof,
    VoidProof,
    settlements_digest,
)
from securefl.protocol.agreement.survivor_checks import (
    check_admissible,
    check_own_header,
    check_shape,
    check_survivors,
    survivor_ids,
    verify_certificate,
    verify_listed,
)
from securefl.protocol.calls import AggregateHead, SettledAttempt

__all__ = [
    "OwnPart",
    "Owners",
    "Rules",
    "check_own_header",
    "check_survivors",
    "survivor_ids",
    "verify_certificate",
    "verify_cohort",
    "verify_head",
    "verify_manifest",
    "verify_settled",
]


def verify_manifest(manifest: Manifest, rules: Rules) -> None:
    """Check that a manifest is for this federation, its keys, and members of its roster.

    Raises:
        ProtocolError: naming what is not.
    """
    attempt = manifest.attempt
    if attempt.federation_digest != rules.federation_digest:
        raise ProtocolError(
            "the server works on another federation than this member's file",
            hint="start the server from the folder that was made together with this member's",
        )
    rules.check_keys(attempt)
    if attempt.number < 1:
        raise ProtocolError("the server counts attempts from less than 1")
    if len(manifest.settled) != DIGEST_BYTES:
        raise ProtocolError("the manifest's digest of earlier attempts is no digest")
    if not _in_order(manifest.invited, rules.members):
        raise ProtocolError("the server invites others than members of the roster, in its order")
    rules.constants.cohort(len(manifest.invited))


def verify_cohort(
    cohort: Cohort, rules: Rules, *, own: Signed[Advert] | None = None, state: bytes | None = None
) -> CohortSizes:
    """Check that the members of a cohort agreed to take part, all on one state.

    Guarantee: every member of the cohort signed an advert for exactly this manifest, there are at least m of them, and
    their agreement on the state is equal (EUF-CMA of Ed25519); where ``state`` is given, it is this member's own too.

    Args:
        cohort: What the server relays.
        rules: The federation's.
        own: This member's advert for the attempt, where it sent one.
        state: This member's own agreement on the state for the manifest (32 bytes), where it stands at it.

    Returns:
        Sizes of the cohort.

    Raises:
        ProtocolError, AuthenticationError: at the first thing that does not hold.
    """
    verify_manifest(cohort.manifest, rules)
    sizes = rules.sizes(cohort)
    if not _in_order(cohort.members, cohort.manifest.invited):
        raise ProtocolError("the cohort is not of invited members in the roster's order")
    # It takes all ids: once, not once an advert.
    manifest_digest = cohort.manifest.digest
    for advert in cohort.adverts:
        _check_advert(advert, cohort.manifest, rules, manifest_digest=manifest_digest)
    if len({advert.body.state for advert in cohort.adverts}) != 1:
        raise ProtocolError("the cohort's members do not stand at one state")
    if own is not None and own.body.signer in cohort.members and own not in cohort.adverts:
        raise AuthenticationError("the cohort has another advert of this member than it sent")
    if state is not None and cohort.adverts[0].body.state != state:
        raise ProtocolError(
            "the cohort stands at another state than this member",
            hint="the server showed its members different sums, or this member's folder is an old copy",
        )
    return sizes


def verify_settled(
    manifest: Manifest,
    settled: tuple[SettledAttempt, ...],
    rules: Rules,
    *,
    committed: Mapping[int, bytes],
) -> tuple[str, ...] | None:
    """Check how the earlier attempts of a round ended.

    Guarantee: for every attempt to which this member has sent a header, t members of its very cohort signed VOID, or
    that they cannot open its certified sum; with at most c_max colluders no sum of it is certified beside a VOID
    (``statement``). So a member never has two contributions that could both be opened.

    Args:
        manifest: Of the attempt that is opened; it binds the digest of the proofs.
        settled: The earlier attempts, with their proofs.
        rules: The federation's.
        committed: A (32 bytes) of each earlier attempt of the round that this member sent a header in, by number.

    Returns:
        Ids of the survivors that every further attempt on this state must have, where a certified sum could not be
        opened; None where there was none.

    Raises:
        ProtocolError, AuthenticationError: at the first thing that does not hold.
    """
    if settlements_digest(tuple(each.settlement for each in settled)) != manifest.settled:
        raise AuthenticationError("the proofs of earlier attempts are not those that the manifest names")
    numbers = [each.cohort.attempt.number for each in settled]
    if numbers != sorted(set(numbers)) or any(number >= manifest.attempt.number for number in numbers):
        raise ProtocolError("the earlier attempts are not in their order")
    for each in settled:
        if each.cohort.attempt.round_number != manifest.attempt.round_number:
            raise ProtocolError("a proof is of an attempt of another round")
        _verify_settlement(each, rules)
    _check_own_settled({each.cohort.attempt.number: each.cohort.digest for each in settled}, committed)
    return _spoiled_survivors(settled)


def verify_head(
    head: AggregateHead,
    rules: Rules,
    *,
    state: bytes,
    committed: Mapping[int, bytes],
    owners: Owners,
) -> None:
    """Check everything about a sum but its bytes, as a member does that need not have taken part in it.

    Args:
        head: What the server gives.
        rules: The federation's.
        state: This member's own agreement on the state for the head's manifest (32 bytes).
        committed: A (32 bytes) of each earlier attempt of the round that this member sent a header in, by number.
        owners: The rule of owners.

    Raises:
        ProtocolError, AuthenticationError: at the first thing that does not hold.
    """
    cohort, statement = head.cohort, head.certificate.statement
    verify_cohort(cohort, rules, state=state)
    spoiled = verify_settled(cohort.manifest, head.settled, rules, committed=committed)
    verify_certificate(head.certificate, cohort, rules)
    verify_listed(statement, head.headers, cohort, rules)
    check_admissible(statement, cohort, spoiled, owners)
    if len(head.seeds) != len(head.headers):
        raise AuthenticationError("there are not the seeds of every survivor")
    for header, seeds in zip(head.headers, head.seeds, strict=True):
        if hashlib.sha256(seeds).digest() != header.body.seeds_digest:
            raise AuthenticationError(f"{header.body.signer}'s seeds are not those it signed")
    _verify_reveals(head, rules)


def _check_advert(
    advert: Signed[Advert], manifest: Manifest, rules: Rules, *, manifest_digest: bytes
) -> None:
    body = advert.body
    if body.attempt != manifest.attempt or body.manifest_digest != manifest_digest:
        raise AuthenticationError(f"{body.signer}'s advert is for another manifest")
    if len(body.nonce) != NONCE_BYTES or len(body.state) != DIGEST_BYTES:
        raise AuthenticationError(f"{body.signer}'s advert is malformed")
    advert.verify(rules.public_key_of(body.signer))


def _verify_settlement(each: SettledAttempt, rules: Rules) -> None:
    cohort, settlement = each.cohort, each.settlement
    sizes = verify_cohort(cohort, _rules_of_then(cohort, rules))
    match settlement:
        case VoidProof():
            named = settlement.attempt, settlement.cohort_digest
        case SpoiledProof(certificate=certificate):
            check_shape(certificate.statement, cohort, sizes)
            named = certificate.statement.attempt, certificate.statement.cohort_digest
        case Certificate():
            raise ProtocolError(
                f"attempt {cohort.attempt.number} was certified: its sum is to be applied, and no other made"
            )
    if named != (cohort.attempt, cohort.digest):
        raise AuthenticationError("a proof is of another attempt or cohort than it stands beside")
    settlement.verify(members=cohort.members, threshold=sizes.threshold, public_key_of=rules.public_key_of)


def _rules_of_then(cohort: Cohort, rules: Rules) -> Rules:
    """The rules under which an earlier attempt was made: keys may have been rotated since, but not back."""
    then = cohort.attempt.key_epoch
    return replace(rules, key_epoch=then) if then < rules.key_epoch else rules


def _check_own_settled(settled: Mapping[int, bytes], committed: Mapping[int, bytes]) -> None:
    for number, digest in committed.items():
        if settled.get(number) != digest:
            raise ProtocolError(
                f"this member's contribution to attempt {number} is not settled, so it sends no other",
                hint="the server must show how that attempt ended",
            )


def _spoiled_survivors(settled: tuple[SettledAttempt, ...]) -> tuple[str, ...] | None:
    spoiled = {
        survivor_ids(each.settlement.certificate.statement, each.cohort)
        for each in settled
        if isinstance(each.settlement, SpoiledProof)
    }
    if len(spoiled) > 1:
        raise ProtocolError("sums of different survivors were certified on one state")
    return next(iter(spoiled), None)


def _verify_reveals(head: AggregateHead, rules: Rules) -> None:
    statement = head.certificate.statement
    signers = [reveal.body.signer for reveal in head.reveals]
    if len(set(signers)) != len(signers) or not set(signers) <= set(head.cohort.members):
        raise AuthenticationError("reveals are not by distinct members of the cohort")
    if head.reveals and not rules.packets:
        raise AuthenticationError("there are reveals under a scheme that has none")
    # It takes all survivors: once, not once a reveal.
    digest = statement.digest
    for reveal in head.reveals:
        if reveal.body.attempt != statement.attempt or reveal.body.statement_digest != digest:
            raise AuthenticationError(f"{reveal.body.signer}'s reveal is for another statement")
        reveal.verify(rules.public_key_of(reveal.body.signer))


def _in_order(members: tuple[str, ...], roster: tuple[str, ...]) -> bool:
    """True where these are members of the roster, each once, in its order."""
    places = {member: place for place, member in enumerate(roster)}
    found = [places.get(member, -1) for member in members]
    return -1 not in found and all(before < after for before, after in pairwise(found))
