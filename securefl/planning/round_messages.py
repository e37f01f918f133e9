"""Messages of one round as one member sends and gets them where nothing goes wrong: their lengths alone count.

The rule kept here: every object is made of the right types with zeros for what only its length matters of, and is
encoded by the functions that encode the real one.

    one attempt, the whole roster in its cohort, every message once, and the sum fetched when t reveals are there
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from securefl.protocol import wire_calls
from securefl.protocol.agreement.cohort import NONCE_BYTES, Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import SALT_BYTES, ContributionHeader
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import DIGEST_BYTES, FIRST_KEY_EPOCH, Attempt, Signable, Signed
from securefl.protocol.agreement.statement import Certificate, Survivor, Survivors, SurvivorsVote
from securefl.protocol.calls import (
    Acknowledge,
    AggregateHead,
    AggregateReady,
    Announcement,
    CastVote,
    Certified,
    CohortClosed,
    CommitAsked,
    Confirm,
    Done,
    FetchAggregate,
    FetchPackets,
    Packets,
    RoundOpened,
    SendAdvert,
    SendReveal,
    StageContribution,
    Staged,
    StagedUpTo,
    SurvivorsProposed,
)
from securefl.protocol.federation import Federation
from securefl.protocol.sections import StreamSizes
from securefl.protocol.wire_aggregates import aggregate_preface, encode_aggregate_part
from securefl.protocol.wire_announcements import encode_announcement
from securefl.protocol.wire_packets import packets_messages
from securefl.protocol.wire_staging import (
    PART_BYTES,
    BodyChunk,
    contribution_messages,
    encode_contribution_part,
)

SIGNATURE_BYTES: Final = 64
SOME_SECONDS: Final = 1.0
"""Any duration that is not 0: protobuf leaves zeros out."""
_DIGEST: Final = bytes([1]) * DIGEST_BYTES
"""Any digest."""
Body = TypeVar("Body", bound=Signable)


class RoundMessages:
    """Lengths of a round's messages.

    Args:
        federation: The pinned federation.
        round_number: The round.
    """

    def __init__(self, federation: Federation, round_number: int) -> None:
        self._sections = federation.sections(round_number)
        self._round_number = round_number
        self._members = federation.cohort
        self._attempt = Attempt(federation.digest, FIRST_KEY_EPOCH, round_number, 1)
        self._shares = federation.terms.encryption.scheme == "kahe"
        sizes = federation.constants.cohort(len(self._members))
        self._threshold = sizes.threshold
        # A reveal is as long.
        self._packet = bytes(sizes.sealed_bytes)
        manifest = Manifest(self._attempt, self._members, _DIGEST)
        self._cohort = Cohort(manifest, tuple(self._advert(member) for member in self._members))
        survivors = tuple(Survivor(place, _DIGEST) for place in range(len(self._members)))
        self._statement = Survivors(self._attempt, _DIGEST, survivors, _DIGEST)

    def up(self, member: str) -> int:
        """Bytes that a member sends."""
        return sum(map(len, self._requests(member))) + self._contribution(member)

    def down(self, member: str) -> int:
        """Bytes that a member gets."""
        small = [encode_announcement(each) for each in self._announcements()]
        return sum(map(len, small)) + sum(map(len, self._answers(member))) + self._aggregate()

    def _requests(self, member: str) -> Iterator[bytes]:
        attempt, everybody = self._attempt, tuple(range(len(self._members)))
        yield wire_calls.encode_advert(SendAdvert(self._advert(member)))
        yield wire_calls.encode_staged_up_to(StagedUpTo(attempt))
        if self._shares:
            yield wire_calls.encode_fetch_packets(FetchPackets(attempt))
        yield wire_calls.encode_acknowledge(Acknowledge(attempt, everybody, self._header(member)))
        yield wire_calls.encode_vote(CastVote(self._vote(member)))
        if self._shares:
            yield wire_calls.encode_reveal(SendReveal(self._reveal(member)))
        yield wire_calls.encode_fetch_aggregate(FetchAggregate(self._round_number))
        yield wire_calls.encode_confirm(Confirm(self._round_number))

    def _contribution(self, member: str) -> int:
        sizes = StreamSizes.of_contribution(self._sections)
        packets = tuple(b"" if other == member else self._packet for other in self._members)
        head = StageContribution(
            self._attempt, _DIGEST, _DIGEST, bytes(sizes.seeds_bytes), packets if self._shares else ()
        )
        preface = sum(map(len, contribution_messages(head, body=(), offset=0)))
        return preface + _parts(sizes.body_bytes, encode_contribution_part)

    def _announcements(self) -> Iterator[Announcement]:
        cohort = self._cohort
        headers = tuple(self._header(member) for member in self._members)
        yield RoundOpened(cohort.manifest)
        yield CohortClosed(cohort)
        yield CommitAsked(_DIGEST, tuple(range(len(self._members))))
        yield SurvivorsProposed(self._statement, headers)
        if self._shares:
            yield Certified(self._certificate())
        yield AggregateReady(self._round_number, self._threshold if self._shares else 0)

    def _answers(self, member: str) -> Iterator[bytes]:
        body_bytes = StreamSizes.of_contribution(self._sections).body_bytes
        # Advert, acknowledgement, vote, confirmation, and the reveal.
        yield wire_calls.encode_done(Done()) * (5 if self._shares else 4)
        yield wire_calls.encode_staged(Staged(0, False))
        yield wire_calls.encode_staged(Staged(body_bytes, True))
        if self._shares:
            own = self._members.index(member)
            others = (place for place in range(len(self._members)) if place != own)
            packets = Packets(self._attempt, tuple((place, self._packet, _DIGEST) for place in others))
            yield from packets_messages(packets)

    def _aggregate(self) -> int:
        sizes = StreamSizes.of_aggregate(self._sections)
        helpers = self._members[: self._threshold] if self._shares else ()
        head = AggregateHead(
            cohort=self._cohort,
            settled=(),
            certificate=self._certificate(),
            headers=tuple(self._header(member) for member in self._members),
            seeds=(bytes(sizes.seeds_bytes),) * len(self._members),
            reveals=tuple(self._reveal(member) for member in helpers),
            body_bytes=sizes.body_bytes,
            aggregate_seconds=SOME_SECONDS,
        )
        preface = sum(map(len, aggregate_preface(head)))
        return preface + _parts(sizes.body_bytes, encode_aggregate_part)

    def _advert(self, member: str) -> Signed[Advert]:
        return _signed(Advert(self._attempt, member, _DIGEST, bytes(NONCE_BYTES), _DIGEST))

    def _header(self, member: str) -> Signed[ContributionHeader]:
        digests = (_DIGEST, bytes(SALT_BYTES), _DIGEST, _DIGEST, _DIGEST)
        return _signed(ContributionHeader(self._attempt, member, *digests))

    def _certificate(self) -> Certificate:
        voters = self._members[: self._threshold]
        return Certificate(self._statement, tuple(self._vote(member) for member in voters))

    def _vote(self, member: str) -> Signed[SurvivorsVote]:
        return _signed(SurvivorsVote(self._attempt, member, self._statement.digest))

    def _reveal(self, member: str) -> Signed[Reveal]:
        return _signed(Reveal(self._attempt, member, self._statement.digest, self._packet))


def _signed(body: Body) -> Signed[Body]:
    return Signed(body, bytes(SIGNATURE_BYTES))


def _parts(total: int, encode: Callable[[BodyChunk], bytes]) -> int:
    """Bytes of the messages that carry so many of a body, cut as the transport cuts them."""
    whole, rest = divmod(total, PART_BYTES)
    size = whole * len(encode(BodyChunk(bytes(PART_BYTES)))) if whole else 0
    return size + (len(encode(BodyChunk(bytes(rest)))) if rest else 0)
