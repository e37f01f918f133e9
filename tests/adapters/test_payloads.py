from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securefl.adapters.basis import Side, draw_basis
from securefl.adapters.layout import Layout
from securefl.adapters.ownership import RankTable
from securefl.adapters.payloads import BasisPayload, DensePayload, Payload, SegmentKind
from securefl.adapters.update import Factors, MeanUpdate, Update
from securefl.errors import ProtocolError

MakeUpdate = Callable[..., Update]
RANKS = RankTable((2, 4, 8, 16))
FIXTURES_ARE_CONSTANT = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def payload_of(name: str, layout: Layout) -> Payload:
    if name == "dense":
        return DensePayload(layout, RANKS)
    round = 1 if name == "basis-left" else 2
    return BasisPayload(layout, RANKS, draw_basis(layout, shared_rank=4, seed=7, round=round))


def products(update: Update | MeanUpdate) -> dict[str, np.ndarray]:
    weights = {
        name: value.product() if isinstance(value, Factors) else value
        for name, value in update.weights.items()
    }
    return {**weights, **update.heads}


@pytest.fixture(params=["dense", "basis-left", "basis-right"])
def payload(request: pytest.FixtureRequest, layout: Layout) -> Payload:
    return payload_of(request.param, layout)


def draw(payload: Payload, make_update: MakeUpdate, rank: int, seed: int) -> Update:
    basis = payload.basis if isinstance(payload, BasisPayload) else None
    return make_update(rank, rng=np.random.default_rng(seed), basis=basis)


def test_segments_fill_the_vector_without_gaps(payload: Payload) -> None:
    offset = 0
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
    decoded = products(payload.decode(payload.encode(update, rank=rank)))
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
    vectors = [payload.encode(update, rank=rank) for update, rank in zip(updates, ranks, strict=True)]
    decoded = products(payload.decode(scales[0] * vectors[0] + scales[1] * vectors[1]))
    first, second = (products(update) for update in updates)
    for name, value in decoded.items():
        assert np.allclose(value, scales[0] * first[name] + scales[1] * second[name], atol=1e-12)


@FIXTURES_ARE_CONSTANT
@given(factor=st.floats(-4, 4), seed=st.integers(0, 1000), rank=st.sampled_from(RANKS.ranks))
def test_encoding_is_homogeneous(
    payload: Payload, make_update: MakeUpdate, factor: float, seed: int, rank: int
) -> None:
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
        payload.encode(scaled, rank=rank), factor * payload.encode(update, rank=rank), atol=1e-12
    )


@pytest.mark.parametrize("round", [1, 2])
def test_directions_that_too_few_clients_own_have_no_coordinate(
    layout: Layout, make_update: MakeUpdate, round: int
) -> None:
    basis = draw_basis(layout, shared_rank=4, seed=7, round=round)
    payload = BasisPayload(layout, RANKS, basis)
    width = {tensor.name: tensor.rows if round == 1 else tensor.columns for tensor in layout.adapted}
    adapters = [segment for segment in payload.segments if segment.kind is SegmentKind.ADAPTER]
    assert sum(segment.size for segment in adapters) == sum(4 * size for size in width.values())


@pytest.mark.parametrize("name", ["basis-left", "basis-right"])
def test_a_client_of_low_rank_leaves_what_it_does_not_own_at_zero(
    layout: Layout, make_update: MakeUpdate, name: str
) -> None:
    payload = payload_of(name, layout)
    vector = payload.encode(draw(payload, make_update, 2, seed=1), rank=2)
    for segment in payload.segments:
        owned = payload.partitions[segment.partition].owned_by(2)
        assert bool(segment.block(vector).any()) == owned


@pytest.mark.parametrize("name", ["basis-left", "basis-right"])
def test_an_update_against_another_basis_is_refused(
    layout: Layout, make_update: MakeUpdate, name: str
) -> None:
    payload = payload_of(name, layout)
    assert isinstance(payload, BasisPayload)
    other = draw_basis(layout, shared_rank=4, seed=8, round=payload.basis.round)
    update = make_update(4, rng=np.random.default_rng(0), basis=other)
    with pytest.raises(ProtocolError, match="frozen factor"):
        payload.encode(update, rank=4)


def test_a_basis_off_by_more_than_rounding_is_refused(layout: Layout, make_update: MakeUpdate) -> None:
    payload = payload_of("basis-left", layout)
    update = draw(payload, make_update, 4, seed=0)

    def moved(by: float) -> Update:
        weights = {name: Factors(value.left, value.right + by) for name, value in update.weights.items()}
        return Update(weights=weights, heads=update.heads)

    payload.encode(moved(1e-11), rank=4)
    with pytest.raises(ProtocolError, match="frozen factor"):
        payload.encode(moved(1e-8), rank=4)


def test_an_update_of_another_rank_is_refused(layout: Layout, make_update: MakeUpdate) -> None:
    payload = payload_of("basis-left", layout)
    update = draw(payload, make_update, 4, seed=0)
    with pytest.raises(ProtocolError):
        payload.encode(update, rank=2)


def test_an_update_without_a_tensor_is_refused(payload: Payload, make_update: MakeUpdate) -> None:
    update = draw(payload, make_update, 4, seed=0)
    heads = {name: head for name, head in update.heads.items() if name != "classifier.bias"}
    with pytest.raises(ProtocolError, match=r"classifier\.bias"):
        payload.encode(Update(update.weights, heads), rank=4)


def test_a_head_that_numpy_would_broadcast_is_refused(payload: Payload, make_update: MakeUpdate) -> None:
    update = draw(payload, make_update, 4, seed=0)
    heads = {**update.heads, "classifier.weight": np.ones((1, 32))}
    with pytest.raises(ProtocolError, match="where"):
        payload.encode(Update(update.weights, heads), rank=4)


def test_a_dense_factor_of_another_shape_is_refused(layout: Layout, make_update: MakeUpdate) -> None:
    payload = payload_of("dense", layout)
    update = draw(payload, make_update, 4, seed=0)
    weights = {**update.weights, "layer.query": Factors(np.ones((44, 4)), np.ones((3, 40)))}
    with pytest.raises(ProtocolError):
        payload.encode(Update(weights, update.heads), rank=4)
