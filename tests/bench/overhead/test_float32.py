"""Federated averaging in float32: the mean is the weighted mean, and what is not a member's is refused."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from support.federations import LAYOUT

from securefl.adapters.update import Adapter, LoraFactors
from securefl.bench.overhead import float32
from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.signed import Attempt
from securefl.simulation.traffic import Uploaded

RANKS = {"client-1": 2, "client-2": 4, "client-3": 4}
SAMPLES = {"client-1": 10, "client-2": 30, "client-3": 60}
ATTEMPT = Attempt(bytes(32), 1, 1, 1)


@pytest.fixture
def keys() -> dict[str, SigningKey]:
    return {member: SigningKey.generate() for member in RANKS}


@pytest.fixture
def server(keys: Mapping[str, SigningKey]) -> float32.AveragingServer:
    public = {member: key.public_key for member, key in keys.items()}
    return float32.AveragingServer(LAYOUT, ATTEMPT, ranks=RANKS, public_keys=public)


def drawn(member: str) -> Adapter:
    """An adapter of a member's rank, its numbers already float32."""
    rng = np.random.default_rng(int(member[-1]))

    def numbers(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32).astype(np.float64)

    rank = RANKS[member]
    return Adapter(
        {
            tensor.name: LoraFactors(A=numbers(rank, tensor.columns), B=numbers(tensor.rows, rank))
            for tensor in LAYOUT.adapted
        },
        {tensor.name: numbers(tensor.rows, tensor.columns) for tensor in LAYOUT.heads},
    )


def body_of(member: str) -> bytes:
    return SAMPLES[member].to_bytes(8, "little") + float32.encode_adapter(drawn(member), LAYOUT)


def sent(
    member: str, key: SigningKey, *, body: bytes | None = None, attempt: Attempt = ATTEMPT
) -> list[bytes]:
    """A member's messages; ``body`` stands for what it signed, if not its adapter."""
    own = body_of(member) if body is None else body
    return float32.signed_update(own, member=member, attempt=attempt, signing_key=key).messages()


def averaged(server: float32.AveragingServer, keys: Mapping[str, SigningKey], member: str) -> Adapter:
    """What a member makes of the mean of all."""
    for each, key in keys.items():
        server.take(sent(each, key), member=each)
    body = float32.read_mean(server.messages_for(server.mean(), member=member))
    return float32.adapter_of(float32.decode_parts(body, LAYOUT, RANKS[member]), LAYOUT)


def padded(part: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    whole = np.zeros(shape)
    whole[: part.shape[0], : part.shape[1]] = part
    return whole


def test_an_adapter_survives_its_bytes() -> None:
    adapter = drawn("client-2")
    body = float32.encode_adapter(adapter, LAYOUT)
    again = float32.adapter_of(float32.decode_parts(body, LAYOUT, 4), LAYOUT)
    for name, factors in adapter.weights.items():
        np.testing.assert_array_equal(again.weights[name].A, factors.A)
        np.testing.assert_array_equal(again.weights[name].B, factors.B)
    for name, head in adapter.heads.items():
        np.testing.assert_array_equal(again.heads[name], head)


@pytest.mark.parametrize("member", RANKS)
def test_the_mean_is_the_weighted_mean_of_zero_padded_factors_cut_to_the_own_rank(
    member: str, server: float32.AveragingServer, keys: dict[str, SigningKey]
) -> None:
    got, rank = averaged(server, keys, member), RANKS[member]
    weights = {each: samples / 100 for each, samples in SAMPLES.items()}
    adapters = {each: drawn(each) for each in RANKS}
    for tensor in LAYOUT.adapted:
        A = sum(
            weights[each] * padded(own.weights[tensor.name].A, (4, tensor.columns))
            for each, own in adapters.items()
        )
        B = sum(
            weights[each] * padded(own.weights[tensor.name].B, (tensor.rows, 4))
            for each, own in adapters.items()
        )
        np.testing.assert_allclose(got.weights[tensor.name].A, A[:rank], atol=1e-6)
        np.testing.assert_allclose(got.weights[tensor.name].B, B[:, :rank], atol=1e-6)
    for tensor in LAYOUT.heads:
        head = sum(weights[each] * own.heads[tensor.name] for each, own in adapters.items())
        np.testing.assert_allclose(got.heads[tensor.name], head, atol=1e-6)


def test_another_members_signature_is_refused(
    server: float32.AveragingServer, keys: dict[str, SigningKey]
) -> None:
    with pytest.raises(AuthenticationError):
        server.take(sent("client-2", keys["client-3"]), member="client-2")


def test_an_update_in_another_members_place_is_refused(
    server: float32.AveragingServer, keys: dict[str, SigningKey]
) -> None:
    with pytest.raises(AuthenticationError, match="not client-3's for round 1"):
        server.take(sent("client-2", keys["client-2"]), member="client-3")


def test_an_update_for_another_round_is_refused(
    server: float32.AveragingServer, keys: dict[str, SigningKey]
) -> None:
    messages = sent("client-2", keys["client-2"], attempt=replace(ATTEMPT, round_number=2))
    with pytest.raises(ProtocolError, match="not for round 1"):
        server.take(messages, member="client-2")


def test_numbers_that_were_not_signed_are_refused(
    server: float32.AveragingServer, keys: dict[str, SigningKey]
) -> None:
    body = body_of("client-2")
    honest = float32.signed_update(body, member="client-2", attempt=ATTEMPT, signing_key=keys["client-2"])
    other = Uploaded(honest.contribution.head, body[:-1] + bytes([body[-1] ^ 1]))
    altered = replace(honest, contribution=other)
    with pytest.raises(AuthenticationError, match="not those it signed"):
        server.take(altered.messages(), member="client-2")


def test_an_adapter_of_another_rank_is_refused(
    server: float32.AveragingServer, keys: dict[str, SigningKey]
) -> None:
    with pytest.raises(WireError):
        server.take(sent("client-1", keys["client-1"], body=body_of("client-2")), member="client-1")


def test_a_number_that_is_not_finite_is_refused(
    server: float32.AveragingServer, keys: dict[str, SigningKey]
) -> None:
    body = body_of("client-1")[:-4] + np.array([np.nan], "<f4").tobytes()
    with pytest.raises(WireError, match="not finite"):
        server.take(sent("client-1", keys["client-1"], body=body), member="client-1")


def test_nobody_counts_twice(server: float32.AveragingServer, keys: dict[str, SigningKey]) -> None:
    messages = sent("client-1", keys["client-1"])
    server.take(messages, member="client-1")
    with pytest.raises(ProtocolError, match="contributed to round 1 already"):
        server.take(messages, member="client-1")


def test_a_mean_of_some_is_refused(server: float32.AveragingServer, keys: dict[str, SigningKey]) -> None:
    server.take(sent("client-1", keys["client-1"]), member="client-1")
    with pytest.raises(ProtocolError, match="a part of the cohort"):
        server.mean()
