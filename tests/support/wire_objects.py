"""Everything that travels, as hypothesis strategies: objects within their limits and in one piece."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from securefl.protocol import calls, wire_aggregates, wire_calls, wire_fields, wire_signed, wire_staging
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

_first = st.sampled_from(string.ascii_lowercase + string.digits)
_rest = st.text(string.ascii_lowercase + string.digits + "-_", max_size=62)
members = st.builds(str.__add__, _first, _rest)
rounds = st.integers(wire_fields.MIN_ROUND, wire_fields.MAX_ROUND)
digests = st.binary(min_size=32, max_size=32)
budget_heads = st.just(bytes(32)) | digests
signatures = st.binary(min_size=64, max_size=64)
words = st.text(max_size=600).map(wire_fields.plain_words)
lengths = st.integers(0, wire_fields.MAX_STREAM_BYTES)
shares = st.integers(1, 40).flatmap(lambda count: st.binary(min_size=16 + 2 * count, max_size=16 + 2 * count))
numbers = st.integers(1, wire_signed.MAX_NUMBER)
attempts = st.builds(Attempt, digests, numbers, rounds, numbers)
processes = st.binary(min_size=16, max_size=16)
indices = st.sets(st.integers(0, 999), max_size=9).map(lambda some: tuple(sorted(some)))


def distinct(at_least: int = 3, at_most: int = 6) -> st.SearchStrategy[list[str]]:
    return st.lists(members, min_size=at_least, max_size=at_most, unique=True)


@st.composite
def adverts(draw: st.DrawFn, attempt: Attempt, member: str) -> Signed[Advert]:
    return Signed(Advert(attempt, member, draw(digests), draw(digests), draw(digests)), draw(signatures))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    return Manifest(draw(attempts), tuple(draw(distinct())), draw(digests))


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    manifest = draw(manifests())
    size = draw(st.integers(3, len(manifest.invited)))
    chosen = manifest.invited[:size]
    return Cohort(manifest, tuple(draw(adverts(manifest.attempt, member)) for member in chosen))


@st.composite
def headers(draw: st.DrawFn, attempt: Attempt, member: str) -> Signed[ContributionHeader]:
    body = ContributionHeader(attempt, member, *(draw(digests) for _ in range(5)), draw(budget_heads))
    return Signed(body, draw(signatures))


@st.composite
def statements(draw: st.DrawFn, attempt: Attempt | None = None, cohort: int = 1000) -> Survivors:
    chosen = draw(st.sets(st.integers(0, cohort - 1), min_size=3, max_size=6))
    listed = tuple(Survivor(index, draw(digests)) for index in sorted(chosen))
    return Survivors(attempt or draw(attempts), draw(digests), listed, draw(digests))


@st.composite
def certificates(draw: st.DrawFn, statement: Survivors | None = None) -> Certificate:
    about = draw(statements()) if statement is None else statement
    voters = draw(distinct())
    votes = (Signed(SurvivorsVote(about.attempt, voter, about.digest), draw(signatures)) for voter in voters)
    return Certificate(about, tuple(votes))


@st.composite
def void_proofs(draw: st.DrawFn) -> VoidProof:
    attempt, digest = draw(attempts), draw(digests)
    votes = (Signed(VoidVote(attempt, voter, digest), draw(signatures)) for voter in draw(distinct()))
    return VoidProof(attempt, digest, tuple(votes))


@st.composite
def spoiled_proofs(draw: st.DrawFn) -> SpoiledProof:
    certificate = draw(certificates())
    about = certificate.statement
    votes = (
        Signed(SpoiledVote(about.attempt, voter, about.digest), draw(signatures))
        for voter in draw(distinct())
    )
    return SpoiledProof(certificate, tuple(votes))


@st.composite
def reveals(draw: st.DrawFn, attempt: Attempt, member: str) -> Signed[Reveal]:
    return Signed(Reveal(attempt, member, draw(digests), draw(shares)), draw(signatures))


settled = st.builds(
    calls.SettledAttempt, cohorts(), st.one_of(certificates(), void_proofs(), spoiled_proofs())
)


@st.composite
def proposals(draw: st.DrawFn) -> calls.SurvivorsProposed:
    statement = draw(statements())
    count = len(statement.survivors)
    listed = draw(distinct(count, count))
    return calls.SurvivorsProposed(
        statement, tuple(draw(headers(statement.attempt, member)) for member in listed)
    )


announcements = st.one_of(
    st.builds(calls.Waiting, distinct(1).map(tuple)),
    st.builds(calls.RoundOpened, manifests(), st.lists(settled, max_size=2).map(tuple)),
    st.builds(calls.CohortClosed, cohorts()),
    st.builds(calls.CommitAsked, digests, indices),
    proposals(),
    st.builds(calls.VoidAsked, digests),
    st.builds(calls.Certified, certificates()),
    st.builds(calls.AggregateReady, rounds, st.integers(0, 1000)),
    st.builds(calls.SpoiledAsked, digests),
    st.builds(calls.FederationClosed),
    st.builds(calls.FederationFailed, members | st.just(""), words),
)


@st.composite
def acknowledgements(draw: st.DrawFn) -> calls.Acknowledge:
    attempt = draw(attempts)
    header = draw(st.none() | headers(attempt, draw(members)))
    return calls.Acknowledge(attempt, draw(indices), header)


@st.composite
def votes(draw: st.DrawFn) -> calls.CastVote:
    kind = draw(st.sampled_from([SurvivorsVote, VoidVote, SpoiledVote, None]))
    if kind is None:
        reason = draw(st.binary(min_size=1, max_size=100))
        return calls.CastVote(calls.Abstention(draw(attempts), reason))
    vote: Any = kind(draw(attempts), draw(members), draw(digests))
    return calls.CastVote(Signed(vote, draw(signatures)))


@st.composite
def packets(draw: st.DrawFn) -> calls.Packets:
    senders = draw(indices)
    return calls.Packets(draw(attempts), tuple((sender, draw(shares), draw(digests)) for sender in senders))


@st.composite
def heads(draw: st.DrawFn) -> calls.AggregateHead:
    cohort = draw(cohorts())
    statement = draw(statements(attempt=draw(attempts), cohort=len(cohort.adverts)))
    count = len(statement.survivors)
    signers = draw(distinct(count, count))
    return calls.AggregateHead(
        cohort=cohort,
        settled=tuple(draw(st.lists(settled, max_size=1))),
        certificate=draw(certificates(statement)),
        headers=tuple(draw(headers(statement.attempt, member)) for member in signers),
        seeds=(),
        reveals=tuple(draw(reveals(cohort.attempt, member)) for member in draw(distinct(1))),
        body_bytes=draw(st.integers(1, wire_fields.MAX_STREAM_BYTES)),
        aggregate_seconds=draw(st.floats(0, 1e9)),
    )


chunks = st.binary(min_size=1, max_size=200)
contribution_parts = st.one_of(
    st.builds(
        wire_staging.ContributionHead,
        attempts,
        digests,
        digests,
        st.just(0) | st.integers(3, 1000),
        lengths,
        lengths,
    ),
    st.builds(wire_staging.PacketsChunk, st.lists(shares | st.just(b""), min_size=1, max_size=5).map(tuple)),
    st.builds(wire_staging.SeedsChunk, chunks),
    st.builds(wire_staging.BodyChunk, chunks),
)
aggregate_parts = st.one_of(
    st.builds(wire_aggregates.AggregateBegin, heads(), lengths),
    st.builds(wire_staging.SeedsChunk, chunks),
    st.builds(wire_staging.BodyChunk, chunks),
)
hellos = st.builds(
    wire_calls.Hello, st.integers(1, wire_calls.MAX_VERSION), digests, processes, st.none() | rounds
)
farewells = st.builds(wire_calls.Farewell, st.builds(calls.Leave, st.booleans(), words), processes)
send_adverts = st.builds(
    calls.SendAdvert, st.tuples(attempts, members).flatmap(lambda am: adverts(*am))
) | st.builds(calls.SitOut, attempts)
send_reveals = st.builds(calls.SendReveal, st.tuples(attempts, members).flatmap(lambda am: reveals(*am)))
