from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.ledger.budget_events import BudgetOpened, ChargeContributed, ChargeReserved, parse_budget_event
from securefl.ledger.events import (
    AggregateApplied,
    BudgetAnchored,
    Event,
    RoundContributed,
    RoundReserved,
    RoundSpoiled,
    RoundVoided,
    RunFinished,
    RunStarted,
    event_fields,
    parse_event,
)

digests = st.binary(min_size=32, max_size=32)
counts = st.integers(0, 2**63)
any_event = st.one_of(
    st.builds(RunStarted, st.text(max_size=40), digests, st.text(max_size=10), st.text(max_size=10)),
    st.builds(RoundReserved, counts, digests, counts),
    st.builds(RoundContributed, counts, digests, counts),
    st.builds(
        BudgetAnchored, round_number=counts, attempt=counts, ledger_key=digests, sequence=counts, head=digests
    ),
    st.builds(RoundVoided, counts, counts),
    st.builds(RoundSpoiled, counts, counts),
    st.builds(AggregateApplied, counts, digests, counts, counts),
    st.builds(RunFinished, counts),
)


@given(event=any_event)
def test_an_event_survives_its_fields(event: Event) -> None:
    assert parse_event(event.name, event_fields(event)) == event


@given(event=any_event, data=st.data())
def test_a_missing_field_is_refused(event: Event, data: st.DataObject) -> None:
    fields = event_fields(event)
    del fields[data.draw(st.sampled_from(sorted(fields)))]
    with pytest.raises(ValueError, match="is no"):
        parse_event(event.name, fields)


@pytest.mark.parametrize("value", [None, True, -1, 1.0, "1", [], {}])
def test_a_count_of_another_kind_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="rounds is no count"):
        parse_event("run-finished", {"rounds": value})


def test_the_digest_of_the_opened_integers_has_the_name_that_results_give_it() -> None:
    fields = event_fields(AggregateApplied(3, b"a" * 32))
    assert fields == {"round_number": 3, "integers_sha256": "61" * 32, "attempt": 1, "included": 1}


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(ValueError, match="does not know"):
        parse_event("something-else", {})


salts = digests
any_budget_event = st.one_of(
    st.builds(
        BudgetOpened, client=st.text(max_size=40), data_fingerprint=digests, ledger_key=digests, salt=salts
    ),
    st.builds(
        ChargeReserved,
        federation_digest=digests,
        round_number=st.integers(-5, 10_000),
        attempt=counts,
        release=st.text(max_size=200),
        salt=salts,
    ),
    st.builds(ChargeContributed, reservation=counts, body_digest=digests, salt=salts),
)


@given(event=any_budget_event)
def test_an_event_of_a_budget_survives_its_fields(event: Event) -> None:
    assert parse_event(event.name, event_fields(event)) == event


@given(event=any_budget_event, data=st.data())
def test_a_missing_field_of_a_budgets_event_is_refused(event: Event, data: st.DataObject) -> None:
    fields = event_fields(event)
    del fields[data.draw(st.sampled_from(sorted(fields)))]
    with pytest.raises(ValueError, match="is no"):
        parse_event(event.name, fields)


def test_no_event_takes_a_charge_back() -> None:
    fields = {"reservation": 1, "proof_digest": "00" * 32, "salt": "00" * 32}
    with pytest.raises(ValueError, match="this version does not know"):
        parse_budget_event("charge-refunded", fields)
