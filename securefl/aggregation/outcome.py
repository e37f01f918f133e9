"""Outcome of a round: who was in its cohort, whose contributions are in its sum, and what was certified of it.

The rule kept here: all that a member applies follows from an outcome and the integer sums; both are what it keeps to
rebuild its state without training again.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.protocol.calls import AggregateHead


@dataclass(frozen=True, slots=True)
class Outcome:
    """A round that has a certified sum.

    Attributes:
        round_number: The round.
        cohort: Ids of the members that could contribute, in the roster's order.
        survivors: Those whose contributions are in the sum, in the same order.
        statement_digest: Of the statement that was certified (32 bytes).
    """

    round_number: int
    cohort: tuple[str, ...]
    survivors: tuple[str, ...]
    statement_digest: bytes

    @classmethod
    def of(cls, head: AggregateHead) -> Outcome:
        """The outcome that the head of an aggregate shows; whoever calls this has verified the head."""
        statement, members = head.certificate.statement, head.cohort.members
        survivors = tuple(members[each.index] for each in statement.survivors)
        return cls(statement.attempt.round_number, members, survivors, statement.digest)
