from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.words import add_words, decode_words, encode_words
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


@given(width=widths, rows=st.lists(st.lists(st.integers(0, 2**64 - 1), min_size=12, max_size=12), max_size=5))
def test_words_added_from_their_bytes_are_the_sum_modulo_their_width(
    width: int, rows: list[list[int]]
) -> None:
    totals = np.full(12, 2**64 - 1, dtype=np.uint64)
    for row in rows:
        add_words(totals, encode_words(np.array(row, dtype=np.uint64), width), width)
    expected = [(sum(column) - 1) % 2 ** (8 * width) for column in zip(*rows, strict=True)] or [
        2 ** (8 * width) - 1
    ] * 12
    assert [int(total) % 2 ** (8 * width) for total in totals] == expected


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_few_words_are_added_without_reading_beyond_their_end(kind: type, count: int) -> None:
    totals = np.zeros(count, dtype=np.uint64)
    add_words(totals, kind(b"\xff" * 3 * count), 3)
    assert (totals % 2**24 == 2**24 - 1).all()


@pytest.mark.parametrize("size", [0, 17, 19, 36])
def test_words_of_another_number_are_not_added(size: int) -> None:
    totals = np.zeros(3, dtype=np.uint64)
    with pytest.raises(WireError):
        add_words(totals, b"\xff" * size, 6)
    assert not totals.any()
