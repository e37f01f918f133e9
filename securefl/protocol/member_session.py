"""A member's state machine of rounds with attempts: what its journal says, and what an announcement asks of it.

The rule kept here: a state is a fold over the records of the journal, so a member that was stopped anywhere is where
its last synced record says; nothing else is remembered that a promise depends on. An announcement is a state of the
server, not an order: ``asked`` says what is to be done about it from here, and what was done before is done again with
the same bytes. A journal in which a second header follows a first that is not settled cannot be written, nor one in
which a sum is undone after anything was said on top of it: what was said would be forgotten with the sum, not settled.

    announcement --asked--> effects --carried out--> records --recall--> state

One attempt's records, in their order: AdvertSigned, UpdateKept, CohortAccepted, ContributionStaged, PacketsKept,
HeaderCommitted, VoteSigned, RevealSigned, SumApplied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from securefl.errors import MemberLost, ProtocolError, RunError
from securefl.protocol.agreement.cohort import Advert, Cohort, Manifest
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.agreement.signed import Signed
from securefl.protocol.calls import (
    AggregateReady,
    Announcement,
    Certified,
    CohortClosed,
    CommitAsked,
    FederationClosed,
    FederationFailed,
    RoundOpened,
    SpoiledAsked,
    SurvivorsProposed,
    VoidAsked,
    Waiting,
)
from securefl.protocol.member_effects import (
    AwaitMembers,
    CatchUp,
    Commit,
    ConfirmAgain,
    Contribute,
    Effect,
    Finish,
    Help,
    Judge,
    JudgeSpoiled,
    LearnCohort,
    TakePart,
    VoteVoid,
)
from securefl.protocol.member_records import (
    AdvertSigned,
    AttemptSettled,
    CohortAccepted,
    ContributionStaged,
    HeaderCommitted,
    JournalBegun,
    KeysRotated,
    PacketsKept,
    Record,
    RevealSigned,
    RunEnded,
    SpoiledSigned,
    SumApplied,
    SumRefused,
    SumUndone,
    UpdateKept,
    VoteSigned,
)


@dataclass(frozen=True, slots=True)
class MemberState:
    """One federation from one member's side, at one moment.

    Attributes:
        rules: The federation's.
        member: This member's id.
        applied: Number of the last round applied; before the first one, its number less 1.
        sums: Of every round applied, in their order.
        manifest: Of the newest attempt that it adverted in; None before the first.
        advert: Its advert there.
        update: Its integers of the round after ``applied``; None before they are kept.
        former_update: Those of the last round applied, should its sum be undone.
        cohort: Of that attempt, once it is accepted.
        staged: Its complete outbox in that attempt.
        packets: The packets that it keeps in that attempt.
        vote: Its vote in that attempt.
        reveal: Its reveal in that attempt.
        spoiled_vote: The last certified sum that it said it cannot open.
        committed: A of every attempt of the round after ``applied`` that it sent a header in, by number.
        settled: A of every attempt of the round that ended without a sum, by number.
        settled_by_sum: What ``committed`` was for the last round applied.
        spoiled: Survivors of a certified sum on this state that could not be opened; None where there was none.
        refused: The certified sum that it refused together with its keys; None where there was none under these keys.
        rotated: Its keys have changed, and it has done nothing under the new ones yet.
        newest: Key epoch, round and number of the newest attempt that it ever adverted in; zeros before the first.
        rests_on_sum: The last record is of a sum applied: nothing was signed, sent or settled since.
        finished: It has done its part.
    """

    rules: Rules
    member: str
    applied: int
    sums: tuple[SumApplied, ...] = ()
    manifest: Manifest | None = None
    advert: Signed[Advert] | None = None
    update: UpdateKept | None = None
    former_update: UpdateKept | None = None
    cohort: Cohort | None = None
    staged: ContributionStaged | None = None
    packets: PacketsKept | None = None
    vote: VoteSigned | None = None
    reveal: RevealSigned | None = None
    spoiled_vote: SpoiledSigned | None = None
    committed: Mapping[int, bytes] = field(default_factory=dict)
    settled: Mapping[int, bytes] = field(default_factory=dict)
    settled_by_sum: Mapping[int, bytes] = field(default_factory=dict)
    spoiled: tuple[str, ...] | None = None
    refused: SumRefused | None = None
    rotated: bool = False
    newest: tuple[int, int, int] = (0, 0, 0)
    rests_on_sum: bool = False
    finished: bool = False

    @property
    def ended(self) -> bool:
        """True if the sums of the last round applied have ended the federation."""
        return bool(self.sums) and self.sums[-1].last

    @property
    def is_committed(self) -> bool:
        """True once the header of the newest attempt was let go."""
        return self.manifest is not None and self.manifest.attempt.number in self.committed


def start(rules: Rules, *, member: str, first_round: int) -> MemberState:
    """The state before any record."""
    return MemberState(rules, member, first_round - 1)


def asked(state: MemberState, announcement: Announcement, *, rounds: int) -> tuple[Effect, ...]:
    """Effects that an announcement asks for, in their order; none where it does not concern this member.

    Args:
        state: The member's.
        announcement: The newest.
        rounds: Number of the federation's last round.

    Raises:
        ProtocolError: if the server announces what cannot be.
        RunError: if it says that the run failed.
    """
    match announcement:
        case Waiting(missing):
            return (AwaitMembers(missing),)
        case RoundOpened():
            return _opened(state, announcement, rounds=rounds)
        case CohortClosed(cohort):
            return _closed(state, cohort)
        case CommitAsked() | SurvivorsProposed() | VoidAsked() | Certified():
            if state.cohort is None and state.manifest is not None:
                return (LearnCohort(announcement),)
            return in_cohort(state, announcement)
        case AggregateReady(number):
            return _ready(state, number, rounds=rounds)
        case SpoiledAsked(digest):
            return (JudgeSpoiled(digest),)
        case FederationClosed():
            return _finish(state, rounds=rounds)
        case FederationFailed():
            raise failure_of(announcement)
        case _:
            assert_never(announcement)


def in_cohort(
    state: MemberState, announcement: CommitAsked | SurvivorsProposed | VoidAsked | Certified
) -> tuple[Effect, ...]:
    """Effects of an announcement to a cohort; none where this member is not in it."""
    match announcement:
        case CommitAsked(digest):
            return (Commit(announcement),) if _is_open(state, digest) else ()
        case SurvivorsProposed(statement):
            return (Judge(announcement),) if _is_open(state, statement.cohort_digest) else ()
        case VoidAsked(digest):
            return (VoteVoid(digest),) if _is_open(state, digest) else ()
        case Certified(certificate):
            concerned = _is_open(state, certificate.statement.cohort_digest)
            return (Help(announcement),) if concerned and state.rules.packets else ()
        case _:
            assert_never(announcement)


def failure_of(announcement: FederationFailed) -> RunError:
    """The error that a failed federation ends a member with."""
    if announcement.member:
        return MemberLost(announcement.member, announcement.reason)
    return RunError("the server ended the run", hint=announcement.reason.rstrip("."))


def recall(state: MemberState, record: Record) -> MemberState:
    """The state after a record.

    Raises:
        ProtocolError: if the record cannot follow what came before it.
    """
    return replace(_following(state, record), rests_on_sum=isinstance(record, SumApplied))


def may_go_back(state: MemberState) -> bool:
    """Tell if the last sum may be undone: the journal ends with it, so that no promise rests on it.

    Guarantee: no header, vote or reveal of a later round is forgotten by an undone sum, and no two sums are undone one
    after the other. So a proof of SPOILED that a server has kept is of use only where nobody has gone on, and there
    the round is repeated with the same integers over the same survivors. An honest server opens the next round only
    after it can settle this one no more, so a member that must go back always may.
    """
    return state.rests_on_sum


def is_newer(state: MemberState, round_number: int, number: int) -> bool:
    """Tell if an attempt comes after all that this member adverted in; rotations of keys count first."""
    return (state.rules.key_epoch, round_number, number) > state.newest


def _following(state: MemberState, record: Record) -> MemberState:
    match record:
        case JournalBegun(key_epoch=key_epoch):
            return replace(state, rules=replace(state.rules, key_epoch=key_epoch))
        case KeysRotated(key_epoch=key_epoch):
            _expect(key_epoch == state.rules.key_epoch + 1 and is_between_rounds(state))
            rules = replace(state.rules, key_epoch=key_epoch)
            return replace(_without_attempt(state), rules=rules, refused=None, rotated=True)
        case AdvertSigned():
            return _adverted(state, record)
        case SumApplied() | SumUndone() | AttemptSettled():
            return _settled(state, record)
        case UpdateKept():
            _expect(record.round_number == state.applied + 1)
            return replace(state, update=record)
        case RunEnded():
            return replace(state, finished=True)
        case _:
            return _within_attempt(state, record)


def unsettled(state: MemberState) -> dict[int, bytes]:
    """A of the attempts that this member sent a header in and that have not ended, by number; one at most."""
    return {
        number: digest for number, digest in state.committed.items() if state.settled.get(number) != digest
    }


def is_between_rounds(state: MemberState) -> bool:
    """Tell if a member owes nobody anything, so that its keys may change: what it let go, or voted on, is settled.

    A contribution whose header was not let go can be in no sum, so it binds nobody.
    """
    return not unsettled(state) and not _has_open_vote(state) and not state.finished


def owed_to_a_refused_sum(state: MemberState) -> dict[int, bytes] | None:
    """A of the one attempt that keeps keys from changing, by number, where this member refused its sum; else None."""
    refused = state.refused
    if refused is None or state.finished:
        return None
    manifest, open_attempts = state.manifest, set(unsettled(state).items())
    if manifest is not None and _has_open_vote(state):
        # Its contribution came too late for a header, and it voted and refused the sum like the others.
        number = manifest.attempt.number
        open_attempts.add((number, refused.cohort_digest if number == refused.number else b""))
    of_the_refused = {(refused.number, refused.cohort_digest)}
    return dict(of_the_refused) if open_attempts == of_the_refused else None


def _has_open_vote(state: MemberState) -> bool:
    manifest = state.manifest
    return manifest is not None and state.vote is not None and manifest.attempt.number not in state.settled


def _within_attempt(
    state: MemberState,
    record: CohortAccepted
    | ContributionStaged
    | PacketsKept
    | HeaderCommitted
    | VoteSigned
    | RevealSigned
    | SpoiledSigned
    | SumRefused,
) -> MemberState:
    manifest = state.manifest
    place = manifest and (manifest.attempt.round_number, manifest.attempt.number)
    if isinstance(record, SpoiledSigned):
        return replace(state, spoiled_vote=record)
    if isinstance(record, SumRefused):
        _expect(record.round_number == state.applied + 1)
        return replace(state, refused=record)
    _expect(place == (record.round_number, record.number))
    match record:
        case CohortAccepted():
            return replace(state, cohort=_cohort(state, record))
        case ContributionStaged():
            return replace(state, staged=record)
        case PacketsKept():
            return replace(state, packets=record)
        case HeaderCommitted(number=number, cohort_digest=digest):
            _expect(not unsettled(state) or unsettled(state) == {number: digest})
            return replace(state, committed={**state.committed, number: digest})
        case VoteSigned():
            _expect(state.vote is None)
            return replace(state, vote=record)
        case RevealSigned():
            _expect(state.reveal is None)
            return replace(state, reveal=record)
        case _:
            assert_never(record)


def _adverted(state: MemberState, record: AdvertSigned) -> MemberState:
    number = record.round_number
    _expect(number == state.applied + 1 and is_newer(state, number, record.number))
    attempt = state.rules.attempt(number, record.number)
    manifest = Manifest(attempt, record.invited, record.settled)
    advert = Advert(attempt, state.member, manifest.digest, record.nonce, record.state)
    return replace(
        _without_attempt(state),
        manifest=manifest,
        advert=Signed(advert, record.signature),
        newest=(state.rules.key_epoch, number, record.number),
        rotated=False,
    )


def _settled(state: MemberState, record: SumApplied | SumUndone | AttemptSettled) -> MemberState:
    match record:
        case SumApplied(round_number=number):
            own = {record.number: record.cohort_digest}
            _expect(number == state.applied + 1 and unsettled(state) in ({}, own))
            return replace(
                _without_attempt(state),
                applied=number,
                sums=(*state.sums, record),
                update=None,
                former_update=state.update,
                committed={},
                settled={},
                settled_by_sum=state.committed,
                spoiled=None,
                rotated=False,
            )
        case SumUndone(round_number=number):
            _expect(number == state.applied and may_go_back(state))
            return replace(
                _without_attempt(state),
                applied=number - 1,
                sums=state.sums[:-1],
                update=state.former_update,
                former_update=None,
                committed=state.settled_by_sum,
                settled_by_sum={},
                spoiled=state.sums[-1].survivors,
            )
        case AttemptSettled(number=number, cohort_digest=digest, survivors=survivors):
            _expect(record.round_number == state.applied + 1)
            settled = {**state.settled, number: digest}
            return replace(state, settled=settled, spoiled=survivors or state.spoiled)
        case _:
            assert_never(record)


def _without_attempt(state: MemberState) -> MemberState:
    return replace(
        state,
        manifest=None,
        advert=None,
        cohort=None,
        staged=None,
        packets=None,
        vote=None,
        reveal=None,
        spoiled_vote=None,
    )


def _cohort(state: MemberState, record: CohortAccepted) -> Cohort:
    manifest = state.manifest
    assert manifest is not None
    digest = manifest.digest
    adverts = (
        Signed(Advert(manifest.attempt, each.signer, digest, each.nonce, each.state), each.signature)
        for each in record.adverts
    )
    return Cohort(manifest, tuple(adverts))


def _opened(state: MemberState, opened: RoundOpened, *, rounds: int) -> tuple[Effect, ...]:
    number = opened.manifest.attempt.round_number
    if number > rounds:
        raise ProtocolError(f"the server opened round {number}, the last one is {rounds}")
    if state.ended and number > state.applied:
        raise ProtocolError(f"the server opened a round, but round {state.applied} ended the federation")
    if number < state.applied or (number == state.applied and not opened.settled):
        raise ProtocolError(f"the server opened round {number}, expected was {state.applied + 1}")
    if number == state.applied and not may_go_back(state):
        raise ProtocolError(
            f"the server takes round {number} back, and this member has gone on since it applied the round's sum"
        )
    missed = (CatchUp(number - 1),) if number > state.applied + 1 else ()
    invited = state.member in opened.manifest.invited
    return (*missed, TakePart(opened)) if invited else missed


def _closed(state: MemberState, cohort: Cohort) -> tuple[Effect, ...]:
    state.rules.check_keys(cohort.attempt)
    known = state.manifest is not None and state.manifest.attempt == cohort.attempt
    return (Contribute(cohort),) if known and state.member in cohort.members else ()


def _is_open(state: MemberState, cohort_digest: bytes) -> bool:
    """True where this is the attempt that the member is in."""
    return state.cohort is not None and state.cohort.digest == cohort_digest


def _ready(state: MemberState, number: int, *, rounds: int) -> tuple[Effect, ...]:
    if number > rounds:
        raise ProtocolError(f"the server announces an aggregate of round {number}, the last one is {rounds}")
    return (CatchUp(number),) if number > state.applied else (ConfirmAgain(),)


def _finish(state: MemberState, *, rounds: int) -> tuple[Effect, ...]:
    if state.ended or state.applied == rounds:
        return ConfirmAgain(), Finish()
    # A member that was away while the others ended: the server keeps the sums until everybody has them.
    return CatchUp(rounds), Finish()


def _expect(fits: bool) -> None:
    if not fits:
        raise ProtocolError("a record of the journal does not follow those before it")
