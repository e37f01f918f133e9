"""Nothing the server can alter in an aggregate's header, seeds or lengths reaches the cipher."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from support.federations import TestFederation, make_federation

from securefl.aggregation.contribution import Contribution
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.roster_sum import decrypt_aggregate
from securefl.aggregation.signed_encryption import encrypt_at_once
from securefl.crypto.addition import ResidueSum
from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.protocol.messages import AggregateHeader, Manifest


@dataclasses.dataclass
class Summed:
    federation: TestFederation
    aggregation: MemberAggregation
    manifest: Manifest
    header: AggregateHeader
    body: bytes
    sums: np.ndarray


@pytest.fixture(scope="module")
def summed() -> Summed:
    federation = make_federation(ranks=(2, 4, 8), rounds=2)
    inner = federation.federation
    manifest = Manifest(inner.digest, 1, inner.cohort)
    rng = np.random.default_rng(3)
    limit = 2**15 - 1
    integers = {m: rng.integers(-limit, limit + 1, inner.plan.length(1)) for m in inner.cohort}
    aggregations = {member: federation.aggregation(member) for member in inner.cohort}
    total = ResidueSum(inner.form, inner.ciphertexts(1))
    made: list[Contribution] = []
    for member, aggregation in aggregations.items():
        contribution = encrypt_at_once(aggregation.encrypt(encoded(integers[member]), manifest=manifest))
        total.add(0, inner.form.decode_upload(contribution.body, ciphertexts=inner.ciphertexts(1)))
        made.append(contribution)
    body = inner.form.encode_aggregate(total.total())
    header = AggregateHeader(
        round_number=1,
        contributors=tuple(contribution.signed for contribution in made),
        seeds=tuple(contribution.seeds for contribution in made),
        body_bytes=len(body),
        aggregate_seconds=0.0,
    )
    return Summed(federation, aggregations["client-1"], manifest, header, body, sum(integers.values()))


def encoded(integers: np.ndarray) -> EncodedContribution:
    return EncodedContribution(lambda: [integers])


def opened(summed: Summed, header: AggregateHeader, body: bytes | None = None) -> np.ndarray:
    return decrypt_aggregate(
        header,
        summed.body if body is None else body,
        federation=summed.federation.federation,
        manifest=summed.manifest,
        own=summed.header.contributors[0],
        ciphers=[summed.federation.cipher()],
        keys=summed.federation.keys,
    )


def test_the_decrypted_sum_is_the_integer_sum_bit_for_bit(summed: Summed) -> None:
    np.testing.assert_array_equal(opened(summed, summed.header), summed.sums)


def _foreign_seed(header: AggregateHeader) -> AggregateHeader:
    flipped = bytes([header.seeds[1][0] ^ 1]) + header.seeds[1][1:]
    return dataclasses.replace(header, seeds=(header.seeds[0], flipped, header.seeds[2]))


def _another_round(header: AggregateHeader) -> AggregateHeader:
    return dataclasses.replace(header, round_number=2)


def _subset(header: AggregateHeader) -> AggregateHeader:
    return dataclasses.replace(header, contributors=header.contributors[:2], seeds=header.seeds[:2])


def _duplicate(header: AggregateHeader) -> AggregateHeader:
    return dataclasses.replace(
        header,
        contributors=(header.contributors[0], header.contributors[1], header.contributors[1]),
        seeds=(header.seeds[0], header.seeds[1], header.seeds[1]),
    )


def _swapped_seeds(header: AggregateHeader) -> AggregateHeader:
    return dataclasses.replace(header, seeds=(header.seeds[0], header.seeds[2], header.seeds[1]))


def _forged_signature(header: AggregateHeader) -> AggregateHeader:
    forged = dataclasses.replace(header.contributors[1], signature=bytes(64))
    return dataclasses.replace(header, contributors=(header.contributors[0], forged, header.contributors[2]))


def _short_seeds(header: AggregateHeader) -> AggregateHeader:
    return dataclasses.replace(header, seeds=(header.seeds[0], header.seeds[1][:-1], header.seeds[2]))


def _without_own(header: AggregateHeader) -> AggregateHeader:
    own = dataclasses.replace(header.contributors[0].header, body_digest=bytes(32))
    replaced = dataclasses.replace(header.contributors[0], header=own)
    return dataclasses.replace(header, contributors=(replaced, *header.contributors[1:]))


@pytest.mark.parametrize(
    "change",
    [
        _foreign_seed,
        _another_round,
        _subset,
        _duplicate,
        _swapped_seeds,
        _forged_signature,
        _short_seeds,
        _without_own,
    ],
)
def test_an_aggregate_that_is_not_of_the_signed_cohort_is_refused(
    summed: Summed, change: Callable[[AggregateHeader], AggregateHeader]
) -> None:
    with pytest.raises(AuthenticationError):
        opened(summed, change(summed.header))


def test_an_aggregate_one_byte_short_is_refused(summed: Summed) -> None:
    with pytest.raises(WireError):
        opened(summed, summed.header, summed.body[:-1])


def test_a_round_is_encrypted_only_once(summed: Summed) -> None:
    zeros = encoded(np.zeros(summed.sums.size, dtype=np.int64))
    with pytest.raises(ProtocolError, match="encrypted already"):
        summed.aggregation.encrypt(zeros, manifest=summed.manifest)


@pytest.mark.parametrize("length", [-1, 1])
def test_a_contribution_of_the_wrong_length_is_not_signed(summed: Summed, length: int) -> None:
    aggregation = summed.federation.aggregation("client-2")
    wrong = encoded(np.zeros(summed.sums.size + length, dtype=np.int64))
    encryption = aggregation.encrypt(wrong, manifest=summed.manifest)
    with pytest.raises(ProtocolError, match="layout"):
        encrypt_at_once(encryption)
    with pytest.raises(ProtocolError, match="last window"):
        encryption.signed()
