"""Packed shares: exact in every cohort, silent below c + 1, and wrong ones found or tried around."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.residues import PRIME, lagrange
from securefl.crypto.shares import (
    MAX_TRIES,
    Coefficients,
    Share,
    Sharing,
    decode_share,
    encode_share,
    sum_of_shares,
    uniform_residues,
)
from securefl.crypto.thresholds import CohortSizes, RosterConstants
from securefl.errors import CapacityError, ProtocolError, WireError

DEGREE = 4096


def sharing_of(members: int, *, max_colluders: int | None = None) -> Sharing:
    constants = RosterConstants.of(members, min_clients=members, max_colluders=max_colluders)
    return Sharing(constants.cohort(members))


def keys_of(count: int, *, seed: int = 0) -> list[Coefficients]:
    drawn = np.rint(np.random.default_rng(seed).normal(0, 6.4, (count, DEGREE))).astype(np.int64)
    return list(drawn)


def revealed_by(sharing: Sharing, keys: list[Coefficients], *, entropy: Entropy = SYSTEM) -> dict[int, Share]:
    """Every member's sum of shares of the keys."""
    shares = [sharing.share(key, entropy=entropy) for key in keys]
    return {j: sum_of_shares([one[j] for one in shares]) for j in range(sharing.sizes.members)}


def some(sums: dict[int, Share], positions: list[int]) -> dict[int, Share]:
    return {position: sums[position] for position in positions}


def altered(share: Share, place: int = 0) -> Share:
    changed = share.copy()
    changed[place] = (int(changed[place]) + 1) % PRIME
    return changed


@pytest.mark.parametrize("members", [*range(3, 20), 32, 64, 99, 100, 101, 333, 999, 1000])
def test_any_t_sums_of_shares_give_exactly_the_sum_of_the_keys(members: int) -> None:
    sharing, keys = sharing_of(members), keys_of(3)
    sums = revealed_by(sharing, keys)
    chosen = np.random.default_rng(members).permutation(members)[: sharing.sizes.threshold].tolist()
    assert np.array_equal(sharing.combine(some(sums, chosen)), sum(keys))


@pytest.mark.parametrize("members", [3, 4, 5, 6, 7])
def test_every_subset_of_t_gives_the_same_sum(members: int) -> None:
    sharing, keys = sharing_of(members), keys_of(2)
    sums = revealed_by(sharing, keys)
    for subset in itertools.combinations(range(members), sharing.sizes.threshold):
        assert np.array_equal(sharing.combine(some(sums, list(subset))), sum(keys))


def test_the_sum_of_a_thousand_keys_is_exact() -> None:
    sharing, keys = sharing_of(16), keys_of(1000, seed=1)
    assert np.array_equal(sharing.combine(revealed_by(sharing, keys)), sum(keys))


@pytest.mark.parametrize("members", [4, 16, 1000])
@pytest.mark.parametrize("value", [PRIME // 2, -(PRIME // 2), 0])
def test_the_ends_of_the_range_are_exact(members: int, value: int) -> None:
    sharing = sharing_of(members)
    key = np.full(DEGREE, value, dtype=np.int64)
    assert np.array_equal(sharing.combine(revealed_by(sharing, [key])), key)


def test_products_are_exact_where_every_residue_is_the_largest() -> None:
    # The claim of the docstring at its edge: t = 667 terms, none of them larger.
    sharing = sharing_of(1000)
    drawn = np.full(sharing.sizes.max_colluders * sharing.sizes.words, PRIME - 1, dtype=np.int64)
    shares = sharing._share(np.full(DEGREE, -1, dtype=np.int64), drawn)
    matrix = lagrange(np.arange(1, 668), np.arange(668, 1668))
    padded = np.full((667, sharing.sizes.words), PRIME - 1, dtype=np.int64)
    padded[:334].reshape(-1)[DEGREE:] = 0
    assert np.array_equal(shares, matrix @ padded % PRIME)


@pytest.mark.parametrize(("members", "max_colluders"), [(3, None), (4, None), (7, None), (16, None), (16, 2)])
def test_a_slow_reference_gives_the_same_shares_and_the_same_key(
    reference: Callable[[str], ModuleType], members: int, max_colluders: int | None
) -> None:
    slow, sharing = reference("shamir"), sharing_of(members, max_colluders=max_colluders)
    sizes, key = sharing.sizes, keys_of(1, seed=members)[0]
    drawn = uniform_residues(sizes.max_colluders * sizes.words)
    shares = sharing._share(key, drawn)
    rows = drawn.reshape(sizes.max_colluders, sizes.words).tolist()
    assert shares.tolist() == slow.share(key.tolist(), rows, members=members, threshold=sizes.threshold)
    last = {j: shares[j].tolist() for j in range(members - sizes.threshold, members)}
    again = slow.combine(last, length=DEGREE, threshold=sizes.threshold, packed=sizes.packed)
    assert again == key.tolist() == sharing.combine(dict(enumerate(shares))).tolist()


def _from_randomness(sizes: CohortSizes, positions: tuple[int, ...]) -> list[list[int]]:
    """The map from the c random values of a polynomial to the shares of some members."""
    base = np.arange(1, sizes.threshold + 1)
    matrix = lagrange(base, sizes.threshold + 1 + np.array(positions, dtype=np.int64))
    return matrix[:, sizes.packed :].tolist()


@pytest.mark.parametrize("members", [*range(3, 13)])
def test_c_shares_say_nothing_of_the_key(reference: Callable[[str], ModuleType], members: int) -> None:
    # The map from randomness to any c shares is a bijection: for every key, every c shares are equally likely.
    slow, sizes = reference("shamir"), sharing_of(members).sizes
    for positions in itertools.combinations(range(members), sizes.max_colluders):
        assert slow.is_invertible(_from_randomness(sizes, positions))


@pytest.mark.parametrize("members", [16, 31, 100])
def test_c_shares_of_larger_cohorts_say_nothing_of_the_key(
    reference: Callable[[str], ModuleType], members: int
) -> None:
    slow, sizes = reference("shamir"), sharing_of(members).sizes
    for seed in range(20):
        drawn = np.random.default_rng(seed).permutation(members)[: sizes.max_colluders]
        assert slow.is_invertible(_from_randomness(sizes, tuple(drawn.tolist())))


def test_c_and_one_shares_do_say_something() -> None:
    # The control: of four members one may collude, and two shares have a combination without the random value.
    sharing, keys = sharing_of(4), keys_of(2)
    (first,), (second,) = _from_randomness(sharing.sizes, (0, 1))

    def combination(key: Coefficients) -> list[int]:
        shares = sharing.share(key).astype(np.int64)
        return ((shares[0] * second - shares[1] * first) % PRIME).tolist()

    assert combination(keys[0]) == combination(keys[0]) != combination(keys[1])


@pytest.mark.parametrize("members", [4, 16])
def test_shares_of_one_member_are_uniform_whatever_the_key(members: int) -> None:
    sharing = sharing_of(members)
    key = np.zeros(DEGREE, dtype=np.int64)
    words = np.concatenate(
        [sharing.share(key)[members // 2] for _ in range(60000 // sharing.sizes.words + 1)]
    )
    counts = np.bincount(words.astype(np.int64) * 16 // PRIME, minlength=16)
    expected = np.diff(np.ceil(np.arange(17) * PRIME / 16)) * len(words) / PRIME
    assert (
        float(((counts - expected) ** 2 / expected).sum()) < 60
    )  # 15 degrees of freedom: fails once in 10^6 runs


def test_two_sharings_of_one_key_have_nothing_in_common() -> None:
    sharing, key = sharing_of(16), keys_of(1)[0]
    first, second = sharing.share(key), sharing.share(key)
    assert float((first == second).mean()) < 0.01


@pytest.mark.parametrize("members", [4, 7, 16, 100])
@pytest.mark.parametrize("place", [0, -1])
def test_a_wrong_sum_among_more_than_t_is_noticed(members: int, place: int) -> None:
    sharing = sharing_of(members)
    sums = some(revealed_by(sharing, keys_of(2)), list(range(sharing.sizes.threshold + 1)))
    sums[1] = altered(sums[1], place)
    with pytest.raises(ProtocolError, match="do not belong to one sum"):
        sharing.combine(sums)


@pytest.mark.parametrize(("members", "spare"), [(7, 2), (16, 2), (16, 5), (100, 2), (100, 33)])
def test_a_wrong_sum_is_tried_around_and_named(members: int, spare: int) -> None:
    sharing, keys = sharing_of(members), keys_of(2)
    sums = some(revealed_by(sharing, keys), list(range(sharing.sizes.threshold + spare)))
    wrong = sharing.sizes.threshold // 2
    sums[wrong] = altered(sums[wrong], 5)
    right = [one for one in sharing.candidates(sums) if one.disagreeing == (wrong,)]
    assert len(right) == 1
    assert np.array_equal(right[0].total, sum(keys))


@pytest.mark.parametrize(
    ("members", "present", "wrong"),
    [(7, 7, 1), (16, 16, 2), (16, 15, 2), (32, 32, 5), (100, 100, 16), (100, 75, 4), (1000, 1000, 166)],
)
def test_half_of_those_beyond_t_may_be_wrong_and_the_second_reading_names_them(
    members: int, present: int, wrong: int
) -> None:
    sharing, keys = sharing_of(members), keys_of(2)
    drawn = np.random.default_rng(members + present)
    sums = some(revealed_by(sharing, keys), drawn.permutation(members)[:present].tolist())
    liars = sorted(drawn.permutation(sorted(sums))[:wrong].tolist())
    for place, liar in enumerate(liars):
        sums[liar] = altered(sums[liar], place % sharing.sizes.words)
    # Decoding misses a wrong sum once in 65521 times: with factors of the operating system, one run in 1500 would fail.
    first, second = itertools.islice(sharing.candidates(sums, entropy=drawn.bytes), 2)
    right = second if second.disagreeing == tuple(liars) else first
    assert right.disagreeing == tuple(liars)
    assert np.array_equal(right.total, sum(keys))


def test_factors_that_see_nothing_wrong_are_drawn_twice() -> None:
    sharing, keys, calls = sharing_of(16), keys_of(2), itertools.count()
    sums = revealed_by(sharing, keys)
    lying = {who: altered(share, 4) if who in (3, 9) else share for who, share in sums.items()}
    seeded = np.random.default_rng(7).bytes

    def entropy(size: int) -> bytes:
        # The order comes first, then the factors: with these, all words are 0.
        return bytes(size) if next(calls) == 1 else seeded(size)

    readings = itertools.islice(sharing.candidates(lying, entropy=entropy), 2)
    assert any(one.disagreeing == (3, 9) for one in readings)


def test_wrong_sums_of_another_key_are_left_out_too() -> None:
    # Two members agree on a lie: their sums lie on polynomials of one other sum.
    sharing, keys, source = sharing_of(16), keys_of(3), np.random.default_rng(0).bytes
    sums, others = (revealed_by(sharing, each, entropy=source) for each in (keys[:2], keys[2:]))
    lying = {**sums, 3: others[3], 9: others[9]}
    readings = itertools.islice(sharing.candidates(lying, entropy=source), 2)
    assert any(one.disagreeing == (3, 9) for one in readings)


@pytest.mark.parametrize(("members", "wrong"), [(4, 1), (5, 1), (7, 2), (8, 2)])
def test_small_cohorts_try_every_subset(members: int, wrong: int) -> None:
    sharing, keys = sharing_of(members), keys_of(2)
    sums = revealed_by(sharing, keys)
    for liars in itertools.combinations(range(members), wrong):
        lying = {who: altered(share, who) if who in liars else share for who, share in sums.items()}
        assert any(np.array_equal(one.total, sum(keys)) for one in sharing.candidates(lying))


@pytest.mark.parametrize("wrong", [2, 3])
def test_more_wrong_sums_than_decoding_finds_are_tried_around(wrong: int) -> None:
    # Of ten, seven are t: decoding finds one wrong sum, and drawn subsets are without two or three in some orders.
    sharing, keys = sharing_of(10), keys_of(2)
    sums = revealed_by(sharing, keys)
    for liar in range(wrong):
        sums[liar] = altered(sums[liar], liar)
    orders = [np.random.default_rng(seed).bytes for seed in range(20)]
    readings = [list(sharing.candidates(sums, entropy=order)) for order in orders]
    found = [any(np.array_equal(one.total, sum(keys)) for one in tried) for tried in readings]
    assert any(found)
    assert all(len(tried) <= MAX_TRIES for tried in readings)


def test_sums_that_all_agree_have_one_reading() -> None:
    sharing, keys = sharing_of(16), keys_of(2)
    readings = list(sharing.candidates(revealed_by(sharing, keys)))
    assert len(readings) == 1
    assert readings[0].agreeing == tuple(range(16))
    assert np.array_equal(readings[0].total, sum(keys))


def test_exactly_t_sums_have_one_reading_even_if_one_is_wrong() -> None:
    sharing, keys = sharing_of(4), keys_of(2)
    sums = some(revealed_by(sharing, keys), [0, 1, 3])
    sums[1] = altered(sums[1])
    readings = list(sharing.candidates(sums))
    assert len(readings) == 1
    assert not np.array_equal(readings[0].total, sum(keys))


@pytest.mark.parametrize("members", [7, 16, 100, 150])
def test_a_reader_gives_up_after_64_subsets(members: int) -> None:
    sharing = sharing_of(members)
    width, drawn = sharing.sizes.words, np.random.default_rng(0)
    sums = {j: drawn.integers(0, PRIME, width).astype(np.uint16) for j in range(members)}
    readings = list(sharing.candidates(sums))
    assert 1 < len(readings) <= MAX_TRIES
    assert len({one.agreeing for one in readings}) == len(readings)


@pytest.mark.parametrize("present", [0, 1, 10])
def test_fewer_than_t_sums_open_nothing(present: int) -> None:
    sharing = sharing_of(16)
    sums = some(revealed_by(sharing, keys_of(1)), list(range(present)))
    with pytest.raises(ProtocolError, match="11 members must reveal"):
        sharing.combine(sums)
    with pytest.raises(ProtocolError, match="11 members must reveal"):
        next(sharing.candidates(sums))


@pytest.mark.parametrize("position", [-1, 16])
def test_a_sum_of_a_stranger_is_refused(position: int) -> None:
    sharing = sharing_of(16)
    sums = revealed_by(sharing, keys_of(1))
    with pytest.raises(ProtocolError, match="no member of this cohort"):
        sharing.combine({**sums, position: sums[0]})


def test_a_sum_of_another_cohorts_size_is_refused() -> None:
    sharing = sharing_of(16)
    sums = revealed_by(sharing, keys_of(1))
    with pytest.raises(ProtocolError, match="not of this cohort's size"):
        sharing.combine({**sums, 3: sums[3][:-1]})


@pytest.mark.parametrize(
    "key",
    [
        np.zeros(DEGREE - 1, dtype=np.int64),
        np.zeros((1, DEGREE), dtype=np.int64),
        np.full(DEGREE, PRIME // 2 + 1, dtype=np.int64),
        np.full(DEGREE, np.iinfo(np.int64).min, dtype=np.int64),
    ],
    ids=["short", "matrix", "too large", "least integer"],
)
def test_what_is_no_key_is_not_shared(key: np.ndarray) -> None:
    with pytest.raises(CapacityError, match="4096 coefficients"):
        sharing_of(4).share(key)


def test_words_that_are_no_residues_are_drawn_again() -> None:
    words = [PRIME, 65535, 7, PRIME - 1, PRIME + 3, 0]
    stream = np.array(words, dtype="<u2").tobytes()

    def entropy(count: int) -> bytes:
        nonlocal stream
        taken, stream = stream[:count], stream[count:]
        return taken

    assert uniform_residues(3, entropy=entropy).tolist() == [7, PRIME - 1, 0]


@settings(max_examples=30)
@given(data=st.data())
def test_a_share_survives_its_bytes(data: st.DataObject) -> None:
    sizes = sharing_of(100).sizes
    words = data.draw(st.lists(st.integers(0, PRIME - 1), min_size=sizes.words, max_size=sizes.words))
    share = np.array(words, dtype=np.uint16)
    encoded = encode_share(share)
    assert len(encoded) == 2 * sizes.words
    assert np.array_equal(decode_share(encoded, sizes), share)


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0\0", lambda data: b""])
def test_a_share_of_another_length_is_refused(change: Callable[[bytes], bytes]) -> None:
    sizes = sharing_of(100).sizes
    with pytest.raises(WireError, match="bytes where"):
        decode_share(change(bytes(2 * sizes.words)), sizes)


@pytest.mark.parametrize("word", [PRIME, 65535])
def test_a_word_that_is_no_residue_is_refused(word: int) -> None:
    sizes = sharing_of(100).sizes
    data = word.to_bytes(2, "little") + bytes(2 * sizes.words - 2)
    with pytest.raises(WireError, match="no residue"):
        decode_share(data, sizes)
