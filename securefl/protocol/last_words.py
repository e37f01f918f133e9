"""Sentences that the others are told of a member that cannot go on: a fixed one for each kind of error.

The rule kept here: nothing of an error travels but its kind. Its own sentence may name paths, values or texts of its
member, so it stays with that member; what goes over the wire is a sentence of the table below, and a server passes on
nothing else, whoever sends it.

    >>> from securefl.errors import DataError
    >>> sentence_for(DataError("line 7 of /ada/rows.csv has no label"))
    'a file of its data cannot be used; its operator sees the details'
    >>> passed_on("the password is swordfish")
    'it gave no reason that this version knows'
"""

from __future__ import annotations

from typing import Final

from securefl.errors import (
    AuthenticationError,
    BudgetError,
    CapacityError,
    ConfigError,
    DataError,
    DiskError,
    ForgeryError,
    IdentityError,
    ModelError,
    ProtocolError,
    SecureFLError,
    StateError,
    TrainingError,
    TransportError,
    WireError,
)

STOPPED: Final = "it was stopped by its operator"
OUT_OF_MEMORY: Final = "its machine has too little memory"
UNEXPECTED: Final = "it stopped on an error that nobody expected; its operator sees the details"
UNKNOWN: Final = "it gave no reason that this version knows"
"""The sentence that is passed on instead of words that are none of the others."""
_OF_KIND: Final[dict[type[SecureFLError], str]] = {
    ConfigError: "something in its own settings is wrong; its operator sees the details",
    DataError: "a file of its data cannot be used; its operator sees the details",
    ModelError: "its base model or its own learner cannot be used; its operator sees the details",
    IdentityError: "a key, a certificate or its folder cannot be used; its operator sees the details",
    CapacityError: "its numbers would not fit the sum",
    WireError: "what it received was malformed",
    ProtocolError: "what it received was out of order",
    AuthenticationError: "a signature or a digest that it received does not hold",
    ForgeryError: "the sum that it received is not the sum of what was sent; the keys must be renewed",
    TransportError: "its connection to the server failed",
    TrainingError: "its training went wrong; its operator sees the details",
    BudgetError: "its privacy budget allows no further round on its data",
    DiskError: "its disk is full or cannot be written to",
    StateError: "a file of its run does not hold together; its operator sees the details",
}
SENTENCES: Final = frozenset({STOPPED, OUT_OF_MEMORY, UNEXPECTED, *_OF_KIND.values()})
"""Everything that a member may have the others read."""


def sentence_for(error: BaseException) -> str:
    """The sentence for what ended a member.

    Guarantee: the result is one of ``SENTENCES``; it depends on the error's class alone, on nothing that it carries.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return STOPPED
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    known = [_OF_KIND[kind] for kind in type(error).__mro__ if kind in _OF_KIND]
    return known[0] if known else UNEXPECTED


def passed_on(words: str) -> str:
    """Words of a member that a server passes on: the words themselves only where they are in the table."""
    return words if words in SENTENCES else UNKNOWN
