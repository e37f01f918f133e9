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

import numpy as np
from numpy.typing import NDArray

from securefl.adapters.layout import Layout, TensorKind, TensorSpec
from securefl.adapters.update import Adapter, LoraFactors
from securefl.aggregation.contribution import Contribution
from securefl.bench.overhead.messages import received
from securefl.errors import AuthenticationError, ProtocolError, WireError
from securefl.identity.signing import SigningKey, verify
from securefl.protocol import wire_parts
from securefl.protocol.messages import ContributionHeader, Manifest, SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl.protocol.streams import chunks

COUNT_BYTES = 8
"""The sample count, in front of the numbers; little-endian, as they are."""
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


def sign(body: bytes, *, member: str, manifest: Manifest, signing_key: SigningKey) -> Contribution:
    """A member's message, signed as a contribution is signed."""
    header = ContributionHeader(
        member=member,
        round_number=manifest.round_number,
        manifest_digest=manifest.digest,
        seeds_digest=hashlib.sha256(b"").digest(),
        body_digest=hashlib.sha256(body).digest(),
    )
    return Contribution(SignedHeader(header, signing_key.sign(header.signed_bytes())), b"", body)


def read_mean(messages: Iterable[bytes]) -> bytes:
    """The bytes of a mean from its messages.

    Raises:
        WireError: if a message is none of a body.
    """
    parts = [wire_parts.decode_aggregate_part(message) for message in messages]
    if not all(isinstance(part, wire_parts.BodyChunk) for part in parts):
        raise WireError("a mean consists of its numbers alone")
    return b"".join(part.data for part in parts if isinstance(part, wire_parts.BodyChunk))


class AveragingServer:
    """The server of one round.

    Args:
        layout: The shared tensors.
        manifest: The round.
        ranks: Of every member.
        public_keys: Of every member, 32 bytes each.
    """

    def __init__(
        self,
        layout: Layout,
        manifest: Manifest,
        *,
        ranks: Mapping[str, int],
        public_keys: Mapping[str, bytes],
    ) -> None:
        self._layout = layout
        self._manifest = manifest
        self._ranks = ranks
        self._public_keys = public_keys
        self._sums: Parts = [np.zeros(shape, np.float32) for shape in shapes(layout, max(ranks.values()))]
        self._samples: dict[str, int] = {}

    def take(self, messages: Sequence[bytes], *, member: str) -> None:
        """Reads, verifies and adds one member's update.

        Raises:
            WireError: if it is not of this member's length.
            AuthenticationError: if it is not this member's, for this round.
            ProtocolError: if it has contributed already, or contributes to another round.
        """
        rank = self._ranks[member]
        sizes = StreamSizes(seeds_bytes=0, body_bytes=COUNT_BYTES + self._layout.float32_bytes(rank))
        update = received(messages, number=self._manifest.round_number, sizes=sizes)
        self._verify(update.signed, update.body, member=member)
        body = update.body
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
        return [wire_parts.encode_aggregate_part(wire_parts.BodyChunk(chunk)) for chunk in chunks(body)]

    def _verify(self, signed: SignedHeader, body: bytes, *, member: str) -> None:
        header = signed.header
        if (header.member, header.manifest_digest) != (member, self._manifest.digest):
            raise AuthenticationError(f"an update is not {member}'s for round {self._manifest.round_number}")
        if member in self._samples:
            raise ProtocolError(f"{member} contributed to round {self._manifest.round_number} already")
        verify(self._public_keys[member], signed.signature, header.signed_bytes())
        if hashlib.sha256(body).digest() != header.body_digest:
            raise AuthenticationError(f"{member}'s numbers are not those it signed")


def _shapes_of(tensor: TensorSpec, rank: int) -> list[tuple[int, int]]:
    if tensor.kind is TensorKind.HEAD:
        return [(tensor.rows, tensor.columns)]
    return [(rank, tensor.columns), (tensor.rows, rank)]
