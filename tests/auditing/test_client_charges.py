"""Charges of unit ``client`` that were written anew and signed by their owner: each field, and each number of a file.

A member holds the key of its own budget, so nothing here breaks a signature. What it cannot choose is the event: every
number of it follows from the federation's file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest

pytest.importorskip("dp_accounting")

from support.private_accounts import (
    ROUNDS,
    Accounts,
    client_federation,
    pinned_otherwise,
    release_of,
    started,
)

from securefl.privacy.events import (
    DistributedGaussian,
    DistributedSkellam,
    NonPrivate,
    SampledGaussian,
    parse_event,
)
from securefl.protocol.federation import Federation
from securefl.protocol.terms import PinnedClientPrivacy

pytestmark = pytest.mark.usefixtures("quick")

Mechanism = Literal["discrete-gaussian", "skellam"]
MECHANISMS: tuple[Mechanism, ...] = ("discrete-gaussian", "skellam")
EVERY = range(1, ROUNDS + 1)
MEMBER = "client-2"


@cache
def federation_of(mechanism: Mechanism = "discrete-gaussian", members: int = 3) -> Federation:
    return client_federation(mechanism=mechanism, members=members, max_colluders=1)


def event_of(federation: Federation) -> DistributedGaussian | DistributedSkellam:
    event = parse_event(release_of(federation))
    assert isinstance(event, DistributedGaussian | DistributedSkellam)
    return event


def paid(federation: Federation, folder: Path, *, but: str = "", rounds: Iterable[int] = EVERY) -> Accounts:
    """A run whose members, but for one, have charged these rounds as the file says."""
    accounts = started(federation, folder / "budgets")
    for member in federation.cohort:
        if member != but:
            for number in rounds:
                accounts.charge(member, [number], release_of(federation, number))
    return accounts


def findings(accounts: Accounts) -> list[str]:
    return [str(found) for found in accounts.audited(accounts.budgets.parent / "clients").findings]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_charges_that_the_file_makes_pass(tmp_path: Path, mechanism: Mechanism) -> None:
    assert findings(paid(federation_of(mechanism), tmp_path)) == []


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("field", "by"),
    [
        ("dimension", Fraction(1, 2)),
        ("dimension", Fraction(2)),
        ("squared_sensitivity", Fraction(1, 4)),
        ("squared_sensitivity", Fraction(2)),
        ("share_variance", Fraction(4)),
        ("share_variance", Fraction(17, 16)),
        ("share_variance", Fraction(1, 4)),
        ("honest", Fraction(2)),
        ("honest", Fraction(1, 2)),
    ],
)
def test_a_field_of_an_event_that_its_owner_edited_and_signed_is_named(
    tmp_path: Path, mechanism: Mechanism, field: str, by: Fraction
) -> None:
    """Sensitivity, dimension, variance of the noise and honest survivors, in both directions."""
    event = event_of(federation_of(mechanism))
    value = getattr(event, field) * by
    edited = replace(event, **{field: value if field == "share_variance" else max(1, int(value))})
    assert edited != event
    accounts = paid(federation_of(mechanism), tmp_path, but=MEMBER)
    accounts.charge(MEMBER, EVERY, edited.text)
    found = findings(accounts)
    assert all(line.startswith(f"{MEMBER}: ") for line in found)
    assert sum("was charged for another release in round" in line for line in found) == ROUNDS


@pytest.mark.parametrize(
    "release",
    [
        NonPrivate().text,
        SampledGaussian(noise_multiplier=50.0, sampling_probability=0.01, steps=1).text,
        SampledGaussian(noise_multiplier=50.0, sampling_probability=1.0, steps=1).text,
    ],
)
def test_a_charge_that_claims_a_sample_or_no_noise_is_named(tmp_path: Path, release: str) -> None:
    accounts = paid(federation_of(), tmp_path, but=MEMBER)
    accounts.charge(MEMBER, EVERY, release)
    found = findings(accounts)
    assert all(line.startswith(f"{MEMBER}: ") for line in found)
    assert any('which is none of unit "client"' in line for line in found)
    assert sum("was charged for another release in round" in line for line in found) == ROUNDS


def test_the_other_mechanism_with_the_same_numbers_is_named(tmp_path: Path) -> None:
    event = event_of(federation_of("skellam"))
    other = DistributedGaussian(
        dimension=event.dimension,
        squared_sensitivity=event.squared_sensitivity,
        share_variance=event.share_variance,
        honest=event.honest,
    )
    accounts = paid(federation_of("skellam"), tmp_path, but=MEMBER)
    accounts.charge(MEMBER, EVERY, other.text)
    assert sum("was charged for another release in round" in line for line in findings(accounts)) == ROUNDS


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ((1, 3), "it contributed to round 2, and its budget was not charged for it"),
        ((1, 2, 3, 4), "its budget was charged for round 4, which this federation does not have"),
        ((0, 1, 2, 3), "its budget was charged for round 0, which this federation does not have"),
        ((), "it contributed to 3 rounds, and no ledger of its budgets has a charge of this federation"),
    ],
)
def test_a_round_too_few_or_too_many_is_named(tmp_path: Path, rounds: tuple[int, ...], said: str) -> None:
    accounts = paid(federation_of(), tmp_path, but=MEMBER)
    accounts.charge(MEMBER, rounds, release_of(federation_of()))
    found = findings(accounts)
    assert all(line.startswith(f"{MEMBER}: ") for line in found)
    assert any(said in line for line in found)


def test_a_round_that_is_charged_to_another_federation_is_named(tmp_path: Path) -> None:
    accounts = paid(federation_of(), tmp_path, but=MEMBER)
    accounts.charge(MEMBER, (1, 3), release_of(federation_of()))
    accounts.charge(MEMBER, (2,), release_of(federation_of()), digest=b"other".ljust(32))
    assert any(
        "it contributed to round 2, and its budget was not charged" in line for line in findings(accounts)
    )


def test_a_second_charge_of_every_round_costs_more_than_was_promised(tmp_path: Path) -> None:
    accounts = paid(federation_of(), tmp_path)
    accounts.charge(MEMBER, EVERY, release_of(federation_of()), attempt=2)
    assert any("its charges cost epsilon" in line for line in findings(accounts))


@pytest.mark.parametrize(("unit", "epsilon"), [("example", "8.0"), ("client", "80.0"), ("none", "infinity")])
def test_a_ledger_of_the_run_that_names_another_promise_is_named(
    tmp_path: Path, unit: str, epsilon: str
) -> None:
    accounts = paid(federation_of(), tmp_path)
    accounts.starts[MEMBER] = (unit, epsilon)
    (found,) = findings(accounts)
    assert found.startswith(f'{MEMBER}: its ledger began with unit "{unit}" and epsilon {epsilon}, and')


def pinned(federation: Federation) -> PinnedClientPrivacy:
    privacy = federation.terms.privacy
    assert isinstance(privacy, PinnedClientPrivacy)
    return privacy


def other_file(federation: Federation, key: str) -> Federation:
    """A file with one number that makes less noise of the same promise, or a stronger promise of the same noise."""
    privacy = pinned(federation)
    values: dict[str, Any] = {
        "honest": privacy.honest + 1,
        "share_variance_16ths": privacy.share_variance_16ths // 2,
        "clip_steps": privacy.clip_steps * 2,
        "dimension": privacy.dimension - 1,
        "target_epsilon": privacy.target_epsilon / 2,
        "delta": privacy.delta / 1000,
    }
    return pinned_otherwise(federation, **{key: values[key]})


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("honest", "the noise counts on 3 honest survivors, and the roster is sure of 2"),
        ("share_variance_16ths", "rounds cost epsilon"),
        ("clip_steps", "rounds cost epsilon"),
        ("dimension", "values, and a round sums"),
        ("target_epsilon", "rounds cost epsilon"),
        ("delta", "rounds cost epsilon"),
    ],
)
def test_a_file_that_all_members_follow_and_that_keeps_no_promise_is_named(
    tmp_path: Path, mechanism: Mechanism, key: str, said: str
) -> None:
    """Members train and charge what the edited file makes, so that ledgers and file agree."""
    found = findings(paid(other_file(federation_of(mechanism), key), tmp_path))
    assert found[0].startswith("the federation's rounds do not keep its promise to clients: ")
    assert said in found[0]


def test_more_rounds_than_the_noise_is_for_are_named(tmp_path: Path) -> None:
    federation = federation_of()
    rounds = federation.terms.federation.model_copy(update={"rounds": 2 * ROUNDS})
    longer = replace(federation, terms=federation.terms.model_copy(update={"federation": rounds}))
    found = findings(paid(longer, tmp_path, rounds=range(1, 2 * ROUNDS + 1)))
    assert "6 rounds cost epsilon" in found[0]
    assert sum("its charges cost epsilon" in line for line in found[1:]) == len(federation.cohort)


@pytest.mark.parametrize(
    ("section", "key", "value"), [("federation", "min_clients", 3), ("encryption", "max_colluders", 3)]
)
def test_a_file_that_needs_fewer_members_or_bears_more_colluders_is_named(
    tmp_path: Path, section: str, key: str, value: int
) -> None:
    """Shares were sized for the four honest survivors of six members with one colluder."""
    federation = federation_of(members=6)
    assert pinned(federation).honest == 4
    changed = getattr(federation.terms, section).model_copy(update={key: value})
    other = replace(federation, terms=federation.terms.model_copy(update={section: changed}))
    (found,) = findings(paid(other, tmp_path))
    assert "counts on 4 honest survivors, and the roster is sure of 2" in found


def test_a_roster_of_fewer_members_is_named(tmp_path: Path) -> None:
    six, three = federation_of(members=6), federation_of()
    fewer = replace(three, terms=three.terms.model_copy(update={"privacy": six.terms.privacy}))
    (found,) = findings(paid(fewer, tmp_path))
    assert "counts on 4 honest survivors, and the roster is sure of 2" in found
