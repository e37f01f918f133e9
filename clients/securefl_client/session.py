"""A member's rounds: what an announcement asks for, carried out, with every promise on disk before it is made.

The rule kept here: this file talks to nobody. ``handle`` yields what is to be sent and is sent the answer, so that the
process drives it over the network and tests over a faulty one; it may be dropped at any ``yield``, as a crash would,
and a session made anew from the journal goes on.

    for an announcement: check -> journal -> yield the request

What is checked stands in ``protocol.agreement.verification``, what to do in ``protocol.member_session``; the sequence
of training and encryption is behind ``RoundWork``.
"""

from __future__ import annotations

from typing import assert_never

from securefl.errors import ProtocolError
from securefl.ledger.events import RunFinished
from securefl.protocol.calls import (
    Announcement,
    Leave,
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
from securefl.protocol.member_records import RunEnded
from securefl.protocol.member_session import (
    MemberState,
    asked,
    in_cohort,
)
from securefl_client.contributing import Contributing
from securefl_client.round_work import Steps
from securefl_client.standing import Standing
from securefl_client.summing import Summing
from securefl_client.voting import Voting


class MemberSession:
    """One member's rounds.

    Args:
        own: Where it stands.
        rounds: Number of the federation's last round.
    """

    def __init__(self, own: Standing, *, rounds: int) -> None:
        self._own = own
        self._rounds = rounds
        self._sums = Summing(own)
        self._contributions = Contributing(own, go_back=self._sums.go_back)
        self._votes = Voting(own)

    @property
    def state(self) -> MemberState:
        """The state that the journal leads to."""
        return self._own.state

    def handle(self, announcement: Announcement) -> Steps:
        """Do what an announcement asks of this member.

        Yields:
            Requests; each is answered by ``send``.

        Raises:
            SecureFLError: whatever ends this member's part.
        """
        for effect in asked(self._own.state, announcement, rounds=self._rounds):
            yield from self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> Steps:
        match effect:
            case AwaitMembers(missing):
                self._own.work.await_members(missing)
            case CatchUp(number):
                yield from self._sums.catch_up(number)
            case TakePart(opened):
                if opened.manifest.attempt.round_number > self._own.state.applied:
                    yield from self._sums.confirm_once()
                yield from self._contributions.take_part(opened)
            case Contribute(cohort):
                yield from self._contributions.contribute(cohort)
            case Commit(asked):
                yield from self._contributions.commit(asked)
            case Judge(proposed):
                yield from self._votes.judge(proposed)
            case VoteVoid():
                yield from self._votes.vote_void()
            case Help(certified):
                yield from self._votes.help(certified)
            case LearnCohort(announcement):
                yield from self._contributions.learn_cohort()
                for following in in_cohort(self._own.state, announcement):
                    yield from self._carry_out(following)
            case ConfirmAgain():
                yield from self._sums.confirm()
            case JudgeSpoiled(digest):
                yield from self._sums.judge_spoiled(digest)
            case Finish():
                yield from self._finish()
            case _:
                assert_never(effect)

    def _finish(self) -> Steps:
        if not self._own.state.finished:
            if not self._own.state.ended and self._own.state.applied != self._rounds:
                raise ProtocolError(
                    f"the server closed the federation after round {self._own.state.applied}, before its last"
                )
            self._own.work.finish(self._own.state)
            self._own.ledger.note(RunFinished(self._own.state.applied))
            self._forget_last_round()
            self._own.journal.add(RunEnded())
        yield Leave(finished=True)

    def _forget_last_round(self) -> None:
        """Give up the keys and shares of the last round, as the next sum does after every other one."""
        self._own.forget_attempt()
        if self._own.shares is not None:
            self._own.shares.forget_before(self._own.state.applied + 1)
