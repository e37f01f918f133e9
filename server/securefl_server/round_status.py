"""Status of a federation from its server's store: read beside the server, or after it has ended.

The rule kept here: nothing is written and nothing locked. What is told are ids, counts and times; the store holds
nothing that decrypts anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from securefl.protocol.agreement.statement import SpoiledProof
from securefl.protocol.serving.decisions import missing_members, step_seconds
from securefl.protocol.serving.round_events import FirstOpened, RoundDone, RunResumed
from securefl.protocol.serving.round_machine import transition
from securefl.protocol.serving.server_state import ServerRules, ServerState, first_state
from securefl_server.store_file import LoggedEvent


@dataclass(frozen=True, slots=True)
class MemberStatus:
    """One member in the open attempt.

    Attributes:
        member: Its id.
        adverted: Whether it takes part.
        sits_out: Whether it takes no part because its privacy budget allows no further round.
        in_cohort: Whether the cohort was closed with it.
        staged: Whether the server holds its contribution.
        committed: Whether it sent its signed header.
        vote: "survivors", "void", "abstained" or "".
        revealed: Whether it revealed its share.
        confirmed: The newest round whose sum it has applied; None before the first.
        left: Its last words, if it said that it cannot go on; "" otherwise.
    """

    member: str
    adverted: bool
    sits_out: bool
    in_cohort: bool
    staged: bool
    committed: bool
    vote: str
    revealed: bool
    confirmed: int | None
    left: str


@dataclass(frozen=True, slots=True)
class RoundLine:
    """One round that is done.

    Attributes:
        round_number: Its number.
        attempts: How many it took.
        spoiled: How many of them gave a sum that could not be opened.
        cohort: Size of the last attempt's cohort.
        survivors: Size of the sum's.
        seconds: Wall time from its opening to the next one's.
    """

    round_number: int
    attempts: int
    spoiled: int
    cohort: int
    survivors: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """A federation at one moment.

    Attributes:
        phase: Name of the server's phase.
        round_number: The open round, or the last one.
        rounds: Number of the last round.
        attempt: Number of the open attempt; 0 before the first.
        cohort: Ids, once it is closed.
        survivors: Ids of those that were proposed.
        missing: Members that have not done the open step.
        seconds_left: Until the open step's deadline, if the server is running; None after the end.
        failure: Why the last run ended before its time; "" where it did not.
        members: All of the roster, in order.
        done: The rounds that are done.
    """

    phase: str
    round_number: int
    rounds: int
    attempt: int
    cohort: tuple[str, ...]
    survivors: tuple[str, ...]
    missing: tuple[str, ...]
    seconds_left: float | None
    failure: str
    members: tuple[MemberStatus, ...]
    done: tuple[RoundLine, ...]


def status_of(events: Iterable[LoggedEvent], *, rules: ServerRules, now: float) -> RoundStatus:
    """The status that a log of events leads to.

    Args:
        events: In their order.
        rules: What the server goes by.
        now: Unix time, seconds.

    Raises:
        ProtocolError: if the log is of no federation with these rules.
    """
    state, opened_at, step_at = first_state(rules), 0.0, None
    done: list[RoundLine] = []
    for logged in events:
        before = state
        state, _ = transition(state, logged.event, rules=rules)
        if isinstance(logged.event, RoundDone):
            done.append(_line(before, logged.at - opened_at))
        if isinstance(logged.event, FirstOpened | RoundDone):
            opened_at = logged.at
        if _step(state) != _step(before) or isinstance(logged.event, RunResumed) or step_at is None:
            step_at = logged.at
    left = None if state.over or step_at is None else max(0.0, step_at + step_seconds(state, rules) - now)
    return RoundStatus(
        phase=state.phase.value,
        round_number=state.round_number,
        rounds=rules.rounds,
        attempt=state.number,
        cohort=state.members,
        survivors=state.survivors,
        missing=() if state.over else missing_members(state, rules),
        seconds_left=left,
        failure="" if state.cause is None else str(state.cause.error()),
        members=tuple(_member(state, member, rules) for member in rules.roster),
        done=tuple(done),
    )


def _step(state: ServerState) -> object:
    return state.phase, state.round_number, state.number, state.spoiled_asked


def _line(state: ServerState, seconds: float) -> RoundLine:
    return RoundLine(
        round_number=state.round_number,
        attempts=state.number,
        spoiled=sum(isinstance(each.settlement, SpoiledProof) for each in state.settled),
        cohort=len(state.members),
        survivors=len(state.survivors),
        seconds=seconds,
    )


def _member(state: ServerState, member: str, rules: ServerRules) -> MemberStatus:
    word = state.acknowledgement(member)
    newest = state.confirmed[rules.roster.index(member)]
    return MemberStatus(
        member=member,
        adverted=any(each.body.signer == member for each in state.adverts),
        sits_out=member in state.sitting_out,
        in_cohort=member in state.members,
        staged=state.staging(member) is not None,
        committed=word is not None and word.header is not None,
        vote=_vote(state, member),
        revealed=member in state.revealed,
        confirmed=None if newest < rules.first_round else newest,
        left=dict(state.left).get(member, ""),
    )


def _vote(state: ServerState, member: str) -> str:
    if any(vote.body.signer == member for vote in state.votes):
        return "survivors"
    if any(vote.body.signer == member for vote in state.void_votes):
        return "void"
    return "abstained" if member in state.abstained else ""
