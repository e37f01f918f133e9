"""Stages of a round, and the clock that they are timed by, which comes in from outside.

The rule kept here: the way of an update reads no clock. It tells one when a stage begins and ends; a client's clock
adds up seconds for its result, a benchmark's takes processor time and memory as well, and the silent one does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Stage(Enum):
    """Stages of a round, in their order."""

    TRAIN = "train"
    """From the start to the update, and the sensitivity scores where the round asks for them."""
    ENCODE = "encode"
    """Frozen factors; then payload, weight and grid."""
    ENCRYPT = "encrypt"
    """Packing, tags, encryption, MACs, wire form and signature."""
    UPLOAD = "upload"
    """A contribution's messages, made and sent."""
    ADD = "add"
    """The server's: a contribution's messages read, checked and added."""
    PUBLISH = "publish"
    """The server's: the sum, and the messages of it."""
    DOWNLOAD = "download"
    """An aggregate's messages, read."""
    DECRYPT = "decrypt"
    """Verification, decryption, tags, unpacking."""
    REDISTRIBUTE = "redistribute"
    """From the sums to the adapter that the next round starts from."""
    EVALUATE = "evaluate"
    """The new adapter on validation rows."""


class StageClock(Protocol):
    """A stopwatch of one role: told what it does, and in which round."""

    def stage(self, stage: Stage, round_number: int) -> AbstractContextManager[None]:
        """Time a ``with`` block as this stage; what other stages take inside it is theirs."""
        ...

    def through(self, stage: Stage, round_number: int, source: Iterable[Item]) -> Iterator[Item]:
        """Hand on the items of ``source``; the making of each counts as this stage, not what is done with it."""
        ...


class SilentClock:
    """A ``StageClock`` that times nothing."""

    def stage(self, stage: Stage, round_number: int) -> AbstractContextManager[None]:
        """Do nothing around the ``with`` block."""
        return nullcontext()

    def through(self, stage: Stage, round_number: int, source: Iterable[Item]) -> Iterator[Item]:
        """Give the items."""
        return iter(source)


SILENT = SilentClock()
