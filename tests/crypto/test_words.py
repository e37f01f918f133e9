from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.words import decode_words, encode_words
from securefl.errors import WireError

widths = st.integers(1, 8)


@given(width=widths, values=st.lists(st.integers(0, 2**64 - 1), max_size=40))
def test_words_decode_to_what_was_encoded(width: int, values: list[int]) -> None:
    fitting = np.array([value % 2 ** (8 * width) for value in values], dtype=np.uint64)
    data = encode_words(fitting, width)
    assert len(data) == width * len(values)
    assert np.array_equal(decode_words(data, width, count=len(values)), fitting)


@given(width=widths, data=st.binary(max_size=200))
def test_every_string_of_the_right_length_is_the_encoding_of_its_words(width: int, data: bytes) -> None:
    whole = data[: len(data) // width * width]
    assert encode_words(decode_words(whole, width, count=len(whole) // width), width) == whole


@given(width=widths, count=st.integers(0, 20), excess=st.integers(-3, 3).filter(bool))
def test_any_other_length_is_refused(width: int, count: int, excess: int) -> None:
    data = bytes(max(0, count * width + excess))
    if len(data) == count * width:
        return
    with pytest.raises(WireError):
        decode_words(data, width, count=count)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read(kind: type) -> None:
    data = kind(bytes(range(35)))
    assert decode_words(data, 7, count=5)[4] == int.from_bytes(bytes(range(28, 35)), "little")


@pytest.mark.parametrize("width", range(1, 9))
def test_words_agree_with_big_integers(width: int, reference: Callable[[str], ModuleType]) -> None:
    values = np.random.default_rng(width).integers(0, 2 ** (8 * width), 1_000, dtype=np.uint64)
    assert encode_words(values, width) == reference("integers").encode(values.tolist(), width)
