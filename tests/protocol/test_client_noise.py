"""The noise of unit ``client`` as a federation file pins it, and what a member asks of it before it takes part."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.federations import TestFederation, make_federation

pytest.importorskip("dp_accounting")

from securefl.config.aggregation import AggregationSection
from securefl.config.privacy import ClientPrivacySection
from securefl.crypto.thresholds import threshold
from securefl.errors import ConfigError, IdentityError, ProtocolError
from securefl.privacy.accounting.accountants import accountant_named
from securefl.protocol.client_noise import (
    check_client_promise,
    client_plan,
    round_event,
    round_noise,
)
from securefl.protocol.federation import Federation
from securefl.protocol.privacy_promise import require_promise
from securefl.protocol.terms import PinnedClientPrivacy

EQUAL = AggregationSection(weights="equal")
RANKS = (4,) * 8


def made(
    *, ranks: tuple[int, ...] = RANKS, promise: dict[str, Any] | None = None, **changes: Any
) -> TestFederation:
    section = ClientPrivacySection.model_validate(
        {"unit": "client", "target_epsilon": 8, "force": True, "accountant": "rdp"} | (promise or {})
    )
    keys: dict[str, Any] = {"payload": "core", "scheme": "kahe", "rounds": 3, "aggregation": EQUAL}
    return make_federation(ranks, promise=section, **keys | changes)


def pinned(federation: Federation) -> PinnedClientPrivacy:
    privacy = federation.terms.privacy
    assert isinstance(privacy, PinnedClientPrivacy)
    return privacy


def altered(federation: Federation, **keys: Any) -> Federation:
    """The file of a lead that pins other noise."""
    privacy = pinned(federation).model_copy(update=keys)
    return replace(federation, terms=federation.terms.model_copy(update={"privacy": privacy}))


def refused(federation: Federation) -> str:
    with pytest.raises(IdentityError) as caught:
        require_promise(federation, where="federation.json")
    return str(caught.value)


@pytest.mark.parametrize("mechanism", ["discrete-gaussian", "skellam"])
@pytest.mark.parametrize("payload", ["core", "basis"])
def test_a_pinned_federation_keeps_its_promise_and_is_read_back_as_it_was(
    mechanism: str, payload: str
) -> None:
    federation = made(promise={"mechanism": mechanism}, payload=payload).federation
    require_promise(federation, where="")
    again = Federation.from_json_text(federation.to_json_text(), where="")
    assert again == federation
    assert again.digest == federation.digest
    plan = client_plan(again)
    assert plan is not None
    assert plan.epsilon <= 8
    assert plan.event.name == f"distributed-{mechanism}"


def test_shares_are_sized_for_the_honest_survivors_of_the_smallest_cohort() -> None:
    """For the threshold of the whole roster they would be too small as soon as members are missing."""
    federation = made(ranks=(4,) * 16, min_clients=12).federation
    constants = federation.constants
    assert constants.min_honest == threshold(12) - constants.max_colluders
    assert constants.min_honest < threshold(16) - constants.max_colluders < 16
    assert pinned(federation).honest == constants.min_honest


@pytest.mark.parametrize("counted", ["threshold", "roster"])
def test_shares_that_are_sized_for_more_than_that_are_refused(counted: str) -> None:
    federation = made(ranks=(4,) * 16, min_clients=12).federation
    honest = {"threshold": threshold(16), "roster": 16}[counted]
    said = refused(altered(federation, honest=honest))
    assert f"counts on {honest} honest survivors" in said


@pytest.mark.parametrize("share", [2, 4, 100])
def test_noise_that_is_smaller_than_the_target_needs_is_refused(share: int) -> None:
    federation = made().federation
    smaller = max(64, pinned(federation).share_variance_16ths // share)
    said = refused(altered(federation, share_variance_16ths=smaller))
    assert "'privacy.target_epsilon' is 8" in said


def test_a_longer_run_under_the_same_noise_is_refused() -> None:
    federation = made().federation
    longer = federation.terms.federation.model_copy(update={"rounds": 30})
    terms = federation.terms.model_copy(update={"federation": longer})
    assert "30 rounds cost epsilon" in refused(replace(federation, terms=terms))


def test_noise_for_fewer_values_than_a_round_sums_is_refused() -> None:
    federation = made(payload="basis").federation
    assert "the noise is for 100 values" in refused(altered(federation, dimension=100))


def test_a_clip_that_the_grid_has_no_room_for_is_refused() -> None:
    federation = made().federation
    wide = altered(federation, clip_steps=30_000, share_variance_16ths=16 * 9000**2)
    assert "no room in the grid's integers" in refused(wide)


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregation": AggregationSection(weights="capped")},
        {"training": {"early_stopping_rounds": 1}},
    ],
    ids=["weights", "losses"],
)
def test_a_file_that_releases_something_beside_the_noise_is_refused(changes: dict[str, Any]) -> None:
    """Such a file passed no check of ours: its lead edited it."""
    federation = made().federation
    update = {
        name: value
        if not isinstance(value, dict)
        else getattr(federation.terms, name).model_copy(update=value)
        for name, value in changes.items()
    }
    federation = replace(federation, terms=federation.terms.model_copy(update=update))
    assert "without noise" in refused(federation)


READABLE = pytest.mark.parametrize("scheme", ["bfv", "none"])


@READABLE
@pytest.mark.parametrize("mechanism", ["discrete-gaussian", "skellam"])
def test_a_single_contribution_that_can_be_read_costs_what_was_promised(scheme: str, mechanism: str) -> None:
    """The server reads it under ``none``, and under ``bfv`` with any member: one share is all the noise in it."""
    federation = made(ranks=(4,) * 24, promise={"mechanism": mechanism}, scheme=scheme).federation
    require_promise(federation, where="")
    events = [event for number in (1, 2, 3) if (event := round_event(federation, number)) is not None]
    alone = [replace(event, honest=1) for event in events]
    assert len(alone) == 3
    assert accountant_named("rdp").epsilon(alone, delta=pinned(federation).delta) <= 8
    assert alone == events


@READABLE
def test_the_plan_and_the_file_of_such_a_federation_count_one_share(scheme: str) -> None:
    federation = made(scheme=scheme).federation
    plan = client_plan(federation)
    assert plan is not None
    assert pinned(federation).honest == 1 < federation.constants.min_honest
    assert plan.event.text.endswith(" honest=1")
    assert Federation.from_json_text(federation.to_json_text(), where="") == federation


@READABLE
@pytest.mark.parametrize("force", [True, False])
def test_noise_for_sums_is_refused_by_each_member_where_single_contributions_can_be_read(
    scheme: str, force: bool
) -> None:
    """``force`` speaks of the cosine alone; see the case below."""
    federation = altered(made().federation, force=force)
    encryption = federation.terms.encryption.model_copy(update={"scheme": scheme})
    opened = replace(federation, terms=federation.terms.model_copy(update={"encryption": encryption}))
    said = refused(opened)
    assert f"'encryption.scheme' = \"{scheme}\" single contributions" in said
    assert f"counts on {pinned(federation).honest} honest survivors" in said


@READABLE
def test_two_shares_are_one_too_many_where_single_contributions_can_be_read(scheme: str) -> None:
    assert "counts on 2 honest survivors" in refused(altered(made(scheme=scheme).federation, honest=2))


def test_noise_that_drowns_the_signal_is_refused_unless_it_is_forced() -> None:
    federation = made().federation
    check_client_promise(federation)
    with pytest.raises(ConfigError, match="a predicted cosine of"):
        check_client_promise(altered(federation, force=False))


def test_a_delta_that_gives_a_client_away_is_refused() -> None:
    assert "given away whole" in refused(altered(made().federation, delta=0.2))


def test_a_federation_without_such_a_promise_has_no_noise() -> None:
    federation = make_federation(scheme="none").federation
    check_client_promise(federation)
    assert client_plan(federation) is None
    assert round_noise(federation, 1) is None
    assert round_event(federation, 1) is None


def test_the_events_of_all_rounds_cost_no_more_than_the_plan() -> None:
    federation = made(payload="basis").federation
    events = [round_event(federation, number) for number in (1, 2, 3)]
    plan = client_plan(federation)
    assert plan is not None
    epsilon = accountant_named("rdp").epsilon([each for each in events if each is not None], delta=plan.delta)
    assert epsilon <= plan.epsilon <= 8


def test_survivors_with_fewer_honest_shares_than_were_counted_on_are_refused() -> None:
    federation = made(ranks=(4,) * 16, min_clients=12).federation
    rule, constants = federation.owner_rule(1), federation.constants
    least = constants.min_honest + constants.max_colluders
    rule.check(federation.cohort[:least], cohort=federation.cohort)
    with pytest.raises(ProtocolError, match=f"the noise of {least - 1} survivors would be too small"):
        rule.check(federation.cohort[: least - 1], cohort=federation.cohort)


def test_under_noise_no_value_is_left_out_of_a_sum() -> None:
    """All members are in every coordinate; owners only say what means divide by."""
    ranks = (2, 2, 4, 4, 8, 8, 8, 8)
    rule = made(ranks=ranks).federation.owner_rule(1)
    plain = make_federation(ranks, payload="core", scheme="kahe", aggregation=EQUAL).federation.owner_rule(1)
    cohort = tuple(rule.ranks)[:-1]
    assert False in plain.summed(cohort).partitions
    assert all(rule.summed(cohort).partitions)
    owners = rule.contributors(cohort, cohort=cohort).partitions
    assert owners == tuple(part.owners_among(ranks[:-1]) for part in rule.partitions)
    assert owners[0] == 7 > owners[-1]
