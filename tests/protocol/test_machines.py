"""Both state machines are functions of values: whatever happens in whatever order, a state is never spoilt."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import random
from collections import Counter
from collections.abc import Callable
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.federations import make_federation
from support.machines import accepted_of

from securefl.config.server import ServerSection
from securefl.errors import RunError
from securefl.protocol import client_session, server_round
from securefl.protocol.client_events import (
    Announced,
    Applied,
    ApplyAggregate,
    Contribute,
    Contributed,
    Finish,
)
from securefl.protocol.client_events import Event as ClientEvent
from securefl.protocol.client_session import ClientState
from securefl.protocol.messages import (
    AggregateReady,
    FederationClosed,
    FederationFailed,
    Manifest,
    Receipt,
    RoundOpened,
    SignedHeader,
    Waiting,
)
from securefl.protocol.server_events import (
    AggregateFetched,
    Announce,
    ContributionAccepted,
    Discard,
    Effect,
    End,
    Event,
    MemberFinished,
    MemberGone,
    MemberJoined,
    OpenSum,
    SaveSum,
    Stopped,
    SumSaved,
    TimedOut,
    Timer,
)
from securefl.protocol.server_round import ServerState
from securefl.protocol.transitions import ClientPhase, ServerPhase

ROUNDS = 2
HELD = make_federation(ranks=(2, 4, 8), rounds=ROUNDS, scheme="none")
FEDERATION = HELD.federation
VIEW = FEDERATION.server_view(ServerSection())
MEMBERS = FEDERATION.cohort
ACCEPTED = {(member, number): accepted_of(HELD, member, number) for member in MEMBERS for number in (1, 2)}
FORGED = tuple(
    dataclasses.replace(event, signed=SignedHeader(event.signed.header, bytes(64)))
    for event in ACCEPTED.values()
)
SERVER_EVENTS: tuple[Event, ...] = (
    *(MemberJoined(member) for member in (*MEMBERS, "stranger")),
    *ACCEPTED.values(),
    *FORGED,
    SumSaved(),
    *(AggregateFetched(member, number) for member in (*MEMBERS, "stranger") for number in range(4)),
    *(AggregateFetched(member, 1, last=True) for member in MEMBERS),
    *(MemberFinished(member) for member in MEMBERS),
    *(TimedOut(timer) for timer in Timer),
    MemberGone("client-2", "its disk is full"),
    Stopped("maintenance"),
)
DIGEST = bytes(range(32))
MANIFESTS = {number: Manifest(FEDERATION.digest, number, MEMBERS) for number in range(1, ROUNDS + 2)}
CLIENT_EVENTS: tuple[ClientEvent, ...] = (
    Announced(Waiting(("client-2",))),
    *(Announced(RoundOpened(manifest)) for manifest in MANIFESTS.values()),
    Announced(RoundOpened(dataclasses.replace(MANIFESTS[1], cohort=MEMBERS[:2]))),
    *(Announced(AggregateReady(number)) for number in range(ROUNDS + 2)),
    Announced(FederationClosed()),
    Announced(FederationFailed("client-2", "its disk is full")),
    *(Contributed(Receipt(number, DIGEST), DIGEST) for number in MANIFESTS),
    Contributed(Receipt(1, bytes(32)), DIGEST),
    *(Applied(number) for number in range(ROUNDS + 2)),
    Applied(1, last=True),
)


def server_next(state: ServerState) -> tuple[Event, ...]:
    """What an honest run could bring now."""
    match state.phase:
        case ServerPhase.GATHER:
            return tuple(MemberJoined(member) for member in MEMBERS if member not in state.joined)
        case ServerPhase.CONTRIBUTE:
            waited = (member for member in MEMBERS if member not in state.contributors)
            return tuple(ACCEPTED[member, state.round_number] for member in waited)
        case ServerPhase.SUM:
            return (SumSaved(),)
        case ServerPhase.AGGREGATE:
            waited = (member for member in MEMBERS if member not in state.fetched)
            return tuple(AggregateFetched(member, state.round_number) for member in waited)
        case ServerPhase.FAREWELL:
            return tuple(MemberFinished(member) for member in MEMBERS if member not in state.finished)
        case _:
            return ()


def client_next(state: ClientState) -> tuple[ClientEvent, ...]:
    """What an honest server could bring now."""
    number = state.applied + 1
    match state.phase:
        case ClientPhase.WAIT:
            last = Announced(FederationClosed())
            going_on = number <= ROUNDS and not state.ended
            return (Announced(RoundOpened(MANIFESTS[number])) if going_on else last,)
        case ClientPhase.CONTRIBUTE:
            return (Contributed(Receipt(number, DIGEST), DIGEST),)
        case ClientPhase.CONTRIBUTED:
            return (Announced(AggregateReady(number)),)
        case ClientPhase.AGGREGATE:
            return (Applied(number),)
        case _:
            return ()


def server_step(state: ServerState, event: Event) -> tuple[ServerState, tuple[Effect, ...]]:
    return server_round.transition(state, event, view=VIEW)


def client_step(state: ClientState, event: ClientEvent) -> client_session.Outcome:
    return client_session.transition(state, event, federation=FEDERATION)


@dataclasses.dataclass
class Machine:
    """One of the two machines, with all that can happen to it."""

    first: object
    step: Callable
    honest: Callable
    events: tuple


SERVER = Machine(server_round.start(VIEW)[0], server_step, server_next, SERVER_EVENTS)
CLIENT = Machine(client_session.start(FEDERATION), client_step, client_next, CLIENT_EVENTS)
MACHINES = pytest.mark.parametrize("machine", [SERVER, CLIENT], ids=["server", "client"])


@dataclasses.dataclass
class Walk:
    """One run: the events that were taken, each with the state before it and what followed; and the last state."""

    events: list = dataclasses.field(default_factory=list)
    before: list = dataclasses.field(default_factory=list)
    effects: list = dataclasses.field(default_factory=list)
    refused: list = dataclasses.field(default_factory=list)
    last: object = None


def walked(machine: Machine, seed: int, *, disorder: float) -> Walk:
    """A run in which any event comes at a share of all steps, and an honest one at the others."""
    chosen, walk, state = random.Random(seed), Walk(), machine.first
    for _ in range(60):
        honest = machine.honest(state)
        event = chosen.choice(machine.events if not honest or chosen.random() < disorder else honest)
        try:
            after, effects = machine.step(state, event)
        except RunError:
            walk.refused.append((state, event))
            continue
        walk.events.append(event)
        walk.before.append(state)
        walk.effects.append(effects)
        state = after
    walk.last = state
    return walk


WALKS = {"seed": st.integers(0, 2**32), "disorder": st.sampled_from((0.0, 0.1, 0.3, 0.9))}


@MACHINES
def test_an_honest_run_comes_to_its_end(machine: Machine) -> None:
    walk = walked(machine, 1, disorder=0)
    assert walk.last.phase in (ServerPhase.CLOSED, ClientPhase.FINISH)


@MACHINES
@given(**WALKS)
def test_the_same_events_lead_to_an_equal_state_and_equal_effects(
    machine: Machine, seed: int, disorder: float
) -> None:
    walk = walked(machine, seed, disorder=disorder)
    state = machine.first
    for event, before, effects in zip(walk.events, walk.before, walk.effects, strict=True):
        assert state == before
        state, again = machine.step(state, copy.deepcopy(event))
        assert again == effects
    assert state == walk.last
    assert hash(state) == hash(walk.last)


@MACHINES
@given(**WALKS)
def test_a_state_is_as_it_was_after_an_event_whether_taken_or_refused(
    machine: Machine, seed: int, disorder: float
) -> None:
    walk = walked(machine, seed, disorder=disorder)
    taken = zip(walk.before, walk.events, strict=True)
    for state, event in (*taken, *walk.refused):
        kept = copy.deepcopy(state)
        for any_event in (event, *machine.honest(state)):
            try:
                machine.step(state, any_event)
            except RunError:
                assert any_event is event
        assert state == kept


@MACHINES
@given(**WALKS)
def test_an_event_that_was_refused_once_is_refused_again_and_the_honest_ones_still_count(
    machine: Machine, seed: int, disorder: float
) -> None:
    for state, event in walked(machine, seed, disorder=disorder).refused:
        with pytest.raises(RunError):
            machine.step(state, event)
        for honest in machine.honest(state):
            assert machine.step(state, honest)[0] != state


def is_plain(value: object) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(is_plain(each) for each in value)
    if dataclasses.is_dataclass(value):
        frozen = value.__dataclass_params__.frozen
        return frozen and all(is_plain(getattr(value, field.name)) for field in dataclasses.fields(value))
    return value is None or isinstance(value, str | bytes | int | float | Enum)


@MACHINES
@given(**WALKS)
def test_states_events_and_effects_hold_plain_values_only(
    machine: Machine, seed: int, disorder: float
) -> None:
    walk = walked(machine, seed, disorder=disorder)
    assert is_plain((*walk.before, walk.last))
    assert is_plain((*walk.events, *itertools.chain(*walk.effects)))


def test_the_order_in_which_members_contribute_leaves_no_trace() -> None:
    gathered = SERVER.first
    for member in MEMBERS:
        gathered, _ = server_step(gathered, MemberJoined(member))
    ends = set()
    for order in itertools.permutations(MEMBERS):
        state = gathered
        for member in order:
            state, _ = server_step(state, ACCEPTED[member, 1])
        ends.add(state)
    assert len(ends) == 1


def effects_of(walk: Walk, kind: type) -> list:
    return [effect for effects in walk.effects for effect in effects if isinstance(effect, kind)]


@given(**WALKS)
def test_a_sum_is_saved_and_announced_only_with_every_member_of_the_cohort_in_it(
    seed: int, disorder: float
) -> None:
    walk = walked(SERVER, seed, disorder=disorder)
    contributed: set[str] = set()
    for event, effects in zip(walk.events, walk.effects, strict=True):
        if isinstance(event, ContributionAccepted):
            contributed.add(event.signed.header.member)
        for effect in effects:
            if isinstance(effect, OpenSum):
                contributed = set()
            ready = isinstance(effect, Announce) and isinstance(effect.announcement, AggregateReady)
            if isinstance(effect, SaveSum) or ready:
                assert contributed == set(MEMBERS)


@given(**WALKS)
def test_a_round_follows_only_when_every_member_has_the_aggregate_before_it(
    seed: int, disorder: float
) -> None:
    walk = walked(SERVER, seed, disorder=disorder)
    fetched: set[tuple[str, int]] = set()
    for event, effects in zip(walk.events, walk.effects, strict=True):
        if isinstance(event, AggregateFetched):
            fetched.add((event.member, event.round_number))
        for effect in effects:
            if isinstance(effect, Discard):
                assert {(member, effect.round_number) for member in MEMBERS} <= fetched


@given(**WALKS)
def test_no_effect_comes_twice_for_a_round(seed: int, disorder: float) -> None:
    walk = walked(SERVER, seed, disorder=disorder)
    lasting = [
        *effects_of(walk, OpenSum),
        *effects_of(walk, SaveSum),
        *effects_of(walk, Discard),
        *(each for each in effects_of(walk, Announce) if not isinstance(each.announcement, Waiting)),
    ]
    assert {effect: times for effect, times in Counter(lasting).items() if times > 1} == {}
    assert len(effects_of(walk, End)) <= 1


@given(**WALKS)
def test_a_client_contributes_and_applies_each_round_once_and_in_order(seed: int, disorder: float) -> None:
    walk = walked(CLIENT, seed, disorder=disorder)
    work = [
        (type(effect), effect.manifest.round_number)
        for effects in walk.effects
        for effect in effects
        if isinstance(effect, Contribute | ApplyAggregate)
    ]
    whole = [(kind, number) for number in range(1, ROUNDS + 1) for kind in (Contribute, ApplyAggregate)]
    assert work == whole[: len(work)]


@given(**WALKS)
def test_a_client_finishes_only_after_the_last_round_and_once(seed: int, disorder: float) -> None:
    walk = walked(CLIENT, seed, disorder=disorder)
    for state, effects in zip(walk.before, walk.effects, strict=True):
        assert Finish() not in effects or state.applied == ROUNDS or state.ended
    assert len(effects_of(walk, Finish)) <= 1
