"""Baseline, as a user would do it without us: federated averaging of LoRA factors in float32.

The rule kept here: nothing is spared that a careful user would want, and nothing is added. Each client sends its own
factors A and B at its own rank, and its head, as raw float32 numbers with its sample count before them; it signs
them (Ed25519 over SHA-256) as a contribution is signed, and they go through the same messages. The server reads
every update: it verifies, adds weighted by samples, zero-padded where ranks differ, and gives each client the mean
cut to its rank (FedIT, HetLoRA: arXiv 2401.06432). What comes back is not signed, nor is it recognisable if the
server alters it; that is left to TLS and to trust in the server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.update import Adapter, LoraFactors
from securefl.bench.overhead.messages import body_messages, received, sent
from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.commitment import NO_PACKETS, ContributionHeader
from securefl.protocol.agreement.signed import Attempt, Signed, sign
from securefl.protocol.calls import Acknowledge, StageContribution
from securefl.protocol.wire_aggregates import decode_aggregate_part
from securefl.protocol.wire_calls import decode_acknowledge, encode_acknowledge
from securefl.protocol.wire_staging import BodyChunk, StageSizes
from securefl.simulation.traffic import Uploaded

COUNT_BYTES = 8
"""The sample count, in front of the numbers; little-endian, as they are."""
NO_DIGEST = bytes(32)
"""In the place of a cohort's digest and of a salt: there is nothing to agree on, and nothing to hide."""
EMPTY_DIGEST = hashlib.sha256(b"").digest()
Float32 = NDArray[np.float32]
Parts = list[Float32]
"""Of each adapted weight A (r, n) and B (m, r), of each head the head; in the layout's order."""


def shapes(layout: Layout, rank: int) -> list[tuple[int, int]]:
    """Shapes of an adapter of this rank, in the order in which it is sent."""
    return [shape for tensor in layout.tensors for shape in _shapes_of(tensor, rank)]


def encode_adapter(adapter: Adapter, layout: Layout) -> bytes:
    """An adapter's numbers, rounded to float32."""
    parts: list[NDArray[np.float64]] = []
    for tensor in layout.tensors:
        if tensor.kind is TensorKind.HEAD:
            parts.append(adapter.heads[tensor.name])
        else:
            parts += (adapter.weights[tensor.name].A, adapter.weights[tensor.name].B)
    return b"".join(part.astype("<f4").tobytes() for part in parts)


def decode_parts(body: bytes, layout: Layout, rank: int) -> Parts:
    """The numbers of an adapter of this rank, as views of the body.

    Raises:
        WireError: if the length is not that of such an adapter, or a number is not finite.
    """
    expected = layout.float32_bytes(rank)
    if len(body) != expected:
        raise WireError(f"an adapter of rank {rank} has {expected} bytes, not {len(body)}")
    numbers: Float32 = np.frombuffer(body, dtype="<f4")
    if not np.isfinite(numbers).all():
        raise WireError("an adapter has a number that is not finite")
    parts, start = [], 0
    for rows, columns in shapes(layout, rank):
        parts.append(numbers[start : start + rows * columns].reshape(rows, columns))
        start += rows * columns
    return parts


def adapter_of(parts: Parts, layout: Layout) -> Adapter:
    """The adapter that such numbers make."""
    rest = iter(parts)
    weights, heads = {}, {}
    for tensor in layout.tensors:
        if tensor.kind is TensorKind.HEAD:
            heads[tensor.name] = next(rest).astype(np.float64)
        else:
            weights[tensor.name] = LoraFactors(
                A=next(rest).astype(np.float64), B=next(rest).astype(np.float64)
            )
    return Adapter(weights, heads)


@dataclass(frozen=True, slots=True)
class SignedUpdate:
    """A member's numbers as a contribution travels, and the header that signs them."""

    contribution: Uploaded
    header: Signed[ContributionHeader]

    def messages(self) -> list[bytes]:
        """The messages of both."""
        acknowledged = Acknowledge(self.header.body.attempt, (), self.header)
        return [*sent(self.contribution), encode_acknowledge(acknowledged)]


def signed_update(body: bytes, *, member: str, attempt: Attempt, signing_key: SigningKey) -> SignedUpdate:
    """A member's update, signed as a contribution is signed."""
    digest = hashlib.sha256(body).digest()
    header = ContributionHeader(attempt, member, NO_DIGEST, NO_DIGEST, EMPTY_DIGEST, digest, NO_PACKETS)
    head = StageContribution(attempt, NO_DIGEST, digest, b"", ())
    return SignedUpdate(Uploaded(head, body), sign(header, signing_key))


def read_mean(messages: Iterable[bytes]) -> bytes:
    """The bytes of a mean from its messages.

    Raises:
        WireError: if a message is none of a body.
    """
    parts = [decode_aggregate_part(message) for message in messages]
    if not all(isinstance(part, BodyChunk) for part in parts):
        raise WireError("a mean consists of its numbers alone")
    return b"".join(part.data for part in parts if isinstance(part, BodyChunk))


class AveragingServer:
    """The server of one round.

    Args:
        layout: The shared tensors.
        attempt: The round.
        ranks: Of every member.
        public_keys: Of every member, 32 bytes each.
    """

    def __init__(
        self,
        layout: Layout,
        attempt: Attempt,
        *,
        ranks: Mapping[str, int],
        public_keys: Mapping[str, bytes],
    ) -> None:
        self._layout = layout
        self._attempt = attempt
        self._ranks = ranks
        self._public_keys = public_keys
        self._sums: Parts = [np.zeros(shape, np.float32) for shape in shapes(layout, max(ranks.values()))]
        self._samples: dict[str, int] = {}

    def take(self, messages: Sequence[bytes], *, member: str) -> None:
        """Read, verify and add one member's update.

        Raises:
            WireError: if it is not of this member's length.
            AuthenticationError: if it is not this member's, for this round.
            ProtocolError: if it has contributed already, or contributes to another round.
        """
        rank = self._ranks[member]
        sizes = StageSizes(seeds_bytes=0, body_bytes=COUNT_BYTES + self._layout.float32_bytes(rank))
        update = received(messages[:-1], sizes=sizes)
        if update.head.attempt != self._attempt:
            raise ProtocolError(f"an update is not for round {self._attempt.round_number}")
        body = update.body
        self._verify(decode_acknowledge(messages[-1]).header, body, member=member)
        samples = int.from_bytes(body[:COUNT_BYTES], "little")
        own = decode_parts(body[COUNT_BYTES:], self._layout, rank)
        for total, part in zip(self._sums, own, strict=True):
            # What a smaller rank does not have counts as zero.
            total[: part.shape[0], : part.shape[1]] += np.float32(samples) * part
        self._samples[member] = samples

    def mean(self) -> Parts:
        """The weighted mean at the largest rank.

        Raises:
            ProtocolError: if somebody has not contributed.
        """
        if len(self._samples) != len(self._ranks):
            raise ProtocolError("the mean of a part of the cohort was asked for")
        samples = np.float32(sum(self._samples.values()))
        return [total / samples for total in self._sums]

    def messages_for(self, mean: Parts, *, member: str) -> list[bytes]:
        """The messages that bring one member the mean, cut to its rank."""
        cut = [
            part[:rows, :columns]
            for part, (rows, columns) in zip(mean, shapes(self._layout, self._ranks[member]), strict=True)
        ]
        body = b"".join(part.astype("<f4").tobytes() for part in cut)
        return list(body_messages(body))

    def _verify(self, signed: Signed[ContributionHeader] | None, body: bytes, *, member: str) -> None:
        number = self._attempt.round_number
        if signed is None or (signed.body.signer, signed.body.attempt) != (member, self._attempt):
            raise AuthenticationError(f"an update is not {member}'s for round {number}")
        if member in self._samples:
            raise ProtocolError(f"{member} contributed to round {number} already")
        signed.verify(self._public_keys[member])
        if hashlib.sha256(body).digest() != signed.body.body_digest:
            raise AuthenticationError(f"{member}'s numbers are not those it signed")


def _shapes_of(tensor: TensorSpec, rank: int) -> list[tuple[int, int]]:
    if tensor.kind is TensorKind.HEAD:
        return [(tensor.rows, tensor.columns)]
    return [(rank, tensor.columns), (tensor.rows, rank)]
