"""Decisions of the server: what is due, given the state, who is connected, and which deadlines have passed.

The rule kept here: the server goes on as soon as everybody who is there has done a step, and with those who have at the
deadline, where they are enough; a member that vanished costs its own contribution and nothing else. Where too few are
left the server waits for them to come back, for ``join_timeout_s``; it ends a run at once only where so many have said
that they cannot go on that the others are too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from securefl.protocol.serving.round_events import (
    Cause,
    CohortChosen,
    CommitRequested,
    FirstOpened,
    RoundDone,
    RunFailed,
    ServingEnded,
    SpoiledRequested,
    VoidRequested,
)
from securefl.protocol.serving.server_phases import ServerPhase
from securefl.protocol.serving.server_state import ServerRules, ServerState
from securefl.protocol.survivors import choose_survivors, helpers

_GATHERING: Final = (ServerPhase.GATHER, ServerPhase.ADVERT, ServerPhase.AGGREGATE)
"""Phases that the whole roster, and not the cohort alone, has a part in."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Everything that a decision depends on beside the state.

    Attributes:
        present: Members that are connected, or were until a moment ago.
        overdue: The step has taken its time.
        expired: Too few members have been there for ``join_timeout_s``, or the step has taken ``round_timeout_s`` more.
    """

    present: frozenset[str]
    overdue: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class SumWanted:
    """The contributions of these members of the cohort, by ascending index, are to be added and then proposed."""

    indices: tuple[int, ...]


Decision = (
    FirstOpened
    | CohortChosen
    | CommitRequested
    | SumWanted
    | VoidRequested
    | RoundDone
    | SpoiledRequested
    | ServingEnded
    | RunFailed
)


def step_seconds(state: ServerState, rules: ServerRules) -> float:
    """The time that a step has before it is overdue."""
    match state.phase:
        case ServerPhase.GATHER | ServerPhase.ADVERT:
            return rules.limits.join_timeout_s
        case ServerPhase.STAGE:
            return rules.limits.round_timeout_s
        case _:
            return rules.limits.step_timeout_s


def short_of_members(state: ServerState, present: frozenset[str], rules: ServerRules) -> bool:
    """Tell if the members that are there, with what the others have done, are too few to end the step."""
    if state.over or state.phase is ServerPhase.FAREWELL:
        return False
    return _able(state, present, rules) < _needed(state, rules)


def decide(state: ServerState, at: Circumstances, *, rules: ServerRules) -> Decision | None:
    """The decision that is due now; None where there is nothing but to wait."""
    if state.over:
        return None
    if state.phase is ServerPhase.FAREWELL:
        return _close(state, at, rules=rules)
    return _step(state, at, rules=rules) or _give_up(state, at, rules=rules)


def missing_members(state: ServerState, rules: ServerRules) -> tuple[str, ...]:
    """Members that have not done the open step, in order."""
    done = _done(state, rules) | _excused(state)
    return tuple(member for member in _asked(state, rules) if member not in done)


def _step(state: ServerState, at: Circumstances, *, rules: ServerRules) -> Decision | None:
    match state.phase:
        case ServerPhase.GATHER:
            return _open(at, rules=rules)
        case ServerPhase.ADVERT:
            return _close_cohort(state, at, rules=rules)
        case ServerPhase.STAGE:
            return _ask_commit(state, at, rules=rules)
        case ServerPhase.COMMIT:
            return _propose(state, at, rules=rules)
        case ServerPhase.VOTE:
            return _ask_void(state, at, rules=rules)
        case ServerPhase.AGGREGATE:
            return _advance(state, at, rules=rules)
        case _:
            return None


def _open(at: Circumstances, *, rules: ServerRules) -> FirstOpened | None:
    enough = len(at.present) >= rules.constants.min_clients
    return FirstOpened() if at.present >= set(rules.roster) or (at.overdue and enough) else None


def _close_cohort(
    state: ServerState, at: Circumstances, *, rules: ServerRules
) -> CohortChosen | RunFailed | None:
    if state.number > state.void_limit:
        hint = (
            f"the last reason was: {_last_void(state)}; see which members abstain or refuse, and start again"
        )
        return RunFailed(
            Cause(f"{state.number - 1} attempts of round {state.round_number} gave no sum", hint=hint)
        )
    group = _largest_group(state, rules)
    if len(rules.roster) - len(state.sitting_out) < rules.constants.min_clients:
        return RunFailed(_too_few_left(state, rules))
    if len(group) < rules.constants.min_clients or not set(state.bound_to) <= set(group):
        return None
    heard = {advert.body.signer for advert in state.adverts} | set(state.sitting_out)
    return CohortChosen(group) if at.overdue or at.present <= heard else None


def _too_few_left(state: ServerState, rules: ServerRules) -> Cause:
    """The cause of a run's end where so many members sit out that the others are too few."""
    taking_part = len(rules.roster) - len(state.sitting_out)
    whose = "its privacy budget allows" if len(state.sitting_out) == 1 else "their privacy budgets allow"
    sits = "sits" if len(state.sitting_out) == 1 else "sit"
    return Cause(
        f"{taking_part} members are left for round {state.round_number}, and it needs {rules.constants.min_clients}",
        hint=f"{', '.join(state.sitting_out)} {sits} out, because {whose} no further round on the data",
    )


def _last_void(state: ServerState) -> str:
    proof = type(state.settled[-1].settlement).__name__ if state.settled else ""
    return "the sum could not be opened" if proof == "SpoiledProof" else "too few contributions were whole"


def _largest_group(state: ServerState, rules: ServerRules) -> tuple[str, ...]:
    """Members whose adverts say the same state: of groups, that with most members at the newest sum, then the largest.

    In the roster's order.
    """
    newest = dict(zip(rules.roster, state.confirmed, strict=True))
    groups: dict[bytes, list[str]] = {}
    for advert in state.adverts:
        groups.setdefault(advert.body.state, []).append(advert.body.signer)

    def weight(group: bytes) -> tuple[int, int]:
        up_to_date = sum(newest[member] >= state.newest_sum for member in groups[group])
        return up_to_date, len(groups[group])

    return tuple(groups[max(groups, key=weight)]) if groups else ()


def _ask_commit(
    state: ServerState, at: Circumstances, *, rules: ServerRules
) -> CommitRequested | VoidRequested | None:
    staged = {each.member for each in state.staged}
    there = at.present & set(state.members) - set(state.sitting_out)
    enough = len(staged) >= state.sizes(rules).threshold
    if enough and (at.overdue or there <= staged):
        return CommitRequested()
    if at.overdue and not enough:
        return VoidRequested(f"{len(staged)} contributions arrived in time")
    if len(set(state.members) - set(state.sitting_out)) < state.sizes(rules).threshold:
        return VoidRequested(f"{len(state.sitting_out)} members of the cohort sit out")
    return None


def _propose(
    state: ServerState, at: Circumstances, *, rules: ServerRules
) -> SumWanted | VoidRequested | None:
    acknowledged = {each.member for each in state.acknowledged}
    if not at.overdue and not at.present & set(state.members) <= acknowledged:
        return None
    survivors = survivors_of(state, rules)
    if survivors is not None:
        return SumWanted(survivors)
    if at.overdue or acknowledged == set(state.members):
        return VoidRequested("too few members committed and can open each other's packets")
    return None


def survivors_of(state: ServerState, rules: ServerRules) -> tuple[int, ...] | None:
    """Indices of the survivors to propose from what was acknowledged; None where there are too few."""
    place, sizes = state.places, state.sizes(rules)
    opened = {place[each.member]: _bits(each.opened) for each in state.acknowledged}
    committed = frozenset(place[each.member] for each in state.acknowledged if each.header is not None)
    if not state.bound_to:
        return choose_survivors(
            opened,
            committed=committed,
            threshold=sizes.threshold,
            max_colluders=sizes.max_colluders,
            members=sizes.members,
        )
    # After a spoiled sum: over the same members, or no sum at all.
    bound = tuple(place[member] for member in state.bound_to)
    admissible = set(bound) <= committed and len(helpers(bound, opened)) >= sizes.threshold
    return bound if admissible else None


def _bits(opened: int) -> frozenset[int]:
    return frozenset(index for index in range(opened.bit_length()) if opened >> index & 1)


def _ask_void(state: ServerState, at: Circumstances, *, rules: ServerRules) -> VoidRequested | None:
    sizes = state.sizes(rules)
    if sizes.members - len(state.votes) < sizes.threshold:
        # VOID can gather no t signatures any more: only a vote for the survivors helps.
        return None
    if sizes.members - len(state.abstained) < sizes.threshold:
        return VoidRequested(f"{len(state.abstained)} members abstain")
    # A member votes once. Where one has voted for the survivors, or is away and may have, VOID asked of the rest could
    # leave both without t, for good: so what is missing is waited for.
    unheard = not state.votes and at.present >= set(state.members)
    return VoidRequested("no member voted in time") if at.overdue and unheard else None


def _advance(
    state: ServerState, at: Circumstances, *, rules: ServerRules
) -> RoundDone | SpoiledRequested | RunFailed | None:
    applied = _done(state, rules)
    enough = len(applied) >= rules.constants.min_clients
    if enough and (at.overdue or at.present & set(rules.roster) <= applied):
        return _disagreement(state, applied) or RoundDone()
    if at.overdue and not enough and not state.spoiled_asked:
        return SpoiledRequested()
    return None


def _disagreement(state: ServerState, applied: frozenset[str]) -> RunFailed | None:
    """The end of a run in which some members, whose sums are the same, say that it is over, and others do not."""
    if not state.ending or frozenset(state.ending) == applied:
        return None
    hint = (
        f"after round {state.round_number} only {', '.join(state.ending)} did; compare the members' versions"
    )
    return RunFailed(Cause("the members do not agree that the federation ends early", hint=hint))


def _close(state: ServerState, at: Circumstances, *, rules: ServerRules) -> ServingEnded | None:
    remaining = set(rules.roster) - set(state.finished)
    if not remaining or at.expired or (at.overdue and not at.present & remaining):
        return ServingEnded()
    return None


def _give_up(state: ServerState, at: Circumstances, *, rules: ServerRules) -> RunFailed | None:
    ever = frozenset(rules.roster) - state.gone
    if state.left and _able(state, ever, rules) < _needed(state, rules):
        member, last_words = state.left[-1]
        return RunFailed(Cause(last_words, member=member))
    if not at.expired and not (at.overdue and state.phase in (ServerPhase.GATHER, ServerPhase.ADVERT)):
        return None
    missing = missing_members(state, rules)
    if not missing and state.phase in (ServerPhase.VOTE, ServerPhase.VOID):
        split = f"the votes on round {state.round_number} are split: {_votes_of(state)}"
        return RunFailed(Cause(f"{split}, and neither can gather {_needed(state, rules)}", hint=_SPLIT))
    late = ", ".join(missing) or "the server"
    if state.phase is ServerPhase.GATHER:
        late = ", ".join(member for member in rules.roster if member not in at.present)
    return RunFailed(Cause(f"{late} {_undone(state, rules)}", hint=_ADVICE))


_SPLIT: Final = (
    "a member votes once, so this round has no end; provision the federation anew, with longer limits of time"
)
_ADVICE: Final = (
    "start what is missing and then the server, which goes on where it stopped, or raise its limits of time"
)


def _undone(state: ServerState, rules: ServerRules) -> str:
    """For people: what the missing members did not do, and how many had to."""
    number, needed = state.round_number, _needed(state, rules)
    match state.phase:
        case ServerPhase.GATHER:
            return f"did not join within {rules.limits.join_timeout_s:g} s; {needed} members are needed"
        case ServerPhase.ADVERT:
            return f"did not enter round {number} in the others' state; {needed} members are needed"
        case ServerPhase.AGGREGATE:
            return f"did not apply the certified sum of round {number}; {needed} members have to"
        case ServerPhase.REVEAL:
            return f"did not reveal for the certified sum of round {number}; {needed} members have to"
        case ServerPhase.VOTE | ServerPhase.VOID:
            return f"did not vote on round {number}: {_votes_of(state)}, and {needed} have to agree"
        case _:
            return f"did not contribute to round {number}; {needed} members have to"


def _votes_of(state: ServerState) -> str:
    return f"{len(state.votes)} voted for the survivors, {len(state.void_votes)} for VOID"


def _needed(state: ServerState, rules: ServerRules) -> int:
    if state.phase in _GATHERING:
        return rules.constants.min_clients
    return state.sizes(rules).threshold


def _asked(state: ServerState, rules: ServerRules) -> tuple[str, ...]:
    return rules.roster if state.phase in _GATHERING else state.members


def _able(state: ServerState, there: frozenset[str], rules: ServerRules) -> int:
    """How many members have done the step, or can."""
    asked = frozenset(_asked(state, rules)) - _excused(state)
    if state.phase not in (ServerPhase.VOTE, ServerPhase.VOID):
        return len(_done(state, rules) | (there & asked))
    voted = {vote.body.signer for vote in state.votes}
    void = {vote.body.signer for vote in state.void_votes}
    may_certify = voted | ((there & asked) - void - set(state.abstained))
    may_void = void | ((there & asked) - voted)
    return max(len(may_certify) if state.statement else 0, len(may_void))


def _excused(state: ServerState) -> frozenset[str]:
    """Members that the step does not wait for."""
    steps = (ServerPhase.ADVERT, ServerPhase.STAGE)
    return frozenset(state.sitting_out) if state.phase in steps else frozenset()


def _done(state: ServerState, rules: ServerRules) -> frozenset[str]:
    match state.phase:
        case ServerPhase.ADVERT:
            return frozenset(_largest_group(state, rules))
        case ServerPhase.STAGE:
            return frozenset(each.member for each in state.staged)
        case ServerPhase.COMMIT:
            return frozenset(each.member for each in state.acknowledged)
        case ServerPhase.VOTE | ServerPhase.VOID:
            return state.voters
        case ServerPhase.REVEAL:
            return frozenset(state.revealed)
        case ServerPhase.AGGREGATE:
            pairs = zip(rules.roster, state.confirmed, strict=True)
            return frozenset(member for member, newest in pairs if newest >= state.round_number)
        case _:
            return frozenset()
