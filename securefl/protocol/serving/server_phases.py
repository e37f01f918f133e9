"""Every legal step of the server's round, in one table: what is not a row here cannot happen.

The rule kept here: ``round_machine`` changes a state's phase only through ``stepped``, and that only follows a row.

    GATHER -> ADVERT -> STAGE -> COMMIT -> VOTE -> REVEAL -> AGGREGATE -> ADVERT of the next round ... FAREWELL
                          |         |        |                   |                                 -> CLOSED
                          +---------+--------+--> VOID           +-- spoiled --> ADVERT of the next attempt
                                                   +------------- void --------> ADVERT of the next attempt

    >>> stepped(ServerPhase.COMMIT, ServerStep.PROPOSED)
    <ServerPhase.VOTE: 'vote'>
    >>> stepped(ServerPhase.REVEAL, ServerStep.VOIDED)
    Traceback (most recent call last):
    securefl.errors.ProtocolError: 't members vote VOID' cannot happen in the phase 'reveal'.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from securefl.errors import ProtocolError


class ServerPhase(Enum):
    """Phase that the server is in."""

    GATHER = "gather"
    ADVERT = "advert"
    STAGE = "stage"
    COMMIT = "commit"
    VOTE = "vote"
    VOID = "void"
    REVEAL = "reveal"
    AGGREGATE = "aggregate"
    FAREWELL = "farewell"
    CLOSED = "closed"
    FAILED = "failed"


class ServerStep(Enum):
    """Step that moves the server, or leaves it where it is."""

    OPENED = "the first attempt is opened"
    ADVERTED = "a member adverts"
    SAT_OUT = "a member sits out"
    COHORT_CLOSED = "the cohort is closed"
    STAGED = "a contribution is staged"
    COMMIT_ASKED = "the members are asked to commit"
    ACKNOWLEDGED = "a member acknowledges packets"
    PROPOSED = "survivors are proposed"
    VOID_ASKED = "the members are asked to vote VOID"
    VOTED = "a member votes"
    ABSTAINED = "a member abstains"
    CERTIFIED = "t members vote for the survivors"
    CERTIFIED_OPEN = "t members vote for the survivors, and no key is to be revealed"
    VOIDED = "t members vote VOID"
    REVEALED = "a member reveals"
    ENOUGH_REVEALED = "the t-th member reveals"
    CONFIRMED = "a member has applied a sum"
    SPOILED_ASKED = "the members are asked who cannot open the sum"
    SPOILED = "t members cannot open the sum"
    NEXT_ROUND = "the next round is opened"
    LAST_ROUND = "the last sum is applied"
    LEFT = "a member leaves before its time"
    RETURNED = "a member that left is back"
    FINISHED = "a member finishes"
    KEYS_ROTATED = "all members have new keys"
    CLOSED = "nobody is waited for any more"
    FAILED = "the run cannot go on"


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One legal step: in ``phase``, ``step`` leads to ``next_phase``."""

    phase: ServerPhase
    step: ServerStep
    next_phase: ServerPhase


_LIVE: Final = tuple(phase for phase in ServerPhase if phase not in (ServerPhase.CLOSED, ServerPhase.FAILED))
_OPEN: Final = tuple(phase for phase in _LIVE if phase is not ServerPhase.GATHER)
SERVER_ROWS: Final[tuple[ServerRow, ...]] = (
    ServerRow(ServerPhase.GATHER, ServerStep.OPENED, ServerPhase.ADVERT),
    ServerRow(ServerPhase.ADVERT, ServerStep.ADVERTED, ServerPhase.ADVERT),
    ServerRow(ServerPhase.ADVERT, ServerStep.SAT_OUT, ServerPhase.ADVERT),
    ServerRow(ServerPhase.ADVERT, ServerStep.COHORT_CLOSED, ServerPhase.STAGE),
    ServerRow(ServerPhase.STAGE, ServerStep.SAT_OUT, ServerPhase.STAGE),
    ServerRow(ServerPhase.STAGE, ServerStep.STAGED, ServerPhase.STAGE),
    ServerRow(ServerPhase.STAGE, ServerStep.COMMIT_ASKED, ServerPhase.COMMIT),
    ServerRow(ServerPhase.STAGE, ServerStep.VOID_ASKED, ServerPhase.VOID),
    ServerRow(ServerPhase.COMMIT, ServerStep.ACKNOWLEDGED, ServerPhase.COMMIT),
    ServerRow(ServerPhase.COMMIT, ServerStep.PROPOSED, ServerPhase.VOTE),
    ServerRow(ServerPhase.COMMIT, ServerStep.VOID_ASKED, ServerPhase.VOID),
    ServerRow(ServerPhase.VOTE, ServerStep.VOTED, ServerPhase.VOTE),
    ServerRow(ServerPhase.VOTE, ServerStep.ABSTAINED, ServerPhase.VOTE),
    ServerRow(ServerPhase.VOTE, ServerStep.CERTIFIED, ServerPhase.REVEAL),
    ServerRow(ServerPhase.VOTE, ServerStep.CERTIFIED_OPEN, ServerPhase.AGGREGATE),
    ServerRow(ServerPhase.VOTE, ServerStep.VOID_ASKED, ServerPhase.VOID),
    # Votes for the survivors still count after VOID is asked: of the two, only one can gather t.
    ServerRow(ServerPhase.VOID, ServerStep.VOTED, ServerPhase.VOID),
    ServerRow(ServerPhase.VOID, ServerStep.ABSTAINED, ServerPhase.VOID),
    ServerRow(ServerPhase.VOID, ServerStep.CERTIFIED, ServerPhase.REVEAL),
    ServerRow(ServerPhase.VOID, ServerStep.CERTIFIED_OPEN, ServerPhase.AGGREGATE),
    ServerRow(ServerPhase.VOID, ServerStep.VOIDED, ServerPhase.ADVERT),
    ServerRow(ServerPhase.REVEAL, ServerStep.REVEALED, ServerPhase.REVEAL),
    ServerRow(ServerPhase.REVEAL, ServerStep.ENOUGH_REVEALED, ServerPhase.AGGREGATE),
    ServerRow(ServerPhase.AGGREGATE, ServerStep.REVEALED, ServerPhase.AGGREGATE),
    ServerRow(ServerPhase.AGGREGATE, ServerStep.SPOILED_ASKED, ServerPhase.AGGREGATE),
    ServerRow(ServerPhase.AGGREGATE, ServerStep.VOTED, ServerPhase.AGGREGATE),
    ServerRow(ServerPhase.AGGREGATE, ServerStep.SPOILED, ServerPhase.ADVERT),
    ServerRow(ServerPhase.AGGREGATE, ServerStep.NEXT_ROUND, ServerPhase.ADVERT),
    ServerRow(ServerPhase.AGGREGATE, ServerStep.LAST_ROUND, ServerPhase.FAREWELL),
    ServerRow(ServerPhase.FAREWELL, ServerStep.FINISHED, ServerPhase.FAREWELL),
    ServerRow(ServerPhase.FAREWELL, ServerStep.CLOSED, ServerPhase.CLOSED),
    ServerRow(ServerPhase.CLOSED, ServerStep.FINISHED, ServerPhase.CLOSED),
    # A member that was away may come back, apply what it missed, or leave, in every phase.
    *(ServerRow(phase, ServerStep.CONFIRMED, phase) for phase in (*_OPEN, ServerPhase.CLOSED)),
    *(ServerRow(phase, ServerStep.LEFT, phase) for phase in _LIVE),
    *(ServerRow(phase, ServerStep.RETURNED, phase) for phase in _LIVE),
    # Between rounds for every member, wherever the server stood; before the first round nothing is open to give up.
    ServerRow(ServerPhase.GATHER, ServerStep.KEYS_ROTATED, ServerPhase.GATHER),
    *(
        ServerRow(phase, ServerStep.KEYS_ROTATED, ServerPhase.ADVERT)
        for phase in _OPEN
        if phase is not ServerPhase.FAREWELL
    ),
    *(ServerRow(phase, ServerStep.FAILED, ServerPhase.FAILED) for phase in _LIVE),
)


def stepped(phase: ServerPhase, step: ServerStep) -> ServerPhase:
    """The next phase.

    Raises:
        ProtocolError: if the table has no such row.
    """
    for row in SERVER_ROWS:
        if row.phase is phase and row.step is step:
            return row.next_phase
    raise ProtocolError(f"'{step.value}' cannot happen in the phase '{phase.value}'")
