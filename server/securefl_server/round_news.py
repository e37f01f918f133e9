"""Events of the server's round as lines of its log, under names that stay the same from version to version.

The rule kept here: one line an event; a line carries ids, counts and the server's own sentences, and no object of a
member.
"""

from __future__ import annotations

from typing import Final

from securefl.progress import SERVER, RoundStepped
from securefl.protocol.serving.round_events import (
    Abstained,
    Acknowledged,
    Adverted,
    CohortChosen,
    CommitRequested,
    Confirmed,
    ContributionStaged,
    FirstOpened,
    KeysRotated,
    MemberFinished,
    MemberLeft,
    MemberReturned,
    Proposed,
    Revealed,
    RoundDone,
    RoundEvent,
    RunFailed,
    RunResumed,
    SatOut,
    ServingEnded,
    SpoiledRequested,
    VoidRequested,
    Voted,
)
from securefl.protocol.serving.server_state import ServerState

STEPS: Final[dict[type, str]] = {
    FirstOpened: "first-round-opened",
    Adverted: "adverted",
    SatOut: "sat-out",
    CohortChosen: "cohort-closed",
    ContributionStaged: "contribution-staged",
    CommitRequested: "commit-asked",
    Acknowledged: "acknowledged",
    Proposed: "survivors-proposed",
    VoidRequested: "void-asked",
    Voted: "voted",
    Abstained: "abstained",
    Revealed: "revealed",
    Confirmed: "confirmed",
    RoundDone: "round-done",
    SpoiledRequested: "spoiled-asked",
    MemberLeft: "member-left",
    MemberReturned: "member-returned",
    MemberFinished: "member-finished",
    ServingEnded: "serving-ended",
    RunFailed: "run-failed",
    RunResumed: "run-resumed",
    KeysRotated: "keys-rotated",
}
"""The name of every event's step."""
SPENT: Final = "its privacy budget allows no further round on its data"


def news_of(event: RoundEvent, state: ServerState) -> RoundStepped:
    """The line for an event.

    Args:
        event: The event.
        state: The state before it.
    """
    by, members, note = _details(event, state)
    return RoundStepped(
        member=SERVER,
        round_number=state.round_number,
        attempt=max(state.number, 1),
        step=STEPS[type(event)],
        by=by,
        members=members,
        note=note,
    )


def _details(event: RoundEvent, state: ServerState) -> tuple[str, tuple[str, ...], str]:
    """Who did it, whom it is about, and a clause for people."""
    match event:
        case Adverted(advert):
            return advert.body.signer, (), ""
        case SatOut(member):
            return member, (), SPENT
        case Revealed(reveal):
            return reveal.body.signer, (), ""
        case Voted(vote):
            return vote.body.signer, (), type(vote.body).__name__.removesuffix("Vote").lower()
        case CohortChosen(members):
            return "", members, ""
        case CommitRequested():
            return "", tuple(each.member for each in state.staged), ""
        case Proposed(statement):
            return "", tuple(state.members[each.index] for each in statement.survivors), ""
        case Acknowledged(member, opened, header):
            commits = "commits" if header is not None else "does not commit"
            return member, (), f"{commits}; opened {opened.bit_count()} packets"
        case VoidRequested(reason):
            return "", (), reason
        case MemberLeft(member, last_words):
            return member, (), last_words
        case RunFailed(cause):
            return cause.member, (), cause.what
        case RoundDone() | SpoiledRequested():
            return "", state.survivors, ""
        case ContributionStaged(member) | Abstained(member) | MemberReturned(member) | MemberFinished(member):
            return member, (), ""
        case Confirmed(member, number):
            return member, (), f"round {number}"
        case KeysRotated(key_epoch):
            return "", (), f"rotation {key_epoch}"
        case _:
            return "", (), ""
