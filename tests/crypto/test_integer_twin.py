from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from securefl.crypto.cipher import Cipher, Encrypted
from securefl.crypto.integer_twin import IntegerTwin
from securefl.crypto.packing import pack, unpack
from securefl.crypto.schemes import profile_for
from securefl.errors import CapacityError, WireError

TotalOf = Callable[[Cipher, Sequence[Encrypted]], np.ndarray]
TWIN = IntegerTwin(profile_for(4, 16))


def test_a_twin_sums_integers(total_of: TotalOf) -> None:
    rng = np.random.default_rng(12)
    values = [rng.integers(-32_767, 32_768, 10_000) for _ in range(4)]
    contributions = [TWIN.encrypt(pack(x, TWIN.profile)) for x in values]
    slots = TWIN.decrypt(total_of(TWIN, contributions), [encrypted.seeds for encrypted in contributions])
    assert np.array_equal(unpack(slots, 10_000, TWIN.profile), sum(values))


def test_a_slot_at_the_plain_modulus_is_refused() -> None:
    with pytest.raises(CapacityError):
        TWIN.encrypt(np.full((1, 4096), TWIN.profile.plain_modulus, dtype=np.uint64))


def test_a_twin_refuses_what_its_sister_refuses() -> None:
    slots = np.zeros((1, 4096), dtype=np.uint64)
    with pytest.raises(CapacityError, match="0 contributions"):
        TWIN.decrypt(slots, [])
    with pytest.raises(CapacityError, match="16 contributions"):
        TWIN.decrypt(slots, [b""] * 16)
    with pytest.raises(WireError, match="0 bytes belong"):
        TWIN.decrypt(slots, [bytes(64)])
    with pytest.raises(WireError, match="not below its modulus"):
        TWIN.decrypt(slots + np.uint64(TWIN.profile.plain_modulus), [b""])
