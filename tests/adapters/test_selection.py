"""Which coordinates are encrypted: exactly so many, the most sensitive, the same for everybody."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import Feature, Segment, SegmentKind
from securefl.adapters.payloads.plan import PayloadPlan
from securefl.adapters.selection import (
    columns_alone,
    encrypted_count,
    feature_count,
    feature_places,
    join,
    rooted,
    select,
    split,
)
from securefl.config.encryption import NO_COLUMNS
from securefl.errors import ProtocolError, TrainingError

LAYOUT = Layout(
    (
        TensorSpec("query", 44, 40, TensorKind.ADAPTED),
        TensorSpec("value", 12, 60, TensorKind.ADAPTED),
        # Too small to be sketched: whole rows stand beside sketches.
        TensorSpec("small", 6, 7, TensorKind.ADAPTED),
        TensorSpec("head", 3, 12, TensorKind.HEAD),
        TensorSpec("bias", 3, 1, TensorKind.HEAD),
    )
)
FEATURES = 44 + 40 + 12 + 60 + 6 + 7
KINDS = ("dense", "sketch", "basis", "state", "core", "factors")

kinds = st.sampled_from(KINDS)
rounds = st.integers(1, 2)
fractions = st.builds(
    lambda over, under: Fraction(min(over, under), max(over, under)), st.integers(1, 99), st.integers(1, 99)
)


@st.composite
def score_sums(draw: st.DrawFn) -> np.ndarray:
    """Sums that are often equal, sometimes 0, sometimes as large as a cohort of 1,000 makes them."""
    seed = draw(st.integers(0, 2**32 - 1))
    top = draw(st.sampled_from([1, 3, 100, 1000 * 2**23]))
    return np.random.default_rng(seed).integers(0, top, FEATURES, endpoint=True)


@cache
def segments_of(
    payload: str, round_number: int = 1, ranks: tuple[int, ...] = (1, 2, 4, 4)
) -> tuple[Segment, ...]:
    plan = PayloadPlan(
        payload=payload,  # type: ignore[arg-type]
        layout=LAYOUT,
        ranks=RankTable(ranks),
        bits=16,
        adapter_bound=1.0,
        head_bound=1.0,
        samples_cap=10,
        seed=1,
        sketch_rank=4,
    )
    return plan.for_round(round_number).payload.segments


def of(segment: Segment, mask: np.ndarray) -> np.ndarray:
    return mask[segment.offset : segment.offset + segment.size].reshape(segment.shape)


@given(kinds, rounds, score_sums(), fractions)
def test_exactly_the_promised_number_is_encrypted_and_never_fewer(kind, round_number, sums, fraction) -> None:
    segments = segments_of(kind, round_number)
    size = sum(segment.size for segment in segments)
    mask = select(segments, LAYOUT, sums, fraction)
    assert mask.shape == (size,)
    assert int(mask.sum()) == encrypted_count(segments, fraction) >= math.ceil(fraction * size)


@given(kinds, rounds, score_sums(), fractions)
def test_what_not_everybody_owns_and_what_tells_of_labels_is_always_encrypted(
    kind, round_number, sums, fraction
) -> None:
    segments = segments_of(kind, round_number)
    mask = select(segments, LAYOUT, sums, fraction)
    for segment in segments:
        if segment.partition != 0 or segment.kind is SegmentKind.HEAD:
            assert of(segment, mask).all()


def test_a_fraction_that_is_smaller_than_what_is_always_encrypted_grows_to_it() -> None:
    segments = segments_of("basis")
    forced = sum(s.size for s in segments if s.partition != 0 or s.kind is SegmentKind.HEAD)
    assert encrypted_count(segments, Fraction(1, 1000)) == forced
    assert select(segments, LAYOUT, np.ones(FEATURES, np.int64), Fraction(1, 1000)).sum() == forced


@given(kinds, rounds, score_sums())
def test_a_fraction_of_one_encrypts_everything(kind, round_number, sums) -> None:
    assert select(segments_of(kind, round_number), LAYOUT, sums, Fraction(1)).all()


@given(kinds, rounds, score_sums(), fractions, st.integers(0, FEATURES - 1), st.integers(1, 2**40))
def test_a_higher_score_never_takes_anything_of_its_feature_out(
    kind, round_number, sums, fraction, feature, more
) -> None:
    segments = segments_of(kind, round_number)
    before = select(segments, LAYOUT, sums, fraction)
    raised = sums.copy()
    raised[feature] += more
    after = select(segments, LAYOUT, raised, fraction)
    own = _coordinates_of(segments, feature)
    assert not (before & own & ~after).any()


@given(kinds, rounds, score_sums(), fractions)
def test_a_block_with_less_a_coordinate_is_encrypted_only_after_all_with_more(
    kind, round_number, sums, fraction
) -> None:
    segments = segments_of(kind, round_number)
    mask = select(segments, LAYOUT, sums, fraction)
    blocks = _blocks(segments, sums, mask)
    touched = [priority for priority, hidden, _ in blocks if hidden]
    left_out = [priority for priority, hidden, size in blocks if hidden < size]
    assert not touched or not left_out or min(touched) >= max(left_out)
    assert sum(0 < hidden < size for _, hidden, size in blocks) <= 1


@given(st.sampled_from(("dense", "basis", "state")), rounds, score_sums(), fractions)
def test_blocks_of_equal_score_are_taken_by_position(kind, round_number, sums, fraction) -> None:
    segments = segments_of(kind, round_number)
    mask = select(segments, LAYOUT, np.full(FEATURES, 7), fraction)
    blocks = _blocks(segments, np.full(FEATURES, 7), mask)
    # Equal scores are equal priorities only among blocks of one size: those come first, then the others.
    for size in {size for _, _, size in blocks}:
        hidden = [hidden for _, hidden, own in blocks if own == size]
        assert hidden == sorted(hidden, reverse=True)


@given(kinds, score_sums(), fractions, st.permutations(range(5)))
def test_the_order_in_which_clients_are_summed_does_not_matter(kind, sums, fraction, order) -> None:
    clients = [np.random.default_rng(client).integers(0, 2**15, FEATURES) for client in range(5)]
    masks = [
        select(segments_of(kind), LAYOUT, sum((clients[place] for place in places), sums), fraction)
        for places in (range(5), order)
    ]
    np.testing.assert_array_equal(*masks)


@given(kinds, score_sums(), fractions, st.integers(2, 1000))
def test_the_unit_of_the_scores_does_not_matter(kind, sums, fraction, unit) -> None:
    masks = [select(segments_of(kind), LAYOUT, given, fraction) for given in (sums, sums * unit)]
    np.testing.assert_array_equal(*masks)


def test_sums_that_a_float_could_not_tell_apart_are_told_apart() -> None:
    sums = np.zeros(FEATURES, dtype=np.int64)
    sums[feature_places(LAYOUT)["query"].rows] = 2**60
    sums[20] += 1
    segments = segments_of("dense")
    always = sum(s.size for s in segments if s.kind is SegmentKind.HEAD)
    fraction = Fraction(always + 40, sum(s.size for s in segments))
    mask = of(segments[0], select(segments, LAYOUT, sums, fraction))
    assert mask[20].all()
    assert mask.sum() == 40


def test_a_block_is_weighed_by_its_coordinates() -> None:
    places = feature_places(LAYOUT)
    sums = np.zeros(FEATURES, dtype=np.int64)
    # Squares 3600 over 60 coordinates and 2500 over 40: 60 against 62.5.
    sums[places["value"].rows.start] = 60
    sums[places["query"].rows.start] = 50
    segments = segments_of("dense")
    always = sum(s.size for s in segments if s.kind is SegmentKind.HEAD)
    mask = select(segments, LAYOUT, sums, Fraction(always + 1, sum(s.size for s in segments)))
    assert of(segments[0], mask)[0, 0]
    assert not of(segments[1], mask).any()


@pytest.mark.parametrize("tensor", ["query", "value"])
def test_a_sketched_weight_is_encrypted_as_one_by_all_its_rows(tensor: str) -> None:
    segments = segments_of("sketch")
    own = [s for s in segments if s.tensor == tensor and s.feature is Feature.TENSOR]
    sums = np.zeros(FEATURES, dtype=np.int64)
    sums[feature_places(LAYOUT)[tensor].rows] = 5
    always = sum(s.size for s in segments if s.kind is SegmentKind.HEAD)
    size = sum(s.size for s in own)
    mask = select(segments, LAYOUT, sums, Fraction(always + size, sum(s.size for s in segments)))
    assert len(own) == 3
    assert all(of(segment, mask).all() for segment in own)
    assert int(mask.sum()) == always + size


def test_a_weight_too_small_to_be_sketched_is_encrypted_row_by_row() -> None:
    segments = segments_of("sketch")
    (own,) = (s for s in segments if s.tensor == "small")
    sums = np.zeros(FEATURES, dtype=np.int64)
    sums[feature_places(LAYOUT)["small"].rows.start + 2] = 5
    always = sum(s.size for s in segments if s.kind is SegmentKind.HEAD)
    mask = select(segments, LAYOUT, sums, Fraction(always + 7, sum(s.size for s in segments)))
    assert of(own, mask)[2].all()
    assert int(of(own, mask).sum()) == 7


def test_the_scores_of_columns_decide_where_the_right_factor_is_trained() -> None:
    column = feature_places(LAYOUT)["query"].columns.start + 3
    sums = np.zeros(FEATURES, dtype=np.int64)
    sums[column] = 1
    segments = segments_of("basis", 2)
    forced = encrypted_count(segments, Fraction(1, 10**6))
    mask = select(segments, LAYOUT, sums, Fraction(forced + 1, sum(s.size for s in segments)))
    assert segments[0].feature is Feature.COLUMN
    assert of(segments[0], mask)[:, 3].all()
    assert int(of(segments[0], mask).sum()) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("round_number", [1, 2])
def test_segments_of_rows_and_columns_have_as_many_as_the_weight(kind: str, round_number: int) -> None:
    tensors = {tensor.name: tensor for tensor in LAYOUT.tensors}
    for segment in segments_of(kind, round_number):
        if segment.feature in (Feature.ROW, Feature.ENTRY):
            assert segment.shape[0] == tensors[segment.tensor].rows
        if segment.feature is Feature.COLUMN:
            assert segment.shape[1] == tensors[segment.tensor].columns


def test_scores_of_the_wrong_number_are_refused() -> None:
    with pytest.raises(ProtocolError, match="168 score sums for 169 features"):
        select(segments_of("dense"), LAYOUT, np.zeros(FEATURES - 1, np.int64), Fraction(1, 2))


def test_a_negative_sum_is_refused() -> None:
    sums = np.zeros(FEATURES, np.int64)
    sums[7] = -1
    with pytest.raises(ProtocolError, match="is negative"):
        select(segments_of("dense"), LAYOUT, sums, Fraction(1, 2))


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.sampled_from([np.int64, np.float64]))
def test_joining_undoes_splitting(seed, size, dtype) -> None:
    rng = np.random.default_rng(seed)
    vector = rng.integers(-1000, 1000, size).astype(dtype)
    mask = rng.random(size) < rng.random()
    encrypted, plain = split(vector, mask)
    assert len(encrypted) == mask.sum()
    joined = join(encrypted, plain, mask)
    assert joined.dtype == dtype
    np.testing.assert_array_equal(joined, vector)


def test_a_mask_for_another_vector_is_refused() -> None:
    mask = np.array([True, False, True])
    with pytest.raises(ProtocolError, match="a mask of 3 coordinates"):
        split(np.zeros(4), mask)
    with pytest.raises(ProtocolError, match="1 encrypted and 2 plain"):
        join(np.zeros(1), np.zeros(2), mask)


def test_every_row_and_column_has_a_place_of_its_own() -> None:
    taken = np.zeros(feature_count(LAYOUT), dtype=np.int64)
    for tensor in LAYOUT.adapted:
        place = feature_places(LAYOUT)[tensor.name]
        assert place.rows.stop - place.rows.start == tensor.rows
        assert place.columns.stop - place.columns.start == tensor.columns
        taken[place.rows] += 1
        taken[place.columns] += 1
    assert (taken == 1).all()


def test_rooted_scores_end_at_one_and_keep_their_order_on_a_grid_of_16_bits() -> None:
    scores = 4.0 ** -np.arange(15.0)
    sent = rooted(scores)
    on_grid = np.floor(sent * 32767)
    assert sent.max() == 1.0
    assert (np.diff(on_grid) < 0).all()
    np.testing.assert_allclose(rooted(1e6 * scores), sent)


def test_scores_that_are_all_zero_stay_zero() -> None:
    assert not rooted(np.zeros(5)).any()


@pytest.mark.parametrize("odd", [-1.0, np.nan, np.inf])
def test_scores_that_are_no_scores_are_refused(odd: float) -> None:
    with pytest.raises(TrainingError, match="negative or not finite"):
        rooted(np.array([1.0, odd]))


def _blocks(
    segments: tuple[Segment, ...], sums: np.ndarray, mask: np.ndarray
) -> list[tuple[Fraction, int, int]]:
    """Score a coordinate, encrypted coordinates and size of each block, written out naively."""
    found = []
    for tensor, place in feature_places(LAYOUT).items():
        own = [s for s in segments if s.tensor == tensor and s.partition == 0]
        whole = [s for s in own if s.feature is Feature.TENSOR]
        if whole:
            size = sum(s.size for s in whole)
            score = sum(int(value) ** 2 for value in sums[place.rows])
            found.append((Fraction(score, size), sum(int(of(s, mask).sum()) for s in whole), size))
        for segment in own:
            if segment.feature is Feature.TENSOR:
                continue
            rows = segment.feature in (Feature.ROW, Feature.ENTRY)
            lines = of(segment, mask) if rows else of(segment, mask).T
            scores = sums[place.rows if rows else place.columns]
            found += [
                (Fraction(int(score) ** 2, len(line)), int(line.sum()), len(line))
                for score, line in zip(scores, lines, strict=True)
            ]
    return found


def _coordinates_of(segments: tuple[Segment, ...], feature: int) -> np.ndarray:
    """The coordinates that a feature's score speaks for."""
    own = np.zeros(sum(segment.size for segment in segments), dtype=bool)
    for segment in segments:
        if segment.kind is SegmentKind.HEAD:
            continue
        place = feature_places(LAYOUT)[segment.tensor]
        row, column = feature - place.rows.start, feature - place.columns.start
        in_rows = 0 <= row < place.rows.stop - place.rows.start
        in_columns = 0 <= column < place.columns.stop - place.columns.start
        if segment.feature is Feature.TENSOR and in_rows:
            of(segment, own)[...] = True
        if segment.feature in (Feature.ROW, Feature.ENTRY) and in_rows:
            of(segment, own)[row] = True
        if segment.feature is Feature.COLUMN and in_columns:
            of(segment, own)[:, column] = True
    return own


def test_whole_columns_are_encrypted_by_their_summed_score_a_coordinate() -> None:
    """A reference with plain numpy: columns of all weights, the best score a coordinate first, while there is room."""
    segments = segments_of("dense")
    sums = np.random.default_rng(3).integers(1, 1000, FEATURES)
    fraction = Fraction(1, 3)
    mask = select(segments, LAYOUT, sums, fraction, by="columns")
    columns = [
        (int(sums[place]) ** 2 / tensor.rows, -order, tensor.name, column)
        for order, (tensor, column, place) in enumerate(
            (tensor, column, feature_places(LAYOUT)[tensor.name].columns.start + column)
            for tensor in LAYOUT.adapted
            for column in range(tensor.columns)
        )
    ]
    rows = {tensor.name: tensor.rows for tensor in LAYOUT.adapted}
    room = encrypted_count(segments, fraction) - (3 * 12 + 3)
    for _, _, name, column in sorted(columns, reverse=True):
        segment = next(each for each in segments if each.tensor == name)
        hidden = of(segment, mask)[:, column]
        assert hidden[: min(room, rows[name])].all()
        assert not hidden[min(room, rows[name]) :].any()
        room = max(0, room - rows[name])


def test_scores_of_rows_have_no_part_in_a_selection_by_columns() -> None:
    segments = segments_of("dense")
    sums = np.random.default_rng(3).integers(1, 1000, FEATURES)
    alone = columns_alone(sums, LAYOUT)
    assert int(np.count_nonzero(alone)) == 40 + 60 + 7
    one, other = (select(segments, LAYOUT, each, Fraction(1, 3), by="columns") for each in (sums, alone))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("payload", sorted(set(KINDS) - set(NO_COLUMNS)))
@pytest.mark.parametrize("round_number", [1, 2])
def test_every_payload_that_no_table_refuses_can_be_selected_by_columns(
    payload: str, round_number: int
) -> None:
    segments = segments_of(payload, round_number)
    mask = select(segments, LAYOUT, np.ones(FEATURES, np.int64), Fraction(1, 3), by="columns")
    assert int(mask.sum()) == encrypted_count(segments, Fraction(1, 3))


@pytest.mark.parametrize("payload", sorted(set(NO_COLUMNS) - {"head-only"}))
def test_a_payload_that_the_table_refuses_has_a_round_without_columns(payload: str) -> None:
    with pytest.raises(ProtocolError, match="not sent by columns"):
        select(segments_of(payload, 1), LAYOUT, np.ones(FEATURES, np.int64), Fraction(1, 3), by="columns")
