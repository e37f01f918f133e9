"""Signed forms and digests against ``protos/SPEC.md``, written down anew from that page alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from support import rounds

from securefl.protocol.agreement.commitment import header_digest, packets_digest
from securefl.protocol.agreement.signed import Attempt, Signable, Signed, signed_bytes
from securefl.protocol.agreement.statement import (
    SpoiledProof,
    SpoiledVote,
    SurvivorsVote,
    VoidProof,
    VoidVote,
    settlements_digest,
)

OPENING = Attempt(federation_digest=b"f" * 32, key_epoch=7, round_number=-2, number=300)
OPENING_BYTES = [b"f" * 32, b"\0\0\0\x07", b"\xff" * 7 + b"\xfe", b"\0\0\x01\x2c"]
ATTEMPT_BYTES = [bytes(range(32)), b"\0\0\0\x01", b"\0" * 7 + b"\x01", b"\0\0\0\x01"]


def framed(fields: list[bytes]) -> bytes:
    out = b""
    for field in fields:
        out += (
            bytes([len(field) >> 24, len(field) >> 16 & 255, len(field) >> 8 & 255, len(field) & 255]) + field
        )
    return out


def digest(name: bytes, fields: list[bytes]) -> bytes:
    return hashlib.sha256(b"securefl/v3/" + name + b"\0" + framed(fields)).digest()


ADVERT = rounds.COHORT.adverts[0].body
HEADER = rounds.HEADERS[1].body
REVEAL = rounds.REVEALS[2].body
STATEMENT = rounds.STATEMENT.digest
FORMS: dict[str, tuple[Signable, bytes, bytes, list[bytes]]] = {
    "advert": (ADVERT, b"advert", b"client-1", [rounds.MANIFEST.digest, b"n" * 32, b"t" * 32]),
    "header": (
        HEADER,
        b"contribution",
        b"client-2",
        [rounds.COHORT.digest, b"z" * 32, b"e" * 32, hashlib.sha256(rounds.BODY).digest(), b"k" * 32],
    ),
    "survivors": (
        SurvivorsVote(rounds.ATTEMPT, "client-1", STATEMENT),
        b"vote-survivors",
        b"client-1",
        [STATEMENT],
    ),
    "void": (VoidVote(rounds.ATTEMPT, "client-1", b"a" * 32), b"vote-void", b"client-1", [b"a" * 32]),
    "spoiled": (
        SpoiledVote(rounds.ATTEMPT, "client-1", STATEMENT),
        b"vote-spoiled",
        b"client-1",
        [STATEMENT],
    ),
    "reveal": (REVEAL, b"reveal", b"client-3", [STATEMENT, b"r" * 20]),
}


@pytest.mark.parametrize("name", FORMS)
def test_what_is_signed_is_what_the_specification_says(name: str) -> None:
    body, kind, signer, content = FORMS[name]
    for attempt, fields in ((rounds.ATTEMPT, ATTEMPT_BYTES), (OPENING, OPENING_BYTES)):
        written = b"securefl/v3/" + kind + b"\0" + framed([b"\0\x03", *fields, signer, *content])
        assert signed_bytes(replace(body, attempt=attempt)) == written


def test_the_manifests_digest_is_what_the_specification_says() -> None:
    ids = [member.encode() for member in rounds.MEMBERS]
    assert rounds.MANIFEST.digest == digest(b"manifest", [*ATTEMPT_BYTES, bytes(32), *ids])


def test_the_cohorts_digest_is_what_the_specification_says() -> None:
    parts = [part for each in rounds.COHORT.adverts for part in (signed_bytes(each.body), b"s" * 64)]
    assert rounds.COHORT.digest == digest(b"cohort", [rounds.MANIFEST.digest, *parts])


def test_the_headers_digest_is_what_the_specification_says() -> None:
    header = rounds.HEADERS[0]
    assert header_digest(header) == hashlib.sha256(signed_bytes(header.body) + b"s" * 64).digest()


def test_the_packets_digest_is_what_the_specification_says() -> None:
    each = [hashlib.sha256(packet).digest() for packet in (b"", b"p" * 20, b"q" * 20)]
    assert packets_digest(rounds.PACKETS) == hashlib.sha256(each[0] + each[1] + each[2]).digest()


def test_the_statements_digest_is_what_the_specification_says() -> None:
    listed = [
        part
        for index, header in enumerate(rounds.HEADERS)
        for part in (bytes([0, 0, 0, index]), header_digest(header))
    ]
    total = hashlib.sha256(rounds.BODY).digest()
    assert digest(b"survivors", [*ATTEMPT_BYTES, rounds.COHORT.digest, total, *listed]) == STATEMENT


def test_the_digest_of_settlements_is_what_the_specification_says() -> None:
    signatures = [b"s" * 64] * 3
    void = VoidProof(
        OPENING, b"a" * 32, tuple(Signed(VoidVote(OPENING, m, b"a" * 32), b"s" * 64) for m in rounds.MEMBERS)
    )
    votes = tuple(Signed(SpoiledVote(rounds.ATTEMPT, m, STATEMENT), b"s" * 64) for m in rounds.MEMBERS)
    certified = [b"certificate", STATEMENT, *signatures]
    assert settlements_digest((void, rounds.CERTIFICATE, SpoiledProof(rounds.CERTIFICATE, votes))) == digest(
        b"settled",
        [
            *(b"void", *OPENING_BYTES, b"a" * 32, *signatures),
            *certified,
            *(b"spoiled", *certified, *signatures),
        ],
    )
    assert settlements_digest(()) == bytes(32)
