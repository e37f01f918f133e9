"""Effects of an announcement: what a member is to do about it, as ``member_session.asked`` tells its session.

The rule kept here: an effect names what the server announced and holds nothing of this member, so that it may be
carried out again after a stop.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.calls import (
    Certified,
    CommitAsked,
    RoundOpened,
    SurvivorsProposed,
    VoidAsked,
)


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Apply the sums of all rounds up to this one that are still missing, in their order."""

    round_number: int


@dataclass(frozen=True, slots=True)
class TakePart:
    """Check how earlier attempts ended, advert, and train."""

    opened: RoundOpened


@dataclass(frozen=True, slots=True)
class Contribute:
    """Check the cohort, encrypt for it, and stage."""

    cohort: Cohort


@dataclass(frozen=True, slots=True)
class LearnCohort:
    """Ask for the cohort of the open attempt, whose closing this member missed, and then do as announced.

    Attributes:
        announcement: The one that asks for something in a cohort that this member does not know.
    """

    announcement: CommitAsked | SurvivorsProposed | VoidAsked | Certified


@dataclass(frozen=True, slots=True)
class Commit:
    """Fetch packets, acknowledge them, and send the header."""

    asked: CommitAsked


@dataclass(frozen=True, slots=True)
class Judge:
    """Check the survivors, and vote or abstain."""

    proposed: SurvivorsProposed


@dataclass(frozen=True, slots=True)
class VoteVoid:
    """Vote that the attempt of this A has no sum."""

    cohort_digest: bytes


@dataclass(frozen=True, slots=True)
class Help:
    """Check the certificate, and reveal."""

    certified: Certified


@dataclass(frozen=True, slots=True)
class ConfirmAgain:
    """Say once more that the last round is applied."""


@dataclass(frozen=True, slots=True)
class JudgeSpoiled:
    """Try once more to open the certified sum of this statement, and vote SPOILED if it cannot be opened."""

    statement_digest: bytes


@dataclass(frozen=True, slots=True)
class Finish:
    """Save, evaluate, and leave."""


@dataclass(frozen=True, slots=True)
class AwaitMembers:
    """Say who is missing."""

    missing: tuple[str, ...]


Effect = (
    CatchUp
    | TakePart
    | Contribute
    | LearnCohort
    | Commit
    | Judge
    | VoteVoid
    | Help
    | ConfirmAgain
    | JudgeSpoiled
    | Finish
    | AwaitMembers
)
