from __future__ import annotations

import numpy as np
import pytest

from securefl.crypto.addition import ResidueSum
from securefl.crypto.cipher import Place
from securefl.crypto.contributor import Contributor
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.packing import pack, unpack
from securefl.crypto.schemes import profile_for, profile_named
from securefl.crypto.wireform import wire_form
from securefl.errors import CapacityError, WireError

TWIN = IntegerTwin(profile_for(4, 16, scheme="none"))
PLACE = Place(attempt=bytes(32), context=b"", section=0, ciphertexts=2)
MEMBERS = [Contributor(f"client-{number}", bytes(32)) for number in range(4)]


@pytest.mark.parametrize("name", [TWIN.profile.name, "k20-2x20-d12", "k30-1x30-d20", "t40-2x20-d6"])
def test_a_twin_sums_integers_in_as_many_bytes_as_its_sister_uploads(name: str) -> None:
    twin = IntegerTwin(profile_named(name))
    rng = np.random.default_rng(12)
    values = [rng.integers(-32_767, 32_768, 4_200) for _ in range(4)]
    count = twin.profile.ciphertexts_for(4_200)
    total = ResidueSum(twin.form, count)
    for member, own in zip(MEMBERS, values, strict=True):
        encryption = twin.encryption(PLACE, contributor=member, key=twin.draw_key())
        sent = encryption.encrypt(pack(own, twin.profile), first=0)
        assert len(sent.body) == count * 4096 * twin.profile.word_bytes
        total.add(0, twin.form.decode_upload(sent.body, ciphertexts=count))
    opened = twin.decryption(PLACE, contributions=[(member, b"") for member in MEMBERS], key_sum=None)
    slots = opened.decrypt(twin.form.encode_aggregate(total.total()), first=0)
    assert np.array_equal(unpack(slots, 4_200, twin.profile), sum(values))


def test_a_twin_of_key_additive_encryption_has_its_very_form() -> None:
    assert TWIN.form == wire_form("kahe", TWIN.profile)


def test_a_slot_that_its_sister_refuses_is_refused() -> None:
    with pytest.raises(CapacityError, match="a slot does not fit"):
        TWIN.encrypt(np.full((1, 4096), TWIN.profile.slot_bound + 1), first=0)


@pytest.mark.parametrize("count", [0, 16])
def test_a_twin_refuses_cohorts_that_its_sister_refuses(count: int) -> None:
    contributions = [(Contributor("a", bytes(32)), b"")] * count
    with pytest.raises(CapacityError, match=f"{count} contributions"):
        TWIN.decryption(PLACE, contributions=contributions, key_sum=None)


def test_seeds_beside_a_twin_are_refused() -> None:
    with pytest.raises(WireError, match="0 bytes belong"):
        TWIN.decryption(PLACE, contributions=[(MEMBERS[0], bytes(64))], key_sum=None)


def test_a_part_of_a_ciphertext_is_refused() -> None:
    with pytest.raises(WireError, match="belong"):
        TWIN.decrypt(bytes(TWIN.form.aggregate_bytes(1) + 1), first=0)
