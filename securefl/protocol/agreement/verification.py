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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from securefl.crypto.thresholds import CohortSizes, RosterConstants
from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.cohort import NONCE_BYTES, Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import (
    NO_PACKETS,
    SALT_BYTES,
    ContributionHeader,
    header_digest,
)
from securefl.protocol.agreement.signed import DIGEST_BYTES, Attempt, Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    PublicKeyOf,
    SpoiledProof,
    Survivors,
    VoidProof,
    settlements_digest,
)
from securefl.protocol.calls import AggregateHead, SettledAttempt

OwnerRule = Callable[[tuple[str, ...]], None]
"""Raises ProtocolError where these survivors own a coordinate or hold a class in too small a number."""


@dataclass(frozen=True, slots=True)
class Rules:
    """A federation as far as agreement needs it.

    Attributes:
        federation_digest: Digest of the federation file (32 bytes).
        key_epoch: Number of the rotation of keys.
        members: The roster's ids, in its order.
        public_key_of: The roster's Ed25519 keys; raises for whom it does not list.
        constants: m, c_max and h.
        packets: True where the scheme shares keys, so that contributions come with packets.
    """

    federation_digest: bytes
    key_epoch: int
    members: tuple[str, ...]
    public_key_of: PublicKeyOf
    constants: RosterConstants
    packets: bool

    def attempt(self, round_number: int, number: int) -> Attempt:
        """An attempt of this federation under these keys."""
        return Attempt(self.federation_digest, self.key_epoch, round_number, number)

    def sizes(self, cohort: Cohort) -> CohortSizes:
        """n, t and c of a cohort.

        Raises:
            ProtocolError: if it is smaller than a cohort of this federation may be.
        """
        return self.constants.cohort(len(cohort.adverts))


@dataclass(frozen=True, slots=True)
class OwnPart:
    """One member's own part in an attempt, which proposed survivors are held against.

    Attributes:
        member: Its id.
        header: The header that it sent; None where it has sent none.
        opened: The packets that it opened: index of the sender, and the digest of the body that each was bound to
            (32 bytes). Not looked at under a scheme without packets.
        spoiled: Ids of the survivors whose certified sum could not be opened, where there was one since the last
            aggregate was applied: the survivors must be the same again.
    """

    member: str
    header: Signed[ContributionHeader] | None
    opened: Mapping[int, bytes] = field(default_factory=dict)
    spoiled: tuple[str, ...] | None = None


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
    if attempt.key_epoch != rules.key_epoch:
        raise ProtocolError(
            "the server works under other keys than this member's folder",
            hint="keys are renewed in the folders of all members and the server together",
        )
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
    for advert in cohort.adverts:
        _check_advert(advert, cohort.manifest, rules)
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


def check_survivors(
    statement: Survivors,
    headers: tuple[Signed[ContributionHeader], ...],
    cohort: Cohort,
    rules: Rules,
    *,
    own: OwnPart,
    owners: OwnerRule,
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
    listed = {each.index: header for each, header in zip(statement.survivors, headers, strict=True)}
    _check_own_header(listed, cohort, own)
    if rules.packets:
        _check_opened(listed, cohort, own)
    _check_admissible(statement, cohort, own.spoiled, owners)


def verify_certificate(certificate: Certificate, cohort: Cohort, rules: Rules) -> None:
    """Check that t members of a verified cohort voted for a statement of at least t survivors of it.

    Raises:
        ProtocolError, AuthenticationError: if not.
    """
    sizes = rules.sizes(cohort)
    check_shape(certificate.statement, cohort, sizes)
    certificate.verify(members=cohort.members, threshold=sizes.threshold, public_key_of=rules.public_key_of)


def verify_head(
    head: AggregateHead,
    rules: Rules,
    *,
    state: bytes,
    committed: Mapping[int, bytes],
    owners: OwnerRule,
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
    _check_admissible(statement, cohort, spoiled, owners)
    if len(head.seeds) != len(head.headers):
        raise AuthenticationError("there are not the seeds of every survivor")
    for header, seeds in zip(head.headers, head.seeds, strict=True):
        if hashlib.sha256(seeds).digest() != header.body.seeds_digest:
            raise AuthenticationError(f"{header.body.signer}'s seeds are not those it signed")
    _verify_reveals(head, rules)


def survivor_ids(statement: Survivors, cohort: Cohort) -> tuple[str, ...]:
    """Ids of a statement's survivors, in the roster's order."""
    return tuple(cohort.members[each.index] for each in statement.survivors)


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
    for survivor, header in zip(statement.survivors, headers, strict=True):
        if header.body.signer != cohort.members[survivor.index]:
            raise AuthenticationError("a survivor's header is another member's")
        if header_digest(header) != survivor.header_digest:
            raise AuthenticationError(
                f"{header.body.signer}'s header is not the one that the statement lists"
            )
        _check_header(header, cohort, rules)


def _check_header(header: Signed[ContributionHeader], cohort: Cohort, rules: Rules) -> None:
    body = header.body
    if body.attempt != cohort.attempt or body.cohort_digest != cohort.digest:
        raise AuthenticationError(f"{body.signer}'s header is for another attempt or cohort")
    if len(body.salt) != SALT_BYTES:
        raise AuthenticationError(f"{body.signer}'s header has no salt")
    if not rules.packets and body.packets_digest != NO_PACKETS:
        raise AuthenticationError(f"{body.signer}'s header names packets, which this scheme has none of")
    header.verify(rules.public_key_of(body.signer))


def _check_own_header(listed: Mapping[int, Signed[ContributionHeader]], cohort: Cohort, own: OwnPart) -> None:
    if own.member not in cohort.members:
        raise ProtocolError(f"{own.member} is not in the cohort that is asked to vote")
    shown = listed.get(cohort.index(own.member))
    if shown is not None and shown != own.header:
        raise AuthenticationError("the statement lists another header of this member than it sent")


def _check_opened(listed: Mapping[int, Signed[ContributionHeader]], cohort: Cohort, own: OwnPart) -> None:
    index = cohort.index(own.member)
    for sender, header in listed.items():
        if sender != index and own.opened.get(sender) != header.body.body_digest:
            raise ProtocolError(f"this member holds no share of {header.body.signer}'s key")


def _check_admissible(
    statement: Survivors, cohort: Cohort, spoiled: tuple[str, ...] | None, owners: OwnerRule
) -> None:
    survivors = survivor_ids(statement, cohort)
    if spoiled is not None and survivors != spoiled:
        raise ProtocolError(
            "other survivors than those of the sum that could not be opened are proposed on its state"
        )
    owners(survivors)


def _check_advert(advert: Signed[Advert], manifest: Manifest, rules: Rules) -> None:
    body = advert.body
    if body.attempt != manifest.attempt or body.manifest_digest != manifest.digest:
        raise AuthenticationError(f"{body.signer}'s advert is for another manifest")
    if len(body.nonce) != NONCE_BYTES or len(body.state) != DIGEST_BYTES:
        raise AuthenticationError(f"{body.signer}'s advert is malformed")
    advert.verify(rules.public_key_of(body.signer))


def _verify_settlement(each: SettledAttempt, rules: Rules) -> None:
    cohort, settlement = each.cohort, each.settlement
    sizes = verify_cohort(cohort, rules)
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
    for reveal in head.reveals:
        if reveal.body.attempt != statement.attempt or reveal.body.statement_digest != statement.digest:
            raise AuthenticationError(f"{reveal.body.signer}'s reveal is for another statement")
        reveal.verify(rules.public_key_of(reveal.body.signer))


def _in_order(members: tuple[str, ...], roster: tuple[str, ...]) -> bool:
    """True where these are members of the roster, each once, in its order."""
    places = {member: place for place, member in enumerate(roster)}
    found = [places.get(member, -1) for member in members]
    return -1 not in found and all(before < after for before, after in zip(found, found[1:], strict=False))
