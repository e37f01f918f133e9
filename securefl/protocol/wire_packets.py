"""Packets to one member as a stream: parts of some senders each, in the cohort's order.

The rule kept here: as in every ``wire`` module, what a reader returns is complete and within its limits, and anything
else raised ``WireError``.

Reference: ``protos/SPEC.md``, "PacketsPart".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from securefl.config.cohort import MAX_COHORT
from securefl.errors import WireError
from securefl.protocol import wire_fields as fields
from securefl.protocol import wire_signed as signed
from securefl.protocol.calls import Packets
from securefl.v3 import aggregator_pb2 as pb

PACKETS_PER_PART: Final = 200
"""Their longest ones fit into a message of less than ``CHUNK_BYTES``."""


def encode_packets(packets: Packets) -> bytes:
    """The bytes of one ``PacketsPart``."""
    listed = [
        pb.Packet(sender=sender, sealed=sealed, body_digest=digest)
        for sender, sealed, digest in packets.packets
    ]
    return fields.to_bytes(pb.PacketsPart(attempt=signed.write_attempt(packets.attempt), packets=listed))


def decode_packets(data: bytes) -> Packets:
    """The inverse of ``encode_packets``: senders ascend.

    Raises:
        WireError: if the bytes are no such message or break a limit.
    """
    message = fields.parsed(pb.PacketsPart, data)
    fields.count(message.packets, at_least=0, what="list of packets")
    fields.ascending((each.sender for each in message.packets), "list of senders")
    return Packets(signed.read_attempt(message.attempt), tuple(map(_read_packet, message.packets)))


def packets_messages(packets: Packets) -> Iterator[bytes]:
    """The messages of all packets to one member; one where there are none."""
    for start in range(0, max(1, len(packets.packets)), PACKETS_PER_PART):
        some = packets.packets[start : start + PACKETS_PER_PART]
        yield encode_packets(Packets(packets.attempt, some))


class PacketsReader:
    """Takes the messages one by one."""

    def __init__(self) -> None:
        self._packets: Packets | None = None

    def receive(self, message: bytes) -> None:
        """Take one more message.

        Raises:
            WireError: if it is malformed, of another attempt, or its senders do not ascend.
        """
        more = decode_packets(message)
        if self._packets is not None:
            more = _joined(self._packets, more)
        self._packets = more

    def finish(self) -> Packets:
        """To be called when the stream has ended.

        Raises:
            WireError: if nothing came.
        """
        if self._packets is None:
            raise WireError("the packets ended before their first part")
        return self._packets


def _joined(former: Packets, more: Packets) -> Packets:
    if more.attempt != former.attempt or not more.packets:
        raise WireError("the packets' parts do not belong together")
    listed = (*former.packets, *more.packets)
    fields.within(len(listed), 0, MAX_COHORT, "number of packets")
    fields.ascending((sender for sender, _, _ in listed), "list of senders")
    return Packets(former.attempt, listed)


def _read_packet(message: pb.Packet) -> tuple[int, bytes, bytes]:
    sealed = signed.sealed_share(message.sealed)
    return message.sender, sealed, fields.digest(message.body_digest, "body digest")
