"""The total of one round in a file, over several streams: each goes on where the one before it broke off.

The rule kept here: the file holds the beginning of one total, the one that the newest head certifies; where a round was
settled as spoiled and another total certified meanwhile, it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from securefl.errors import TransportError
from securefl.protocol.calls import AggregateHead
from securefl.protocol.wire_aggregates import AggregateReader, SizesOf


class AggregateDownload:
    """The total of one round.

    Args:
        round_number: The round.
        file: Gets the total: emptied, then written from its beginning.
        sizes_of: The lengths that an aggregate of this round has for a cohort.

    Attributes:
        offset: How much of the total is in the file.
    """

    def __init__(self, round_number: int, file: BinaryIO, sizes_of: SizesOf) -> None:
        self._round_number = round_number
        self._file = file
        self._sizes_of = sizes_of
        self._digest: bytes | None = None
        self._begin_anew()

    def take(self, messages: Iterator[bytes]) -> AggregateHead:
        """Take the messages of one stream.

        Raises:
            TransportError: if the connection broke, or the total has become another one since it last did.
            WireError: if they are not an aggregate's.
        """
        reader = AggregateReader(self._round_number, sizes_of=self._sizes_of, offset=self.offset)
        for message in messages:
            data = reader.receive(message)
            self._check_same(reader.total_digest)
            self._file.write(data)
            self.offset += len(data)
        return reader.finish()

    def _check_same(self, digest: bytes | None) -> None:
        if self._digest is not None and digest != self._digest:
            # The former total was settled as spoiled, and another one certified.
            self._begin_anew()
            self._digest = None
            raise TransportError("the total of this round has become another one")
        self._digest = digest

    def _begin_anew(self) -> None:
        self.offset = 0
        self._file.seek(0)
        self._file.truncate()
