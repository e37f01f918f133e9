"""Chain of the sums that a member has applied, and digests of its state, which members compare before every attempt.

The rule kept here: what is compared follows from integers by exact operations alone, so that members whose libraries
round differently are still in one state.

    chain_k = SHA-256(domain, chain_{k-1}, round, digest of the certified statement, SHA-256 of the integer sums)
    state   = SHA-256(domain, chain, basis): what the HMAC of an advert is over

Reference: ``protos/SPEC.md``, "The round", step 1.
"""

from __future__ import annotations

import hashlib

import numpy as np

from securefl.adapters.state import SharedState
from securefl.aggregation.contribution import integers_digest
from securefl.aggregation.grid import Integers
from securefl.aggregation.outcome import Outcome
from securefl.crypto.framing import framed

_START = b"securefl/v3/chain-start\x00"
_CHAIN = b"securefl/v3/chain\x00"
_BASIS = b"securefl/v3/basis\x00"
_STATE = b"securefl/v3/state\x00"


def chain_start(federation_digest: bytes) -> bytes:
    """The chain before the first round (32 bytes)."""
    return hashlib.sha256(_START + framed(federation_digest)).digest()


def chained(before: bytes, outcome: Outcome, sums: Integers) -> bytes:
    """The chain after a round (32 bytes): over the one before, the round, the statement and the integer sums.

    Guarantee: members whose chains are equal have applied the same integers of the same certified rounds in the same
    order, so that their states are equal as far as they follow from integers. Assumption: collision resistance of
    SHA-256.
    """
    number = _number(outcome.round_number)
    fields = framed(before, number, outcome.statement_digest, integers_digest(sums))
    return hashlib.sha256(_CHAIN + fields).digest()


def basis_digest(state: SharedState, *, round_number: int) -> bytes:
    """SHA-256 (32 bytes) of the factors that a state has learned, which a round trains against; by their bits.

    Args:
        state: The state before the round.
        round_number: The round.
    """
    factors = (
        np.ascontiguousarray(matrix, dtype="<f8").tobytes()
        for pair in state.learned.values()
        for matrix in (pair.A, pair.B)
    )
    names = (name.encode() for name in state.learned)
    return hashlib.sha256(_BASIS + framed(_number(round_number), *names, *factors)).digest()


def state_digest(chain: bytes, basis: bytes) -> bytes:
    """SHA-256 (32 bytes) of chain and basis."""
    return hashlib.sha256(_STATE + framed(chain, basis)).digest()


def _number(round_number: int) -> bytes:
    return round_number.to_bytes(8, "big", signed=True)
