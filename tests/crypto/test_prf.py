from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.framing import framed
from securefl.crypto.prf import _reduced, derived_key, uniform_words, word_for

Reference = Callable[[str], ModuleType]
KEY = bytes(range(32))
Q = 18014398509309953

fields = st.lists(st.binary(max_size=6), max_size=5)


@given(first=fields, second=fields)
def test_different_lists_never_frame_to_the_same_bytes(first: list[bytes], second: list[bytes]) -> None:
    assert (framed(*first) == framed(*second)) is (first == second)


@given(purpose=st.binary(max_size=40), context=st.binary(max_size=40))
def test_derived_keys_are_those_of_the_rfc(purpose: bytes, context: bytes, reference: Reference) -> None:
    expected = reference("authentication").derived_key(KEY, purpose, context)
    assert derived_key(KEY, purpose=purpose, context=context) == expected


@pytest.mark.parametrize(
    ("purpose", "context"), [(b"a", b"c"), (b"b", b"x"), (b"ac", b""), (b"", b"ac"), (b"bc", b"")]
)
def test_a_key_for_another_purpose_or_context_is_another_key(purpose: bytes, context: bytes) -> None:
    keys = {derived_key(KEY, purpose=b"b", context=b"c"), derived_key(KEY, purpose=purpose, context=context)}
    assert len(keys) == 2


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 300])
def test_words_are_those_of_the_rfc_keystream(count: int, reference: Reference) -> None:
    assert uniform_words(KEY, count=count, modulus=Q) == reference("authentication").vector(KEY, count, Q)


def test_a_longer_vector_begins_with_the_shorter_one() -> None:
    assert uniform_words(KEY, count=40, modulus=Q)[:17] == uniform_words(KEY, count=17, modulus=Q)


@given(nonce=st.binary(max_size=200), modulus=st.integers(2, Q))
def test_the_word_of_a_nonce_is_the_rfcs_mac_reduced(
    nonce: bytes, modulus: int, reference: Reference
) -> None:
    digest = reference("authentication").hmac_sha256(KEY, nonce)
    assert word_for(KEY, nonce, modulus=modulus) == int.from_bytes(digest, "little") % modulus


def test_the_references_chacha20_is_that_of_the_rfc(reference: Reference) -> None:
    # RFC 8439, appendix A.1, test vectors 1 and 2: key and nonce zero, blocks 0 and 1.
    stream = reference("authentication").chacha20(bytes(32), 128)
    assert stream[:16].hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert stream[64:80].hex() == "9f07e7be5551387a98ba977c732d080d"


def test_words_fill_their_range_evenly() -> None:
    words = uniform_words(KEY, count=16_384, modulus=Q)
    counts = [0] * 16
    for word in words:
        assert 0 <= word < Q
        counts[word * 16 // Q] += 1
    # 99.9999 % quantile of chi-square with 15 degrees of freedom.
    assert sum((count - 1024) ** 2 / 1024 for count in counts) < 58


@pytest.mark.parametrize("modulus", [2, 3, 255, 2**16 + 1, Q, 2**54 - 33, 2**54 - 1])
def test_words_of_every_modulus_are_exact_remainders_of_128_bits(modulus: int) -> None:
    words = [bytes(16), b"\xff" * 16, bytes(range(16)), b"\x00" * 15 + b"\x80", *map(_sixteen, range(50))]
    reduced = _reduced(np.frombuffer(b"".join(words), np.uint8).reshape(-1, 16), modulus)
    assert reduced.tolist() == [int.from_bytes(word, "little") % modulus for word in words]


def _sixteen(number: int) -> bytes:
    return hashlib.sha256(bytes([number])).digest()[:16]
