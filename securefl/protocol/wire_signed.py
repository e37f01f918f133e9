"""Signed objects of a round, cohorts, statements and proofs to protobuf and back.

The rule kept here: as in every ``wire`` module, what a ``read_`` function returns is complete and within its limits,
and anything else raised ``WireError``. A signed object travels without what its surroundings give: the attempt, and
what a vote of a certificate is on. Writing one that says otherwise than its surroundings is refused, so nothing is
lost. Signatures are not verified here.

Reference: ``protos/SPEC.md``; the wire is ``protos/securefl/v3/aggregator.proto``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, assert_never

from securefl.config.cohort import MIN_COHORT
from securefl.crypto.thresholds import SEAL_BYTES
from securefl.errors import ProtocolError, WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import NO_BUDGET, ContributionHeader
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Body, Signed
from securefl.protocol.agreement.statement import (
    Certificate,
    Settlement,
    SpoiledProof,
    SpoiledVote,
    Survivor,
    Survivors,
    SurvivorsVote,
    VoidProof,
    VoidVote,
)
from securefl.protocol.calls import SettledAttempt
from securefl.v3 import aggregator_pb2 as pb

MAX_NUMBER: Final = 1_000_000
"""The largest number of an attempt, and of a rotation of keys."""
MAX_SETTLED: Final = 20
"""Most attempts of one round that closed a cohort and came to nothing; a server ends the run after them."""
MIN_SEALED: Final = SEAL_BYTES + 2
"""A share of one word of 16 bits."""
MAX_SEALED: Final = SEAL_BYTES + 2 * 2048
"""A share of 2048 words: a key's 4096 coefficients, two secrets a polynomial, which is the fewest there may be."""


def write_attempt(attempt: Attempt) -> pb.Attempt:
    """The wire form of an attempt."""
    return pb.Attempt(
        federation_digest=attempt.federation_digest,
        key_epoch=attempt.key_epoch,
        round_number=attempt.round_number,
        number=attempt.number,
    )


def read_attempt(message: pb.Attempt) -> Attempt:
    """The inverse of ``write_attempt``.

    Raises:
        WireError: if it breaks a limit.
    """
    return Attempt(
        federation_digest=fields.digest(message.federation_digest, "federation digest"),
        key_epoch=fields.within(message.key_epoch, 1, MAX_NUMBER, "key epoch"),
        round_number=fields.round_number(message),
        number=fields.within(message.number, 1, MAX_NUMBER, "number of an attempt"),
    )


def write_manifest(manifest: Manifest) -> pb.Manifest:
    """The wire form of a manifest."""
    return pb.Manifest(
        attempt=write_attempt(manifest.attempt), invited=manifest.invited, settled=manifest.settled
    )


def read_manifest(message: pb.Manifest) -> Manifest:
    """The inverse of ``write_manifest``.

    Raises:
        WireError: if it breaks a limit.
    """
    return Manifest(
        attempt=read_attempt(message.attempt),
        invited=fields.members(message.invited, at_least=MIN_COHORT, what="list of invited members"),
        settled=fields.digest(message.settled, "digest of settlements"),
    )


def write_advert(signed: Signed[Advert], attempt: Attempt) -> pb.SignedAdvert:
    """The wire form of an advert of this attempt.

    Raises:
        ProtocolError: if it is of another one.
    """
    body = _of_attempt(signed.body, attempt)
    return pb.SignedAdvert(
        member=body.signer,
        manifest_digest=body.manifest_digest,
        nonce=body.nonce,
        state=body.state,
        signature=signed.signature,
    )


def read_advert(message: pb.SignedAdvert, attempt: Attempt) -> Signed[Advert]:
    """The inverse of ``write_advert``.

    Raises:
        WireError: if it breaks a limit.
    """
    body = Advert(
        attempt=attempt,
        signer=fields.member_id(message.member),
        manifest_digest=fields.digest(message.manifest_digest, "manifest digest"),
        nonce=fields.digest(message.nonce, "nonce"),
        state=fields.digest(message.state, "digest of a state"),
    )
    return Signed(body, read_signature(message.signature))


def write_cohort(cohort: Cohort) -> pb.Cohort:
    """The wire form of a cohort.

    Raises:
        ProtocolError: if an advert is of another attempt than the manifest.
    """
    adverts = [write_advert(advert, cohort.attempt) for advert in cohort.adverts]
    return pb.Cohort(manifest=write_manifest(cohort.manifest), adverts=adverts)


def read_cohort(message: pb.Cohort) -> Cohort:
    """The inverse of ``write_cohort``: different members, each of them invited.

    Raises:
        WireError: if it breaks a limit.
    """
    manifest = read_manifest(message.manifest)
    fields.count(message.adverts, at_least=MIN_COHORT, what="cohort")
    adverts = tuple(read_advert(advert, manifest.attempt) for advert in message.adverts)
    members = [advert.body.signer for advert in adverts]
    fields.different(members, "cohort")
    if not set(members) <= set(manifest.invited):
        raise WireError("a cohort has a member that was not invited")
    return Cohort(manifest, adverts)


def write_header(signed: Signed[ContributionHeader], attempt: Attempt) -> pb.SignedHeader:
    """The wire form of a contribution's header of this attempt.

    Raises:
        ProtocolError: if it is of another one.
    """
    body = _of_attempt(signed.body, attempt)
    return pb.SignedHeader(
        member=body.signer,
        cohort_digest=body.cohort_digest,
        salt=body.salt,
        seeds_digest=body.seeds_digest,
        body_digest=body.body_digest,
        packets_digest=body.packets_digest,
        budget_head=b"" if body.budget_head == NO_BUDGET else body.budget_head,
        signature=signed.signature,
    )


def read_header(message: pb.SignedHeader, attempt: Attempt) -> Signed[ContributionHeader]:
    """The inverse of ``write_header``.

    Raises:
        WireError: if it breaks a limit.
    """
    body = ContributionHeader(
        attempt=attempt,
        signer=fields.member_id(message.member),
        cohort_digest=fields.digest(message.cohort_digest, "cohort digest"),
        salt=fields.digest(message.salt, "salt"),
        seeds_digest=fields.digest(message.seeds_digest, "seeds digest"),
        body_digest=fields.digest(message.body_digest, "body digest"),
        packets_digest=fields.digest(message.packets_digest, "packets digest"),
        budget_head=_budget_head(message.budget_head),
    )
    return Signed(body, read_signature(message.signature))


def _budget_head(head: bytes) -> bytes:
    """The head that a header names, in its one form: nothing where there is none.

    Raises:
        WireError: if it is no digest, or zeros.
    """
    if not head:
        return NO_BUDGET
    if head == NO_BUDGET:
        raise WireError("a header names zeros as its budget's head", hint="the field is left out then")
    return fields.digest(head, "budget's head")


def read_headers(
    messages: Iterable[pb.SignedHeader], statement: Survivors
) -> tuple[Signed[ContributionHeader], ...]:
    """Headers of a statement's survivors: one each.

    Raises:
        WireError: if there are more or fewer, or one breaks a limit.
    """
    listed = tuple(messages)
    if len(listed) != len(statement.survivors):
        raise WireError("the headers are not those of the survivors", hint="there must be one for each")
    headers = tuple(read_header(message, statement.attempt) for message in listed)
    fields.different([header.body.signer for header in headers], "list of headers")
    return headers


def write_survivors(statement: Survivors) -> pb.Survivors:
    """The wire form of a statement."""
    survivors = [
        pb.Survivor(index=each.index, header_digest=each.header_digest) for each in statement.survivors
    ]
    return pb.Survivors(
        attempt=write_attempt(statement.attempt),
        cohort_digest=statement.cohort_digest,
        survivors=survivors,
        total_digest=statement.total_digest,
    )


def read_survivors(message: pb.Survivors) -> Survivors:
    """The inverse of ``write_survivors``: indices ascend.

    Raises:
        WireError: if it breaks a limit.
    """
    fields.count(message.survivors, at_least=MIN_COHORT, what="list of survivors")
    indices = fields.ascending((each.index for each in message.survivors), "list of survivors")
    digests = [fields.digest(each.header_digest, "header digest") for each in message.survivors]
    return Survivors(
        attempt=read_attempt(message.attempt),
        cohort_digest=fields.digest(message.cohort_digest, "cohort digest"),
        survivors=tuple(map(Survivor, indices, digests)),
        total_digest=fields.digest(message.total_digest, "total digest"),
    )


def check_indices(indices: Iterable[int], cohort: Cohort) -> None:
    """Raises unless each of the indices, which ascend, is a member's in the cohort.

    Raises:
        WireError: if one lies beyond it.
    """
    if max(indices, default=0) >= len(cohort.adverts):
        raise WireError("an index lies beyond the cohort")


def write_certificate(certificate: Certificate) -> pb.Certificate:
    """The wire form of a certificate.

    Raises:
        ProtocolError: if a vote is on another statement or attempt.
    """
    statement = certificate.statement
    digest = statement.digest
    votes = [
        _vote(vote, statement.attempt, same=vote.body.statement_digest == digest)
        for vote in certificate.votes
    ]
    return pb.Certificate(statement=write_survivors(statement), votes=votes)


def read_certificate(message: pb.Certificate) -> Certificate:
    """The inverse of ``write_certificate``: its votes are of different members.

    Raises:
        WireError: if it breaks a limit.
    """
    statement = read_survivors(message.statement)
    digest = statement.digest
    votes = tuple(
        Signed(SurvivorsVote(statement.attempt, member, digest), signature)
        for member, signature in _votes(message.votes)
    )
    return Certificate(statement, votes)


def write_settled(settled: SettledAttempt) -> pb.SettledAttempt:
    """The wire form of a settled attempt.

    Raises:
        ProtocolError: if a vote is on something else than what its proof is about.
    """
    cohort = write_cohort(settled.cohort)
    match settled.settlement:
        case Certificate() as certificate:
            return pb.SettledAttempt(cohort=cohort, certificate=write_certificate(certificate))
        case VoidProof() as proof:
            return pb.SettledAttempt(cohort=cohort, void_proof=_write_void(proof))
        case SpoiledProof() as proof:
            return pb.SettledAttempt(cohort=cohort, spoiled=_write_spoiled(proof))
        case _:
            assert_never(settled.settlement)


def read_settled(message: pb.SettledAttempt) -> SettledAttempt:
    """The inverse of ``write_settled``.

    Raises:
        WireError: if it breaks a limit, or its proof is of no kind that this version knows.
    """
    return SettledAttempt(read_cohort(message.cohort), _read_settlement(message))


def read_all_settled(messages: Sequence[pb.SettledAttempt]) -> tuple[SettledAttempt, ...]:
    """Earlier attempts of one round, ``MAX_SETTLED`` of them at most.

    Raises:
        WireError: if there are more, or one breaks a limit.
    """
    fields.within(len(messages), 0, MAX_SETTLED, "number of settled attempts")
    return tuple(read_settled(message) for message in messages)


def write_reveal(signed: Signed[Reveal], attempt: Attempt) -> pb.SignedReveal:
    """The wire form of a reveal of this attempt.

    Raises:
        ProtocolError: if it is of another one.
    """
    body = _of_attempt(signed.body, attempt)
    return pb.SignedReveal(
        member=body.signer,
        statement_digest=body.statement_digest,
        sealed=body.sealed,
        signature=signed.signature,
    )


def read_reveal(message: pb.SignedReveal, attempt: Attempt) -> Signed[Reveal]:
    """The inverse of ``write_reveal``.

    Raises:
        WireError: if it breaks a limit.
    """
    body = Reveal(
        attempt=attempt,
        signer=fields.member_id(message.member),
        statement_digest=fields.digest(message.statement_digest, "statement digest"),
        sealed=sealed_share(message.sealed),
    )
    return Signed(body, read_signature(message.signature))


def sealed_share(value: bytes) -> bytes:
    """A sealed share: words of 16 bits, then the seal.

    Raises:
        WireError: if no share has this length.
    """
    fields.within(len(value), MIN_SEALED, MAX_SEALED, "sealed share's length")
    if len(value) % 2:
        raise WireError("a sealed share is of an odd length", hint="it holds words of 16 bits")
    return value


def read_signature(value: bytes) -> bytes:
    """An Ed25519 signature, 64 bytes; not verified.

    Raises:
        WireError: if its length is another.
    """
    return fields.exactly(value, fields.SIGNATURE_BYTES, "signature")


def _of_attempt(body: Body, attempt: Attempt) -> Body:
    if body.attempt != attempt:
        raise ProtocolError(f"something signed by {body.signer} is of another attempt than its message")
    return body


def _vote(
    vote: Signed[SurvivorsVote] | Signed[VoidVote] | Signed[SpoiledVote], attempt: Attempt, *, same: bool
) -> pb.Signature:
    _of_attempt(vote.body, attempt)
    if not same:
        raise ProtocolError(f"the vote of {vote.body.signer} is on something else than its proof")
    return pb.Signature(member=vote.body.signer, signature=vote.signature)


def _votes(messages: Iterable[pb.Signature]) -> list[tuple[str, bytes]]:
    listed = list(messages)
    fields.count(listed, at_least=MIN_COHORT, what="list of votes")
    votes = [(fields.member_id(vote.member), read_signature(vote.signature)) for vote in listed]
    fields.different([member for member, _ in votes], "list of votes")
    return votes


def _write_void(proof: VoidProof) -> pb.VoidProof:
    votes = [
        _vote(vote, proof.attempt, same=vote.body.cohort_digest == proof.cohort_digest)
        for vote in proof.votes
    ]
    return pb.VoidProof(attempt=write_attempt(proof.attempt), cohort_digest=proof.cohort_digest, votes=votes)


def _write_spoiled(proof: SpoiledProof) -> pb.SpoiledProof:
    statement = proof.certificate.statement
    digest = statement.digest
    votes = [
        _vote(vote, statement.attempt, same=vote.body.statement_digest == digest) for vote in proof.votes
    ]
    return pb.SpoiledProof(certificate=write_certificate(proof.certificate), votes=votes)


def _read_settlement(message: pb.SettledAttempt) -> Settlement:
    kind = message.WhichOneof("settlement")
    if kind == "certificate":
        return read_certificate(message.certificate)
    if kind == "void_proof":
        return _read_void(message.void_proof)
    if kind == "spoiled":
        return _read_spoiled(message.spoiled)
    raise WireError("an attempt's end is of no kind that this version knows")


def _read_void(message: pb.VoidProof) -> VoidProof:
    attempt = read_attempt(message.attempt)
    digest = fields.digest(message.cohort_digest, "cohort digest")
    votes = _votes(message.votes)
    return VoidProof(
        attempt, digest, tuple(Signed(VoidVote(attempt, member, digest), signed) for member, signed in votes)
    )


def _read_spoiled(message: pb.SpoiledProof) -> SpoiledProof:
    certificate = read_certificate(message.certificate)
    attempt, digest = certificate.statement.attempt, certificate.statement.digest
    votes = _votes(message.votes)
    return SpoiledProof(
        certificate,
        tuple(Signed(SpoiledVote(attempt, member, digest), signed) for member, signed in votes),
    )
