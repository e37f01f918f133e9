"""Every scheme behind the one interface: the same slots in, the same sums out, and refusals in the same words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import Cipher, Place, SectionDecryption
from securefl.crypto.contributor import Contributor
from securefl.crypto.kahe.cipher import KaheCipher
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.keyed_cipher import cipher_with
from securefl.crypto.keys import SecretKey, SharedKeys
from securefl.crypto.schemes import Scheme, profile_for, profile_named
from securefl.errors import CapacityError, ForgeryError, IdentityError, ProtocolError, WireError

COUNT = 3
PLACE = Place(attempt=bytes(32), context=b"round 1", section=0, ciphertexts=COUNT)
MEMBERS = [Contributor(f"client-{number}", bytes([number]) * 32) for number in range(3)]
SCHEMES: list[Scheme] = ["kahe", "bfv", "none"]
CipherOf = Callable[[Scheme], Cipher]


@pytest.fixture(scope="module")
def cipher_of(key: SecretKey) -> CipherOf:
    keys = SharedKeys.generate(key)
    return lambda scheme: cipher_with(keys, scheme=scheme, profile=profile_for(3, 16, scheme=scheme))


class Sum:
    """A sum of three contributions of random slots, added as bytes."""

    def __init__(self, cipher: Cipher, *, place: Place = PLACE, key: ShortKey | None = None) -> None:
        bound = min(cipher.profile.slot_bound // 3, 1 << 30)
        rng = np.random.default_rng(2)
        total, self.contributions, self.keys = ResidueSum(cipher.form, COUNT), [], []
        self.slots = [rng.integers(-bound, bound + 1, (COUNT, 4096)) for _ in MEMBERS]
        for member, slots in zip(MEMBERS, self.slots, strict=True):
            self.keys.append(key or cipher.draw_key())
            encryption = cipher.encryption(place, contributor=member, key=self.keys[-1])
            parts = [encryption.encrypt(slots[:1], first=0), encryption.encrypt(slots[1:], first=1)]
            body = b"".join(part.body for part in parts)
            total.add(0, cipher.form.decode_upload(body, ciphertexts=COUNT))
            self.contributions.append((member, b"".join(part.seeds for part in parts)))
        self.body = cipher.form.encode_aggregate(total.total())
        self.cipher = cipher

    def decryption(self) -> SectionDecryption:
        return self.cipher.decryption(PLACE, contributions=self.contributions, key_sum=KeySum.of(self.keys))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_sum_opens_to_the_sum_of_slots(scheme: Scheme, prepared: bool, cipher_of: CipherOf) -> None:
    made = Sum(cipher_of(scheme))
    decryption = made.decryption()
    if prepared:
        decryption.prepare()
    decryption.verify([made.body])
    assert np.array_equal(decryption.decrypt(made.body, first=0), sum(made.slots))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_body_is_as_long_as_the_form_says(scheme: Scheme, cipher_of: CipherOf) -> None:
    cipher = cipher_of(scheme)
    encryption = cipher.encryption(PLACE, contributor=MEMBERS[0], key=cipher.draw_key())
    sent = encryption.encrypt(np.zeros((2, 4096), np.int64), first=0)
    assert (len(sent.body), len(sent.seeds)) == (cipher.form.upload_bytes(2), cipher.form.seeds_bytes(2))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_slot_beyond_the_profile_is_refused(scheme: Scheme, cipher_of: CipherOf) -> None:
    cipher = cipher_of(scheme)
    encryption = cipher.encryption(PLACE, contributor=MEMBERS[0], key=cipher.draw_key())
    for slot in (cipher.profile.slot_bound + 1, -cipher.profile.slot_bound - 1):
        with pytest.raises(CapacityError, match="a slot does not fit"):
            encryption.encrypt(np.full((1, 4096), slot), first=0)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("extra", [-1, 1])
def test_a_window_of_broken_ciphertexts_is_refused(scheme: Scheme, extra: int, cipher_of: CipherOf) -> None:
    made = Sum(cipher_of(scheme))
    decryption = made.decryption()
    decryption.verify([made.body])
    with pytest.raises(WireError, match="belong"):
        decryption.decrypt(bytes(len(made.body) + extra), first=0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_more_contributors_than_add_exactly_are_refused(scheme: Scheme, cipher_of: CipherOf) -> None:
    cipher = cipher_of(scheme)
    seeds = bytes(cipher.form.seeds_bytes(COUNT))
    many = [(MEMBERS[0], seeds)] * (cipher.profile.max_cohort + 1)
    for contributions in ([], many):
        with pytest.raises(CapacityError, match="no exact sum"):
            cipher.decryption(PLACE, contributions=contributions, key_sum=None)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_seeds_of_another_length_are_refused(scheme: Scheme, cipher_of: CipherOf) -> None:
    cipher = cipher_of(scheme)
    seeds = bytes(cipher.form.seeds_bytes(COUNT) + 1)
    with pytest.raises(WireError, match="seeds of"):
        cipher.decryption(PLACE, contributions=[(MEMBERS[0], seeds)], key_sum=None)


def test_a_sum_under_a_lasting_key_is_never_decrypted_before_all_of_it_is_verified(
    cipher_of: CipherOf,
) -> None:
    made = Sum(cipher_of("bfv"))
    decryption = made.decryption()
    with pytest.raises(ProtocolError, match="only once all of its MACs have been verified"):
        decryption.decrypt(made.body, first=0)
    altered = bytearray(made.body)
    altered[-40] ^= 1
    with pytest.raises((ForgeryError, WireError)):
        decryption.verify([bytes(altered)])
    with pytest.raises(ProtocolError):
        decryption.decrypt(made.body, first=0)


@pytest.mark.parametrize("scheme", ["kahe", "none"])
def test_a_scheme_without_macs_reads_nothing_to_verify(scheme: Scheme, cipher_of: CipherOf) -> None:
    def unread() -> bytes:
        raise AssertionError

    Sum(cipher_of(scheme)).decryption().verify(unread() for _ in range(1))


@pytest.mark.parametrize("contributors", [None, 2, 4])
def test_one_time_keys_open_nothing_without_exactly_their_sum(
    contributors: int | None, cipher_of: CipherOf
) -> None:
    made = Sum(cipher_of("kahe"))
    keys = [ShortKey.fresh() for _ in range(contributors or 0)]
    with pytest.raises(ProtocolError, match="not that of the contributors"):
        made.cipher.decryption(PLACE, contributions=made.contributions, key_sum=KeySum.of(keys))


def test_one_time_keys_are_asked_for() -> None:
    cipher = KaheCipher(profile_named("k24-2x18-d20"))
    with pytest.raises(ProtocolError, match="client-1 has no key"):
        cipher.encryption(PLACE, contributor=Contributor("client-1", bytes(32)), key=None)


def test_one_key_serves_several_sections_whose_ciphertexts_have_nothing_in_common(
    cipher_of: CipherOf,
) -> None:
    cipher, key, slots = cipher_of("kahe"), ShortKey.fresh(), np.zeros((1, 4096), np.int64)
    bodies = [
        cipher.encryption(
            Place(attempt=bytes(32), context=b"", section=section, ciphertexts=1),
            contributor=MEMBERS[0],
            key=key,
        )
        .encrypt(slots, first=0)
        .body
        for section in (0, 1)
    ]
    width = cipher.profile.word_bytes
    words = [np.frombuffer(body, np.uint8).reshape(-1, width)[:, -1].astype(int) for body in bodies]
    assert abs(np.corrcoef(*words)[0, 1]) < 0.08


@pytest.mark.parametrize(("attempt", "section"), [(bytes(32), 0), (bytes([1]) * 32, 0), (bytes([1]) * 32, 1)])
def test_a_key_hides_one_contribution_to_one_attempt(
    attempt: bytes, section: int, cipher_of: CipherOf
) -> None:
    cipher, key = cipher_of("kahe"), ShortKey.fresh()
    cipher.encryption(PLACE, contributor=MEMBERS[0], key=key)
    again = Place(attempt=attempt, context=b"", section=section, ciphertexts=1)
    with pytest.raises(ProtocolError, match="hides one contribution"):
        cipher.encryption(again, contributor=MEMBERS[0], key=key)


@pytest.mark.parametrize(
    ("scheme", "profile"), [("kahe", "t40-2x20-d6"), ("bfv", "k20-2x20-d12"), ("bfv", "t40-2x20-d6")]
)
def test_keys_or_profiles_of_another_scheme_are_refused(scheme: Scheme, profile: str) -> None:
    with pytest.raises(IdentityError, match="are not those of scheme"):
        cipher_with(SharedKeys.generate(None), scheme=scheme, profile=profile_named(profile))
