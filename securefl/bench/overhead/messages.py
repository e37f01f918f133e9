"""A contribution as the transport's messages, there and back.

The rule kept here: what a simulation hands over as an object goes through the messages of the real transport, whatever
is in it, so that its bytes and the cost of making and reading them are counted in every variant alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from securefl.aggregation.contribution import Contribution
from securefl.protocol.messages import SignedHeader
from securefl.protocol.sections import StreamSizes
from securefl.protocol.streams import ContributionReader, contribution_messages


@dataclass(frozen=True, slots=True)
class Carried:
    """A contribution in memory, as what the transport sends (``streams.Outgoing``)."""

    contribution: Contribution

    @property
    def round_number(self) -> int:
        """Number of the round that it is for."""
        return self.contribution.signed.header.round_number

    @property
    def sizes(self) -> StreamSizes:
        """Its sizes in bytes."""
        return StreamSizes(len(self.contribution.seeds), len(self.contribution.body))

    def body(self) -> Iterator[bytes]:
        """The body, in one piece."""
        yield self.contribution.body

    def ending(self) -> tuple[bytes, SignedHeader]:
        """The seeds and the signed header."""
        return self.contribution.seeds, self.contribution.signed


def sent(contribution: Contribution) -> list[bytes]:
    """The messages of a contribution."""
    return list(contribution_messages(Carried(contribution)))


def received(messages: Sequence[bytes], *, number: int, sizes: StreamSizes) -> Contribution:
    """The contribution that a server reads from them; its signature is still to be verified.

    Raises:
        WireError: if they are malformed, or not of these sizes.
        ProtocolError: if the contribution is for another round.
    """
    reader = ContributionReader(number, sizes=sizes)
    body = b"".join(reader.receive(message) for message in messages)
    return Contribution(reader.finish(), reader.seeds, body)
