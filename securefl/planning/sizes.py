"""Traffic of a round, to the byte: values, ciphertexts, and messages with their framing.

The rule kept here: a size is the length of what ``protocol.streams`` would send, computed from messages that
``protocol.wire_parts`` encoded; no length of a message is written down here.

Terms: *up* is what a client sends of a round, *down* what it fetches: the bytes of the messages, inside TLS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from securefl.config.payload import PayloadName, payload_named
from securefl.crypto.windows import windows
from securefl.errors import CapacityError
from securefl.protocol import wire_parts
from securefl.protocol.federation import Federation
from securefl.protocol.messages import (
    CHUNK_BYTES,
    DIGEST_BYTES,
    SIGNATURE_BYTES,
    ContributionHeader,
    SignedHeader,
)
from securefl.protocol.sections import Section, StreamSizes

SOME_SECONDS = 1.0
"""Any duration that is not 0: protobuf leaves zeros out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSizes:
    """Sizes of one round.

    Attributes:
        round_number: Its number.
        values: D, the integers of one contribution, the client's weight and its scores included.
        weights: How many of them are weights.
        sections: What a contribution consists of.
        up: Bytes that each client sends; they differ by the length of its name.
        down: Bytes that every client fetches.
    """

    round_number: int
    values: int
    weights: int
    sections: tuple[Section, ...]
    up: Mapping[str, int]
    down: int

    @property
    def ciphertexts(self) -> int:
        """C, the ciphertexts of one contribution."""
        return sum(section.ciphertexts for section in self.sections)

    @property
    def largest_up(self) -> int:
        """Bytes that the client with the longest name sends."""
        return max(self.up.values())


def sizes_of(federation: Federation, number: int) -> RoundSizes:
    """Sizes of round ``number`` of a federation.

    Raises:
        CapacityError: if a contribution would be longer than one stream carries.
    """
    sections = federation.sections(number)
    _check_stream(sections, federation)
    headers = {member: _blank_header(member, number) for member in federation.cohort}
    return RoundSizes(
        round_number=number,
        values=federation.kind_of(number).total,
        weights=federation.kind_of(number).weights,
        sections=sections,
        up={member: _contribution_bytes(header, sections) for member, header in headers.items()},
        down=_aggregate_bytes(number, tuple(headers.values()), sections),
    )


def with_payload(federation: Federation, payload: PayloadName) -> Federation:
    """The same federation with another payload; keys of the other one do not go with it."""
    terms = federation.terms
    if payload == terms.payload.name:
        return federation
    return replace(federation, terms=terms.model_copy(update={"payload": payload_named(payload)}))


def _contribution_bytes(signed: SignedHeader, sections: tuple[Section, ...]) -> int:
    sizes = StreamSizes.of_contribution(sections)

    def body(data: bytes) -> bytes:
        return wire_parts.encode_contribution_part(wire_parts.BodyChunk(data))

    def seeds(data: bytes) -> bytes:
        return wire_parts.encode_contribution_part(wire_parts.SeedsChunk(data))

    return (
        len(
            wire_parts.encode_contribution_part(
                wire_parts.ContributionHead(signed.header.round_number, sizes)
            )
        )
        # A client sends window by window, as they are encrypted.
        + sum(_chunked(size, body) for section in sections for size in _windows(section))
        + _chunked(sizes.seeds_bytes, seeds)
        + len(wire_parts.encode_contribution_part(signed))
    )


def _aggregate_bytes(number: int, headers: tuple[SignedHeader, ...], sections: tuple[Section, ...]) -> int:
    sizes = StreamSizes.of_aggregate(sections)
    head = wire_parts.AggregateHead(
        round_number=number,
        contributors=len(headers),
        seeds_bytes=sizes.seeds_bytes,
        body_bytes=sizes.body_bytes,
        aggregate_seconds=SOME_SECONDS,
    )

    def body(data: bytes) -> bytes:
        return wire_parts.encode_aggregate_part(wire_parts.BodyChunk(data))

    seeds = _chunked(
        sizes.seeds_bytes, lambda data: wire_parts.encode_aggregate_part(wire_parts.SeedsChunk(data))
    )
    return (
        len(wire_parts.encode_aggregate_part(head))
        + sum(len(wire_parts.encode_aggregate_part(header)) + seeds for header in headers)
        + _chunked(sizes.body_bytes, body)
    )


def _windows(section: Section) -> Iterator[int]:
    """Bytes of each of a contribution's windows."""
    return (section.form.upload_bytes(window.count) for window in windows(section.ciphertexts))


def _chunked(total: int, encode: Callable[[bytes], bytes]) -> int:
    """Bytes of the messages that carry so many, cut as ``streams.chunks`` cuts them."""
    whole, rest = divmod(total, CHUNK_BYTES)
    size = whole * len(encode(bytes(CHUNK_BYTES))) if whole else 0
    return size + (len(encode(bytes(rest))) if rest else 0)


def _blank_header(member: str, number: int) -> SignedHeader:
    """A header with zeros for everything whose length alone matters."""
    digest = bytes(DIGEST_BYTES)
    header = ContributionHeader(
        member=member, round_number=number, manifest_digest=digest, seeds_digest=digest, body_digest=digest
    )
    return SignedHeader(header, bytes(SIGNATURE_BYTES))


def _check_stream(sections: tuple[Section, ...], federation: Federation) -> None:
    size = StreamSizes.of_aggregate(sections).body_bytes
    if size > wire_parts.MAX_STREAM_BYTES:
        raise CapacityError(
            f"the payload '{federation.terms.payload.name}' moves {size} bytes a round, more than one stream carries",
            where="payload.name",
            hint="'sketch', 'basis', 'state', 'core' and 'factors' move less, and so do fewer lora.target_modules",
        )
