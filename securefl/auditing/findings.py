"""A finding of an audit: one thing that does not hold, and whose it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold.

    Attributes:
        member: Whose record it is; empty where it is the run's.
        what: The sentence.
    """

    member: str
    what: str

    def __str__(self) -> str:
        return f"{self.member}: {self.what}" if self.member else self.what
