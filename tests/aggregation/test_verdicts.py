"""One verdict on an aggregate: the same error whatever failed, nothing decrypted before it, and final."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from support.federations import TestFederation, make_federation

from securefl.aggregation import decryption, roster_sum
from securefl.aggregation.contribution import Binding, Contribution
from securefl.aggregation.encoding import EncodedContribution
from securefl.aggregation.member import MemberAggregation
from securefl.aggregation.roster_sum import decrypt_aggregate
from securefl.aggregation.signed_encryption import encrypt_at_once
from securefl.crypto.addition import ResidueSum
from securefl.crypto.authentication import Verification
from securefl.crypto.cipher import Cipher, SectionDecryption
from securefl.crypto.tags import RunningTag
from securefl.crypto.wireform import Ciphertexts
from securefl.errors import ForgeryError, ProtocolError, RunError
from securefl.protocol.messages import AggregateHeader, Manifest


@dataclasses.dataclass
class Round:
    """A round that everybody has contributed to."""

    federation: TestFederation
    manifest: Manifest
    aggregations: dict[str, MemberAggregation]
    header: AggregateHeader
    total: Ciphertexts
    values: np.ndarray

    @property
    def body(self) -> bytes:
        return self.federation.federation.form.encode_aggregate(self.total)

    def altered(self) -> bytes:
        """The aggregate with one residue moved by one."""
        residues = self.total.residues.copy()
        residues[0, 0] ^= np.uint64(1)
        return self.federation.federation.form.encode_aggregate(Ciphertexts(residues, self.total.macs))


def encoded(federation: TestFederation, seed: int, number: int = 1) -> EncodedContribution:
    length = federation.federation.plan.length(number)
    integers = np.random.default_rng(seed).integers(-32_767, 32_768, length)
    return EncodedContribution(lambda: [integers])


def played(federation: TestFederation) -> Round:
    inner = federation.federation
    manifest = Manifest(inner.digest, 1, inner.cohort)
    aggregations = {member: federation.aggregation(member) for member in inner.cohort}
    count = inner.ciphertexts(1)
    sums = ResidueSum(inner.form, count)
    made: list[Contribution] = []
    for seed, aggregation in enumerate(aggregations.values()):
        made.append(encrypt_at_once(aggregation.encrypt(encoded(federation, seed), manifest=manifest)))
        sums.add(0, inner.form.decode_upload(made[-1].body, ciphertexts=count))
    header = AggregateHeader(
        round_number=1,
        contributors=tuple(contribution.signed for contribution in made),
        seeds=tuple(contribution.seeds for contribution in made),
        body_bytes=inner.form.aggregate_bytes(count),
        aggregate_seconds=0.0,
    )
    values = sum(encoded(federation, seed).integers for seed in range(len(made)))
    return Round(federation, manifest, aggregations, header, sums.total(), values)


@pytest.fixture(scope="module")
def federation() -> TestFederation:
    return make_federation(ranks=(2, 4, 8), rounds=2, scheme="bfv")


@pytest.fixture
def round_(federation: TestFederation) -> Round:
    return played(federation)


@pytest.fixture
def untagged(federation: TestFederation, monkeypatch: pytest.MonkeyPatch) -> Round:
    """A round in which members forgot their tags: the MACs hold, the plaintext does not."""
    with monkeypatch.context() as patch:
        patch.setattr(RunningTag, "attach", lambda self, last, *, contributor: last)
        return played(federation)


def verdict(round_: Round, body: bytes, member: str = "client-1") -> RunError:
    with pytest.raises(ForgeryError) as caught:
        round_.aggregations[member].decrypt(round_.header, body, manifest=round_.manifest)
    return caught.value


def test_the_sum_opens_to_the_sum_of_integers(round_: Round) -> None:
    for aggregation in round_.aggregations.values():
        opened = aggregation.decrypt(round_.header, round_.body, manifest=round_.manifest)
        np.testing.assert_array_equal(opened, round_.values)


def test_an_altered_residue_is_refused(round_: Round) -> None:
    verdict(round_, round_.altered())


def test_tags_that_do_not_fit_are_refused(untagged: Round) -> None:
    verdict(untagged, untagged.body)


def test_the_verdict_is_the_same_to_the_letter_whatever_failed(round_: Round, untagged: Round) -> None:
    of_macs, of_tags = verdict(round_, round_.altered()), verdict(untagged, untagged.body)
    again = verdict(round_, round_.body)
    assert str(again) == str(of_macs)
    for other in (of_tags, again):
        assert (of_macs.what, of_macs.code, type(of_macs)) == (other.what, other.code, type(other))
    assert not of_macs.retryable


def test_a_refused_mac_ends_the_use_of_the_keys_and_a_refused_tag_does_not(
    round_: Round, untagged: Round
) -> None:
    assert verdict(round_, round_.altered()).refuses_keys
    assert not verdict(untagged, untagged.body).refuses_keys
    aggregation = untagged.aggregations["client-1"]
    manifest = dataclasses.replace(untagged.manifest, round_number=2)
    aggregation.encrypt(encoded(untagged.federation, 9, number=2), manifest=manifest)


def test_after_a_refusal_not_even_the_true_aggregate_is_opened(round_: Round) -> None:
    verdict(round_, round_.altered())
    assert "renew" in str(verdict(round_, round_.body))


def test_after_a_refusal_nothing_more_is_sealed_under_the_keys(round_: Round) -> None:
    verdict(round_, round_.altered())
    aggregation = round_.aggregations["client-1"]
    manifest = dataclasses.replace(round_.manifest, round_number=2)
    with pytest.raises(ForgeryError):
        aggregation.encrypt(encoded(round_.federation, 9, number=2), manifest=manifest)


def test_a_refusal_at_one_member_says_nothing_to_another(round_: Round) -> None:
    verdict(round_, round_.altered(), "client-1")
    opened = round_.aggregations["client-2"].decrypt(round_.header, round_.body, manifest=round_.manifest)
    np.testing.assert_array_equal(opened, round_.values)


def test_an_aggregate_is_opened_only_once(round_: Round) -> None:
    aggregation = round_.aggregations["client-1"]
    aggregation.decrypt(round_.header, round_.body, manifest=round_.manifest)
    with pytest.raises(ProtocolError, match="verdict on an aggregate is final"):
        aggregation.decrypt(round_.header, round_.body, manifest=round_.manifest)


def test_an_aggregate_whose_form_is_wrong_counts_as_the_one_that_is_looked_at(round_: Round) -> None:
    aggregation = round_.aggregations["client-1"]
    with pytest.raises(RunError):
        aggregation.decrypt(round_.header, round_.body[:-1], manifest=round_.manifest)
    with pytest.raises(ProtocolError, match="final"):
        aggregation.decrypt(round_.header, round_.body, manifest=round_.manifest)


class Recording:
    """Delegates to a cipher, and notes in which order things happened."""

    def __init__(self, cipher: Cipher, order: list[str]) -> None:
        self._cipher, self._order = cipher, order
        self.profile, self.form = cipher.profile, cipher.form

    def decryption(self, *arguments: object, **named: object) -> SectionDecryption:
        decryption = self._cipher.decryption(*arguments, **named)  # type: ignore[arg-type]
        inner = decryption.decrypt

        def noted(window: bytes, *, first: int) -> np.ndarray:
            self._order.append("decrypt")
            return inner(window, first=first)

        decryption.decrypt = noted  # type: ignore[method-assign]
        return decryption


def order_of(round_: Round, body: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done with an aggregate, step by step."""
    order: list[str] = []

    def noting(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def noted(*args: object, **named: object) -> object:
            order.append(name)
            return work(*args, **named)

        return noted

    monkeypatch.setattr(roster_sum, "verify", noting("signature", roster_sum.verify))
    monkeypatch.setattr(Verification, "verdict", noting("MAC", Verification.verdict))
    monkeypatch.setattr(RunningTag, "check", noting("tags", RunningTag.check))
    monkeypatch.setattr(decryption, "unpack", noting("unpack", decryption.unpack))
    try:
        decrypt_aggregate(
            round_.header,
            body,
            federation=round_.federation.federation,
            manifest=round_.manifest,
            own=round_.header.contributors[0],
            ciphers=[Recording(round_.federation.cipher(), order)],
            keys=round_.federation.keys,
        )
    except ForgeryError:
        order.append("refused")
    return order


def test_signatures_come_before_macs_macs_before_the_key_and_tags_before_integers(
    round_: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["signature"] * 3 + ["MAC", "decrypt", "tags", "unpack"]
    assert order_of(round_, round_.body, monkeypatch) == steps


def test_what_fails_its_mac_is_not_decrypted(round_: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ["signature"] * 3 + ["MAC", "refused"]
    assert order_of(round_, round_.altered(), monkeypatch) == steps


def test_what_fails_its_tags_is_not_unpacked(untagged: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ["signature"] * 3 + ["MAC", "decrypt", "tags", "refused"]
    assert order_of(untagged, untagged.body, monkeypatch) == steps


@pytest.mark.parametrize("change", [{"key_epoch": 2}, {"mac": bytes(32)}, {"tag": bytes(32)}])
def test_a_reader_with_other_keys_or_of_another_epoch_refuses(round_: Round, change: dict) -> None:
    keys = dataclasses.replace(round_.federation.keys, **change)
    with pytest.raises(ForgeryError):
        decrypt_aggregate(
            round_.header,
            round_.body,
            federation=round_.federation.federation,
            manifest=round_.manifest,
            own=round_.header.contributors[0],
            ciphers=[round_.federation.cipher_with(keys)],
            keys=keys,
        )


def test_macs_and_tags_are_bound_to_epoch_federation_round_and_cohort() -> None:
    manifest = Manifest(bytes(32), 1, ("a", "b", "c"))
    contexts = {
        Binding.of_manifest(manifest, key_epoch=1).place(0, ciphertexts=1).context,
        Binding.of_manifest(manifest, key_epoch=2).place(0, ciphertexts=1).context,
        Binding.of_manifest(dataclasses.replace(manifest, federation_digest=b"\1" * 32), key_epoch=1)
        .place(0, ciphertexts=1)
        .context,
        Binding.of_manifest(dataclasses.replace(manifest, round_number=2), key_epoch=1)
        .place(0, ciphertexts=1)
        .context,
        Binding.of_manifest(dataclasses.replace(manifest, cohort=("a", "b", "d")), key_epoch=1)
        .place(0, ciphertexts=1)
        .context,
    }
    assert len(contexts) == 5
    binding = Binding.of_manifest(manifest, key_epoch=1)
    attempts = [dataclasses.replace(binding.attempt, number=number) for number in (1, 2)]
    places = {
        dataclasses.replace(binding, attempt=attempt).place(section, ciphertexts=1).context
        for attempt in attempts
        for section in (0, 1)
    }
    assert len(places) == 4
