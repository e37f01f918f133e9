"""Sections of a contribution: runs of ciphertexts of one form, one after the other.

The rule kept here: the sections of a round, and so every length of its streams, follow from the federation
file and the round's number alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from securefl.crypto.wireform import WireForm


@dataclass(frozen=True, slots=True)
class Section:
    """Ciphertexts of one form.

    Attributes:
        form: What they look like on the wire.
        ciphertexts: How many.
    """

    form: WireForm
    ciphertexts: int

    @property
    def seeds_bytes(self) -> int:
        """Length of one contributor's seeds."""
        return self.form.seeds_bytes(self.ciphertexts)

    @property
    def upload_bytes(self) -> int:
        """Length of one contributor's residues and MACs."""
        return self.form.upload_bytes(self.ciphertexts)

    @property
    def aggregate_bytes(self) -> int:
        """Length of the sum's residues and MACs."""
        return self.form.aggregate_bytes(self.ciphertexts)


@dataclass(frozen=True, slots=True)
class StreamSizes:
    """Lengths that a contribution or an aggregate of one round must have.

    Attributes:
        seeds_bytes: Seeds of one contributor.
        body_bytes: Residues and MACs.
    """

    seeds_bytes: int
    body_bytes: int

    @classmethod
    def of_contribution(cls, sections: Iterable[Section]) -> StreamSizes:
        """Sizes of what a member sends."""
        listed = tuple(sections)
        return cls(
            sum(section.seeds_bytes for section in listed), sum(section.upload_bytes for section in listed)
        )

    @classmethod
    def of_aggregate(cls, sections: Iterable[Section]) -> StreamSizes:
        """Sizes of what a member receives; the seeds are those of each contributor."""
        listed = tuple(sections)
        return cls(
            sum(section.seeds_bytes for section in listed), sum(section.aggregate_bytes for section in listed)
        )
