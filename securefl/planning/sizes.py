"""Traffic of a round, to the byte: values, ciphertexts, and messages with their framing.

The rule kept here: a size is the length of messages that the functions of the wire encoded (``round_messages``); no
length of a message is written down here.

Terms: *up* is what a client sends of a round, *down* what it gets: the bytes of all messages, inside TLS, where one
attempt is enough and everybody is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from securefl.config.payload import PayloadName, payload_named
from securefl.errors import CapacityError
from securefl.planning.round_messages import RoundMessages
from securefl.protocol.federation import Federation
from securefl.protocol.sections import Section, StreamSizes
from securefl.protocol.wire_fields import MAX_STREAM_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSizes:
    """Sizes of one round.

    Attributes:
        round_number: Its number.
        values: D, the integers of one contribution, the client's weight and its scores included.
        weights: How many of them are weights.
        sections: What a contribution consists of.
        up: Bytes that each client sends; they differ by the length of its name.
        down: Bytes that each client gets; they differ by the length of its index, which it gets no packet of.
    """

    round_number: int
    values: int
    weights: int
    sections: tuple[Section, ...]
    up: Mapping[str, int]
    down: Mapping[str, int]

    @property
    def ciphertexts(self) -> int:
        """C, the ciphertexts of one contribution."""
        return sum(section.ciphertexts for section in self.sections)

    @property
    def largest_up(self) -> int:
        """Bytes that the client with the longest name sends."""
        return max(self.up.values())

    @property
    def largest_down(self) -> int:
        """Bytes that the first client of the roster gets: nobody gets more."""
        return max(self.down.values())


def sizes_of(federation: Federation, number: int) -> RoundSizes:
    """Sizes of round ``number`` of a federation.

    Raises:
        CapacityError: if a contribution would be longer than one stream carries.
    """
    sections = federation.sections(number)
    _check_stream(sections, federation)
    messages = RoundMessages(federation, number)
    # What members send differs by the length of their names alone.
    up = {
        len(member): messages.up(member)
        for member in {len(each): each for each in federation.cohort}.values()
    }
    # What they get differs by the length of their index on the wire alone.
    places = {_index_bytes(place): place for place in range(len(federation.cohort))}
    down = {length: messages.down(federation.cohort[place]) for length, place in places.items()}
    return RoundSizes(
        round_number=number,
        values=federation.kind_of(number).total,
        weights=federation.kind_of(number).weights,
        sections=sections,
        up={member: up[len(member)] for member in federation.cohort},
        down={member: down[_index_bytes(place)] for place, member in enumerate(federation.cohort)},
    )


def _index_bytes(place: int) -> int:
    """Bytes of an index in protobuf, which writes 7 bits a byte and leaves 0 out."""
    return -(-place.bit_length() // 7)


def with_payload(federation: Federation, payload: PayloadName) -> Federation:
    """The same federation with another payload; keys of the other one do not go with it."""
    terms = federation.terms
    if payload == terms.payload.name:
        return federation
    return replace(federation, terms=terms.model_copy(update={"payload": payload_named(payload)}))


def _check_stream(sections: tuple[Section, ...], federation: Federation) -> None:
    size = StreamSizes.of_aggregate(sections).body_bytes
    if size > MAX_STREAM_BYTES:
        raise CapacityError(
            f"the payload '{federation.terms.payload.name}' moves {size} bytes a round, more than one stream carries",
            where="payload.name",
            hint="'sketch', 'basis', 'state', 'core', 'factors' and 'head-only' move less, and so do fewer "
            "lora.target_modules",
        )
