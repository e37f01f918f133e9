"""One verdict on a sum under a lasting key: the same error whatever failed, nothing decrypted before it, and final."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from support.attempts import Played, cohort_of, encoded
from support.federations import TestFederation, make_federation

from securefl.aggregation import decryption, encrypted_rounds
from securefl.aggregation.contribution import Binding
from securefl.aggregation.encrypted_rounds import EncryptedRounds
from securefl.aggregation.encryption import Encryption
from securefl.aggregation.selection import Selection
from securefl.crypto.authentication import Verification
from securefl.crypto.cipher import Cipher, SectionDecryption
from securefl.crypto.keys import SharedKeys
from securefl.crypto.tags import RunningTag
from securefl.errors import ForgeryError, ProtocolError, RunError
from securefl.protocol.agreement.signed import Attempt

EVERYBODY = ("client-1", "client-2", "client-3")


def altered(body: bytes) -> bytes:
    """A total with one residue moved by one; its certificate will name it."""
    return bytes([body[0] ^ 1]) + body[1:]


@pytest.fixture(scope="module")
def federation() -> TestFederation:
    return make_federation(ranks=(2, 4, 8), rounds=2, scheme="bfv")


@pytest.fixture
def played(federation: TestFederation) -> Played:
    return Played(federation, round_number=1)


@pytest.fixture
def untagged(federation: TestFederation, monkeypatch: pytest.MonkeyPatch) -> Played:
    """A round in which members forgot their tags: the MACs hold, the plaintext does not."""
    with monkeypatch.context() as patch:
        patch.setattr(RunningTag, "attach", lambda self, last, *, contributor: last)
        return Played(federation, round_number=1)


def verdict(played: Played, body: bytes, member: str = "client-1") -> RunError:
    with pytest.raises(ForgeryError) as caught:
        played.opened(EVERYBODY, reader=member, body=body)
    return caught.value


def encrypted_next(played: Played) -> Encryption:
    """A member's contribution to the round that follows."""
    zeros = np.zeros(played.federation.kind_of(2).total, dtype=np.int64)
    return played.members["client-1"].encrypt_attempt(
        encoded(zeros), cohort=cohort_of(played.made, 2), salt=bytes(32)
    )


def test_an_altered_residue_is_refused(played: Played) -> None:
    verdict(played, altered(played.total(EVERYBODY)))


def test_tags_that_do_not_fit_are_refused(untagged: Played) -> None:
    verdict(untagged, untagged.total(EVERYBODY))


def test_the_verdict_is_the_same_to_the_letter_whatever_failed(played: Played, untagged: Played) -> None:
    of_macs = verdict(played, altered(played.total(EVERYBODY)))
    of_tags = verdict(untagged, untagged.total(EVERYBODY))
    again = verdict(played, played.total(EVERYBODY))
    assert str(again) == str(of_macs)
    for other in (of_tags, again):
        assert (of_macs.what, of_macs.code, type(of_macs)) == (other.what, other.code, type(other))
    assert not of_macs.retryable


def test_a_refused_mac_ends_the_use_of_the_keys_and_a_refused_tag_does_not(
    played: Played, untagged: Played
) -> None:
    assert verdict(played, altered(played.total(EVERYBODY))).refuses_keys
    assert not verdict(untagged, untagged.total(EVERYBODY)).refuses_keys
    assert list(encrypted_next(untagged).windows())


def test_after_a_refusal_not_even_the_true_total_is_opened(played: Played) -> None:
    verdict(played, altered(played.total(EVERYBODY)))
    assert "renew" in str(verdict(played, played.total(EVERYBODY)))


def test_after_a_refusal_nothing_more_is_encrypted_under_the_keys(played: Played) -> None:
    verdict(played, altered(played.total(EVERYBODY)))
    with pytest.raises(ForgeryError):
        encrypted_next(played)


def test_a_refusal_at_one_member_says_nothing_to_another(played: Played) -> None:
    verdict(played, altered(played.total(EVERYBODY)), "client-1")
    opened = played.opened(EVERYBODY, reader="client-2")
    np.testing.assert_array_equal(opened, played.sums(EVERYBODY))


def test_a_total_whose_form_is_wrong_counts_as_the_one_that_is_looked_at(played: Played) -> None:
    with pytest.raises(RunError):
        played.opened(EVERYBODY, body=played.total(EVERYBODY)[:-1])
    with pytest.raises(ProtocolError, match="verdict on an aggregate is final"):
        played.opened(EVERYBODY)


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


def reader(played: Played, cipher: Cipher, keys: SharedKeys) -> EncryptedRounds:
    """A member with a cipher and keys of the test's choice."""
    return EncryptedRounds(
        played.federation,
        member="client-1",
        cipher=cipher,
        keys=keys,
        selection=Selection(played.federation),
    )


def order_of(played: Played, body: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done with a total, step by step."""
    order: list[str] = []

    def noting(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def noted(*args: object, **named: object) -> object:
            order.append(name)
            return work(*args, **named)

        return noted

    monkeypatch.setattr(encrypted_rounds, "check_total", noting("total", encrypted_rounds.check_total))
    monkeypatch.setattr(encrypted_rounds, "survivors_of", noting("seeds", encrypted_rounds.survivors_of))
    monkeypatch.setattr(Verification, "verdict", noting("MAC", Verification.verdict))
    monkeypatch.setattr(RunningTag, "check", noting("tags", RunningTag.check))
    monkeypatch.setattr(decryption, "unpack", noting("unpack", decryption.unpack))
    rounds = reader(played, Recording(played.cipher(), order), played.made.keys)  # type: ignore[arg-type]
    try:
        rounds.decrypt_attempt(played.head(EVERYBODY, body), body, key_sum=None)
    except ForgeryError:
        order.append("refused")
    return order


def test_digests_come_before_macs_macs_before_the_key_and_tags_before_integers(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ["total", "seeds", "MAC", "decrypt", "tags", "unpack"]
    assert order_of(played, played.total(EVERYBODY), monkeypatch) == steps


def test_what_fails_its_mac_is_not_decrypted(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ["total", "seeds", "MAC", "refused"]
    assert order_of(played, altered(played.total(EVERYBODY)), monkeypatch) == steps


def test_what_fails_its_tags_is_not_unpacked(untagged: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ["total", "seeds", "MAC", "decrypt", "tags", "refused"]
    assert order_of(untagged, untagged.total(EVERYBODY), monkeypatch) == steps


@pytest.mark.parametrize("change", [{"mac": bytes(32)}, {"tag": bytes(32)}])
def test_a_reader_with_other_keys_refuses(played: Played, change: dict[str, bytes]) -> None:
    keys = dataclasses.replace(played.made.keys, **change)
    rounds = reader(played, played.made.cipher_with(keys), keys)
    body = played.total(EVERYBODY)
    with pytest.raises(ForgeryError):
        rounds.decrypt_attempt(played.head(EVERYBODY, body), body, key_sum=None)


ATTEMPT = Attempt(bytes(32), 1, 1, 1)


@pytest.mark.parametrize(
    "other",
    [
        Binding(dataclasses.replace(ATTEMPT, key_epoch=2), bytes(32)),
        Binding(dataclasses.replace(ATTEMPT, federation_digest=b"\1" * 32), bytes(32)),
        Binding(dataclasses.replace(ATTEMPT, round_number=2), bytes(32)),
        Binding(dataclasses.replace(ATTEMPT, number=2), bytes(32)),
        Binding(ATTEMPT, b"\1" * 32),
    ],
    ids=["epoch", "federation", "round", "attempt", "cohort"],
)
def test_macs_and_tags_are_bound_to_epoch_federation_round_attempt_and_cohort(other: Binding) -> None:
    binding = Binding(ATTEMPT, bytes(32))
    assert other.place(0, ciphertexts=1).context != binding.place(0, ciphertexts=1).context


def test_macs_and_tags_are_bound_to_the_section() -> None:
    first, second = (Binding(ATTEMPT, bytes(32)).place(section, ciphertexts=1) for section in (0, 1))
    assert first.context != second.context
