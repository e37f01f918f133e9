"""The head of a certified sum, kept beside its bytes until every member of the roster has applied it."""

from __future__ import annotations

from dataclasses import dataclass

from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.agreement.statement import Certificate
from securefl.protocol.calls import AggregateHead, SettledAttempt


@dataclass(frozen=True, slots=True)
class SumHead:
    """The head of a certified sum, without the reveals, which come later.

    Attributes:
        cohort: Manifest and adverts.
        settled: How the earlier attempts of the round ended.
        certificate: The survivors, and t votes.
        headers: Signed headers of the survivors, in the statement's order.
        seeds: Of each survivor, in the same order.
        body_bytes: Length of the total.
        aggregate_seconds: Time that adding took.
    """

    cohort: Cohort
    settled: tuple[SettledAttempt, ...]
    certificate: Certificate
    headers: tuple[Signed[ContributionHeader], ...]
    seeds: tuple[bytes, ...]
    body_bytes: int
    aggregate_seconds: float

    def answer(self, reveals: tuple[Signed[Reveal], ...]) -> AggregateHead:
        """The head as members fetch it, with the reveals that there are by now."""
        return AggregateHead(
            cohort=self.cohort,
            settled=self.settled,
            certificate=self.certificate,
            headers=self.headers,
            seeds=self.seeds,
            reveals=reveals,
            body_bytes=self.body_bytes,
            aggregate_seconds=self.aggregate_seconds,
        )
