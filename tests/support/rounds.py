"""A small attempt of three members in objects: signatures and digests of it are of no key."""

from __future__ import annotations

import hashlib

from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import ContributionHeader, header_digest
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import Certificate, Survivor, Survivors, SurvivorsVote
from securefl.protocol.calls import AggregateHead, StageContribution
from securefl.protocol.sections import StreamSizes
from securefl.protocol.wire_staging import StageSizes

MEMBERS = ("client-1", "client-2", "client-3")
SIGNATURE = b"s" * 64
ATTEMPT = Attempt(federation_digest=bytes(range(32)), key_epoch=1, round_number=1, number=1)
MANIFEST = Manifest(ATTEMPT, MEMBERS, bytes(32))
COHORT = Cohort(
    MANIFEST,
    tuple(
        Signed(Advert(ATTEMPT, member, MANIFEST.digest, b"n" * 32, b"t" * 32), SIGNATURE)
        for member in MEMBERS
    ),
)
BODY = bytes(range(251)) * 1200
PACKETS = (b"", b"p" * 20, b"q" * 20)
"""Those of the first member."""
STAGE = StageContribution(ATTEMPT, COHORT.digest, hashlib.sha256(BODY).digest(), b"x" * 64, PACKETS)
STAGE_SIZES = StageSizes(seeds_bytes=64, body_bytes=len(BODY), packet_bytes=(0, 20, 20))
HEADERS = tuple(
    Signed(
        ContributionHeader(
            ATTEMPT, member, COHORT.digest, b"z" * 32, b"e" * 32, STAGE.body_digest, b"k" * 32
        ),
        SIGNATURE,
    )
    for member in MEMBERS
)
STATEMENT = Survivors(
    ATTEMPT,
    COHORT.digest,
    tuple(Survivor(index, header_digest(header)) for index, header in enumerate(HEADERS)),
    hashlib.sha256(BODY).digest(),
)
CERTIFICATE = Certificate(
    STATEMENT,
    tuple(Signed(SurvivorsVote(ATTEMPT, member, STATEMENT.digest), SIGNATURE) for member in MEMBERS),
)
REVEALS = tuple(Signed(Reveal(ATTEMPT, member, STATEMENT.digest, b"r" * 20), SIGNATURE) for member in MEMBERS)
HEAD = AggregateHead(COHORT, (), CERTIFICATE, HEADERS, (b"x" * 64,) * 3, REVEALS, len(BODY), 0.5)
SIZES = StreamSizes(seeds_bytes=64, body_bytes=len(BODY))


def sizes_of(cohort: Cohort) -> StreamSizes:
    """What an aggregate of this attempt measures."""
    assert cohort == COHORT
    return SIZES
