"""Dealt keys: taken from the member that signed them for this very use, and from nobody else."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.dealt_keys import (
    MAX_KEY_BYTES,
    PAIR_KEY_BYTES,
    Dealing,
    DealtKey,
    KeyKind,
    deal,
    fresh_key,
    prove_double_dealing,
)
from securefl.crypto.framing import framed
from securefl.crypto.sealed_box import KemKey, seal
from securefl.errors import AuthenticationError, IdentityError, ProtocolError, WireError
from securefl.identity.signing import SigningKey

DEALER, SERVER, OTHER = (SigningKey.generate() for _ in range(3))
RECIPIENT, STRANGER = (KemKey.generate() for _ in range(2))
KEY = bytes(range(32))
USE = Dealing(federation=b"f" * 32, key_epoch=1, kind=KeyKind.PAIR, dealer=3, recipient=7)
OTHER_USES = {
    "federation": dataclasses.replace(USE, federation=b"g" * 32),
    "key epoch": dataclasses.replace(USE, key_epoch=2),
    "kind": dataclasses.replace(USE, kind=KeyKind.GROUP),
    "dealer": dataclasses.replace(USE, dealer=2),
    "recipient": dataclasses.replace(USE, recipient=8),
}


@pytest.fixture(scope="module")
def dealt() -> DealtKey:
    return deal(KEY, USE, recipient_key=RECIPIENT.public_key, signing_key=DEALER)


def accepted(one: DealtKey, *, use: Dealing = USE, kem_key: KemKey = RECIPIENT) -> bytes:
    return one.accept(use, dealer_key=DEALER.public_key, kem_key=kem_key)


def test_the_recipient_gets_the_key_that_the_dealer_dealt(dealt: DealtKey) -> None:
    assert accepted(dealt) == KEY


@pytest.mark.parametrize("kind", [KeyKind.GROUP, KeyKind.SHARED])
def test_the_lead_deals_shared_keys_to_members_of_lower_index_too(kind: KeyKind) -> None:
    use = dataclasses.replace(USE, kind=kind, recipient=0)
    one = deal(KEY, use, recipient_key=RECIPIENT.public_key, signing_key=DEALER)
    assert accepted(one, use=use) == KEY


@pytest.mark.parametrize("signer", [SERVER, OTHER], ids=["the server", "another member"])
def test_a_box_that_the_dealer_did_not_sign_is_refused(signer: SigningKey) -> None:
    forged = deal(KEY, USE, recipient_key=RECIPIENT.public_key, signing_key=signer)
    with pytest.raises(AuthenticationError, match="signature does not hold"):
        accepted(forged)


def test_a_box_of_the_server_under_a_members_signature_is_refused(dealt: DealtKey) -> None:
    own = deal(bytes(32), USE, recipient_key=RECIPIENT.public_key, signing_key=SERVER)
    with pytest.raises(AuthenticationError, match="signature does not hold"):
        accepted(dataclasses.replace(dealt, box=own.box))


@pytest.mark.parametrize("changed", OTHER_USES)
def test_a_key_dealt_for_another_use_is_refused(changed: str) -> None:
    other = deal(KEY, OTHER_USES[changed], recipient_key=RECIPIENT.public_key, signing_key=DEALER)
    with pytest.raises(AuthenticationError, match="another use"):
        accepted(other)


@pytest.mark.parametrize("changed", OTHER_USES)
def test_a_key_renamed_to_another_use_is_refused(changed: str, dealt: DealtKey) -> None:
    renamed = dataclasses.replace(dealt, dealing=OTHER_USES[changed])
    with pytest.raises(AuthenticationError, match="signature does not hold"):
        accepted(renamed, use=OTHER_USES[changed])


@pytest.mark.parametrize("changed", OTHER_USES)
def test_a_box_signed_anew_for_another_use_does_not_open(changed: str, dealt: DealtKey) -> None:
    # The dealer's own signature around a box that was sealed for another use: the box is bound to its use too.
    use = OTHER_USES[changed]
    around = deal(KEY, use, recipient_key=RECIPIENT.public_key, signing_key=DEALER)
    resigned = dataclasses.replace(around, box=dealt.box, signature=b"")
    signature = DEALER.sign(_signed_bytes(resigned))
    with pytest.raises(AuthenticationError, match="sealed box does not open"):
        accepted(dataclasses.replace(resigned, signature=signature), use=use)


def _signed_bytes(dealt: DealtKey) -> bytes:
    digest = hashlib.sha256(dealt.box).digest()
    return b"securefl/v3/dealt-key\0" + framed(dealt.dealing.encode(), digest)


def test_a_box_opens_for_nobody_else(dealt: DealtKey) -> None:
    with pytest.raises(AuthenticationError, match="sealed box does not open"):
        accepted(dealt, kem_key=STRANGER)


def test_a_signed_box_with_a_key_of_another_length_is_refused() -> None:
    associated = framed(b"securefl/v3/dealt-key", USE.encode())
    short = DealtKey(USE, seal(RECIPIENT.public_key, KEY[:-1], associated_data=associated), b"")
    signed = dataclasses.replace(short, signature=DEALER.sign(_signed_bytes(short)))
    with pytest.raises(AuthenticationError, match="wrong length"):
        accepted(signed)


def test_a_second_box_of_one_dealer_is_proof_against_it(dealt: DealtKey) -> None:
    second = deal(bytes(32), USE, recipient_key=RECIPIENT.public_key, signing_key=DEALER)
    prove_double_dealing(dealt, second, dealer_key=DEALER.public_key)


def test_the_same_box_sent_again_is_no_proof(dealt: DealtKey) -> None:
    again = DealtKey.decode(dealt.encode())
    with pytest.raises(AuthenticationError, match="prove nothing"):
        prove_double_dealing(dealt, again, dealer_key=DEALER.public_key)


@pytest.mark.parametrize("changed", OTHER_USES)
def test_boxes_for_different_uses_are_no_proof(changed: str, dealt: DealtKey) -> None:
    other = deal(KEY, OTHER_USES[changed], recipient_key=RECIPIENT.public_key, signing_key=DEALER)
    with pytest.raises(AuthenticationError, match="prove nothing"):
        prove_double_dealing(dealt, other, dealer_key=DEALER.public_key)


@pytest.mark.parametrize("order", [1, -1])
def test_a_box_of_the_server_is_no_proof_against_a_member(order: int, dealt: DealtKey) -> None:
    forged = deal(bytes(32), USE, recipient_key=RECIPIENT.public_key, signing_key=SERVER)
    first, second = [dealt, forged][::order]
    with pytest.raises(AuthenticationError, match="signature does not hold"):
        prove_double_dealing(first, second, dealer_key=DEALER.public_key)


@pytest.mark.parametrize(("dealer", "recipient"), [(7, 3), (3, 3)])
def test_the_higher_index_deals_no_key_of_a_pair(dealer: int, recipient: int) -> None:
    with pytest.raises(ProtocolError, match="lower index"):
        dataclasses.replace(USE, dealer=dealer, recipient=recipient)


@pytest.mark.parametrize(
    "wrong",
    [
        {"federation": bytes(31)},
        {"key_epoch": 0},
        {"key_epoch": 2**32},
        {"dealer": -1},
        {"recipient": 2**16},
    ],
)
def test_a_use_out_of_its_ranges_is_refused(wrong: dict) -> None:
    with pytest.raises(ProtocolError, match="no use of this version"):
        dataclasses.replace(USE, **wrong)


@given(
    key_epoch=st.integers(1, 2**32 - 1),
    dealer=st.integers(0, 2**16 - 1),
    recipient=st.integers(0, 2**16 - 1),
    kind=st.sampled_from([KeyKind.GROUP, KeyKind.SHARED]),
)
def test_a_use_survives_its_bytes(key_epoch: int, dealer: int, recipient: int, kind: KeyKind) -> None:
    use = Dealing(federation=KEY, key_epoch=key_epoch, kind=kind, dealer=dealer, recipient=recipient)
    assert Dealing.decode(use.encode()) == use


def test_a_dealt_key_survives_its_bytes(dealt: DealtKey) -> None:
    data = dealt.encode()
    assert len(data) == PAIR_KEY_BYTES
    assert len(dealt.box) == 1168
    assert DealtKey.decode(data) == dealt


@pytest.mark.parametrize("size", [1, 33, MAX_KEY_BYTES])
def test_the_keys_that_all_members_share_are_dealt_in_one_box(size: int) -> None:
    use = dataclasses.replace(USE, kind=KeyKind.SHARED)
    one = deal(bytes(size), use, recipient_key=RECIPIENT.public_key, signing_key=DEALER)
    assert accepted(DealtKey.decode(one.encode()), use=use) == bytes(size)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0", lambda data: b""])
def test_a_dealt_key_of_another_length_is_refused(change, dealt: DealtKey) -> None:
    with pytest.raises(WireError, match=r"a dealt key.*has \d+ bytes"):
        DealtKey.decode(change(dealt.encode()))


def test_a_dealt_key_beyond_every_length_is_refused() -> None:
    use = dataclasses.replace(USE, kind=KeyKind.SHARED).encode()
    with pytest.raises(WireError, match="has 132314 bytes"):
        DealtKey.decode(use + bytes(1136 + MAX_KEY_BYTES + 1 + 64))


@pytest.mark.parametrize(("place", "byte"), [(36, 0), (36, 5), (36, 255), (35, 0)])
def test_bytes_that_name_no_use_are_refused(place: int, byte: int, dealt: DealtKey) -> None:
    data = bytearray(dealt.encode())
    data[place] = byte
    with pytest.raises(WireError, match="no use of this version"):
        DealtKey.decode(bytes(data))


@pytest.mark.parametrize(
    ("length", "kind"),
    [
        *((length, kind) for length in (0, 31, 33) for kind in (KeyKind.PAIR, KeyKind.GROUP)),
        (0, KeyKind.SHARED),
        (MAX_KEY_BYTES + 1, KeyKind.SHARED),
    ],
)
def test_a_key_of_another_length_is_not_dealt(length: int, kind: KeyKind) -> None:
    use = dataclasses.replace(USE, kind=kind)
    with pytest.raises(ProtocolError, match="is not dealt"):
        deal(bytes(length), use, recipient_key=RECIPIENT.public_key, signing_key=DEALER)


def test_no_key_is_dealt_to_what_is_no_public_key() -> None:
    with pytest.raises(IdentityError, match="public KEM key is none"):
        deal(KEY, USE, recipient_key=bytes(1216), signing_key=DEALER)


def test_a_fresh_key_comes_from_the_source_that_is_given() -> None:
    assert fresh_key(entropy=lambda count: KEY[:count]) == KEY
    assert fresh_key() != fresh_key()
