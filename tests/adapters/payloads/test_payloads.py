from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.payloads import encoded

from securefl.adapters.frozen.basis import Side, draw_basis
from securefl.adapters.frozen.core import draw_core_bases
from securefl.adapters.layout import Layout
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import (
    BasisPayload,
    CorePayload,
    DensePayload,
    Payload,
    SegmentKind,
    SketchPayload,
)
from securefl.adapters.payloads.facts import FACTS
from securefl.adapters.update import Factors, MeanUpdate, Update
from securefl.errors import ProtocolError

MakeUpdate = Callable[..., Update]
RANKS = RankTable((2, 4, 8, 16))
FIXTURES_ARE_CONSTANT = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def payload_of(name: str, layout: Layout) -> Payload:
    if name == "dense":
        return DensePayload(layout, RANKS)
    if name == "sketch":
        return SketchPayload(layout, RANKS, sketch_rank=6, seed=7, round_number=1)
    if name == "core":
        return CorePayload(layout, RANKS, draw_core_bases(layout, shared_rank=4, seed=7))
    round_number = 1 if name == "basis-left" else 2
    return BasisPayload(layout, RANKS, draw_basis(layout, shared_rank=4, seed=7, round_number=round_number))


def products(update: Update | MeanUpdate) -> dict[str, np.ndarray]:
    weights = {
        name: value.product() if isinstance(value, Factors) else value
        for name, value in update.weights.items()
    }
    return {**weights, **update.heads}


@pytest.fixture(params=["dense", "basis-left", "basis-right", "core"])
def payload(request: pytest.FixtureRequest, layout: Layout) -> Payload:
    """The payloads that are exact for any ranks."""
    return payload_of(request.param, layout)


@pytest.fixture(params=["dense", "sketch", "basis-left", "basis-right", "core"])
def any_payload(request: pytest.FixtureRequest, layout: Layout) -> Payload:
    return payload_of(request.param, layout)


def draw(payload: Payload, make_update: MakeUpdate, rank: int, seed: int) -> Update:
    basis = None
    if isinstance(payload, BasisPayload):
        basis = payload.basis
    elif isinstance(payload, CorePayload):
        basis = payload.bases
    return make_update(rank, rng=np.random.default_rng(seed), basis=basis)


def test_segments_fill_the_vector_without_gaps(any_payload: Payload) -> None:
    payload, offset = any_payload, 0
    for segment in payload.segments:
        assert segment.offset == offset
        offset += segment.size
    assert offset == payload.size
    assert len({segment.name for segment in payload.segments}) == len(payload.segments)


@pytest.mark.parametrize("rank", RANKS.ranks)
def test_an_encoded_update_decodes_to_its_products(
    payload: Payload, make_update: MakeUpdate, rank: int
) -> None:
    update = draw(payload, make_update, rank, seed=rank)
    decoded = products(payload.decode(encoded(payload, update, rank=rank)))
    for name, value in products(update).items():
        assert np.allclose(decoded[name], value, atol=1e-12)


@FIXTURES_ARE_CONSTANT
@given(
    seeds=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
    ranks=st.tuples(st.sampled_from(RANKS.ranks), st.sampled_from(RANKS.ranks)),
    scales=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)
def test_the_mean_of_encodings_is_the_encoding_of_the_mean(
    payload: Payload,
    make_update: MakeUpdate,
    seeds: tuple[int, int],
    ranks: tuple[int, int],
    scales: tuple[float, float],
) -> None:
    updates = [draw(payload, make_update, rank, seed) for rank, seed in zip(ranks, seeds, strict=True)]
    vectors = [encoded(payload, update, rank=rank) for update, rank in zip(updates, ranks, strict=True)]
    decoded = products(payload.decode(scales[0] * vectors[0] + scales[1] * vectors[1]))
    first, second = (products(update) for update in updates)
    for name, value in decoded.items():
        assert np.allclose(value, scales[0] * first[name] + scales[1] * second[name], atol=1e-12)


@FIXTURES_ARE_CONSTANT
@given(
    seeds=st.tuples(st.integers(0, 1000), st.integers(0, 1000)),
    ranks=st.tuples(st.sampled_from(RANKS.ranks), st.sampled_from(RANKS.ranks)),
    scales=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)
def test_a_sketch_is_linear_whatever_the_ranks(
    layout: Layout,
    make_update: MakeUpdate,
    seeds: tuple[int, int],
    ranks: tuple[int, int],
    scales: tuple[float, float],
) -> None:
    payload = payload_of("sketch", layout)
    updates = [draw(payload, make_update, rank, seed) for rank, seed in zip(ranks, seeds, strict=True)]
    first, second = updates
    together = Update(
        weights={
            name: Factors(
                np.concatenate([scales[0] * value.left, scales[1] * second.weights[name].left], axis=1),
                np.concatenate([value.right, second.weights[name].right]),
            )
            for name, value in first.weights.items()
        },
        heads={name: scales[0] * head + scales[1] * second.heads[name] for name, head in first.heads.items()},
    )
    vectors = [encoded(payload, update, rank=rank) for update, rank in zip(updates, ranks, strict=True)]
    summed = scales[0] * vectors[0] + scales[1] * vectors[1]
    assert np.allclose(encoded(payload, together, rank=2), summed, atol=1e-11)


@FIXTURES_ARE_CONSTANT
@given(factor=st.floats(-4, 4), seed=st.integers(0, 1000), rank=st.sampled_from(RANKS.ranks))
def test_encoding_is_homogeneous(
    any_payload: Payload, make_update: MakeUpdate, factor: float, seed: int, rank: int
) -> None:
    payload = any_payload
    update = draw(payload, make_update, rank, seed)
    left_is_trained = not (isinstance(payload, BasisPayload) and payload.basis.side is Side.RIGHT)
    scaled = Update(
        weights={
            name: Factors(factor * value.left, value.right)
            if left_is_trained
            else Factors(value.left, factor * value.right)
            for name, value in update.weights.items()
        },
        heads={name: factor * head for name, head in update.heads.items()},
    )
    assert np.allclose(
        encoded(payload, scaled, rank=rank), factor * encoded(payload, update, rank=rank), atol=1e-12
    )


@pytest.mark.parametrize("round_number", [1, 2])
def test_directions_that_too_few_clients_own_have_no_coordinate(
    layout: Layout, make_update: MakeUpdate, round_number: int
) -> None:
    basis = draw_basis(layout, shared_rank=4, seed=7, round_number=round_number)
    payload = BasisPayload(layout, RANKS, basis)
    width = {tensor.name: tensor.rows if round_number == 1 else tensor.columns for tensor in layout.adapted}
    adapters = [segment for segment in payload.segments if segment.kind is SegmentKind.ADAPTER]
    assert sum(segment.size for segment in adapters) == sum(4 * size for size in width.values())


def test_a_core_has_one_coordinate_for_every_pair_of_shared_directions(layout: Layout) -> None:
    adapters = [s for s in payload_of("core", layout).segments if s.kind is SegmentKind.ADAPTER]
    assert sum(segment.size for segment in adapters) == len(layout.adapted) * 4 * 4


@pytest.mark.parametrize("name", ["basis-left", "basis-right", "core"])
def test_a_client_of_low_rank_leaves_what_it_does_not_own_at_zero(
    layout: Layout, make_update: MakeUpdate, name: str
) -> None:
    payload = payload_of(name, layout)
    vector = encoded(payload, draw(payload, make_update, 2, seed=1), rank=2)
    for segment in payload.segments:
        owned = payload.partitions[segment.partition].owned_by(2)
        assert bool(segment.block(vector).any()) == owned


@pytest.mark.parametrize("name", ["basis-left", "basis-right"])
def test_an_update_against_another_basis_is_refused(
    layout: Layout, make_update: MakeUpdate, name: str
) -> None:
    payload = payload_of(name, layout)
    assert isinstance(payload, BasisPayload)
    other = draw_basis(layout, shared_rank=4, seed=8, round_number=payload.basis.round_number)
    update = make_update(4, rng=np.random.default_rng(0), basis=other)
    with pytest.raises(ProtocolError, match="frozen factor"):
        encoded(payload, update, rank=4)


def test_a_basis_off_by_more_than_rounding_is_refused(layout: Layout, make_update: MakeUpdate) -> None:
    payload = payload_of("basis-left", layout)
    update = draw(payload, make_update, 4, seed=0)

    def moved(by: float) -> Update:
        weights = {name: Factors(value.left, value.right + by) for name, value in update.weights.items()}
        return Update(weights=weights, heads=update.heads)

    encoded(payload, moved(1e-11), rank=4)
    with pytest.raises(ProtocolError, match="frozen factor"):
        encoded(payload, moved(1e-8), rank=4)


def test_an_update_of_another_rank_is_refused(layout: Layout, make_update: MakeUpdate) -> None:
    payload = payload_of("basis-left", layout)
    update = draw(payload, make_update, 4, seed=0)
    with pytest.raises(ProtocolError):
        encoded(payload, update, rank=2)


def test_an_update_without_a_tensor_is_refused(any_payload: Payload, make_update: MakeUpdate) -> None:
    payload = any_payload
    update = draw(payload, make_update, 4, seed=0)
    heads = {name: head for name, head in update.heads.items() if name != "classifier.bias"}
    with pytest.raises(ProtocolError, match=r"classifier\.bias"):
        encoded(payload, Update(update.weights, heads), rank=4)


def test_a_head_that_numpy_would_broadcast_is_refused(any_payload: Payload, make_update: MakeUpdate) -> None:
    payload = any_payload
    update = draw(payload, make_update, 4, seed=0)
    heads = {**update.heads, "classifier.weight": np.ones((1, 32))}
    with pytest.raises(ProtocolError, match="where"):
        encoded(payload, Update(update.weights, heads), rank=4)


@pytest.mark.parametrize("name", ["dense", "sketch", "core"])
def test_a_factor_of_another_shape_is_refused(layout: Layout, make_update: MakeUpdate, name: str) -> None:
    payload = payload_of(name, layout)
    update = draw(payload, make_update, 4, seed=0)
    weights = {**update.weights, "layer.query": Factors(np.ones((44, 4)), np.ones((3, 40)))}
    with pytest.raises(ProtocolError):
        encoded(payload, Update(weights, update.heads), rank=4)


def test_a_core_outside_the_federations_frozen_factors_is_refused(
    layout: Layout, make_update: MakeUpdate
) -> None:
    payload = payload_of("core", layout)
    assert isinstance(payload, CorePayload)
    update = draw(payload, make_update, 4, seed=0)

    def moved(left: float, right: float) -> Update:
        weights = {
            name: Factors(value.left + left, value.right + right) for name, value in update.weights.items()
        }
        return Update(weights=weights, heads=update.heads)

    encoded(payload, moved(1e-11, 1e-11), rank=4)
    for left, right in ((1e-6, 0.0), (0.0, 1e-6)):
        with pytest.raises(ProtocolError, match="between the frozen factors"):
            encoded(payload, moved(left, right), rank=4)


def test_a_core_of_another_rank_is_refused(layout: Layout, make_update: MakeUpdate) -> None:
    payload = payload_of("core", layout)
    update = draw(payload, make_update, 4, seed=0)
    with pytest.raises(ProtocolError):
        encoded(payload, update, rank=2)


def kind_of(payload: Payload) -> str:
    """Its name in a federation file."""
    return type(payload).__name__.removesuffix("Payload").lower()


def test_only_the_sketch_amplifies_noise_and_the_table_says_so(
    any_payload: Payload, layout: Layout, make_update: MakeUpdate
) -> None:
    """Noise of deviation 1e-6 in the coordinates, and the largest singular value of what it becomes."""
    payload, std = any_payload, 1e-6
    vector = encoded(payload, draw(payload, make_update, 2, seed=1), rank=2)
    rng = np.random.default_rng(2)
    gains = []
    for _ in range(10):
        noisy = payload.decode(vector + rng.normal(0, std, vector.shape), noise_std=std)
        clean = payload.decode(vector)
        for tensor in layout.adapted:
            left = products(noisy)[tensor.name] - products(clean)[tensor.name]
            whole = std * (np.sqrt(tensor.rows) + np.sqrt(tensor.columns))
            gains.append(np.linalg.norm(left, 2) / whole)
        if FACTS[kind_of(payload)].carries_noise:
            assert max(gains) <= 1.2 * noisy.noise_std / std
    assert (np.median(gains) <= 1.1) == FACTS[kind_of(payload)].carries_noise
