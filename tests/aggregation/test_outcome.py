"""Outcomes from the heads of aggregates."""

from __future__ import annotations

from securefl.aggregation.outcome import Outcome
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import Certificate, Survivor, Survivors
from securefl.protocol.calls import AggregateHead

MEMBERS = ("a", "b", "c", "d")


def test_an_outcome_names_the_cohort_and_the_survivors_of_the_certified_statement() -> None:
    attempt = Attempt(bytes(32), 1, -1, 3)
    manifest = Manifest(attempt, MEMBERS, bytes(32))
    adverts = (Advert(attempt, member, bytes(32), bytes(32), bytes(32)) for member in MEMBERS)
    cohort = Cohort(manifest, tuple(Signed(advert, bytes(64)) for advert in adverts))
    survivors = tuple(Survivor(index, bytes(32)) for index in (0, 2, 3))
    statement = Survivors(attempt, cohort.digest, survivors, bytes(32))
    head = AggregateHead(cohort, (), Certificate(statement, ()), (), (), (), 0, 0.0)
    assert Outcome.of(head) == Outcome(-1, MEMBERS, ("a", "c", "d"), statement.digest)
