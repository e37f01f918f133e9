"""Step 5 of a member's round: the certified sum, fetched, verified, opened and applied; or found to be spoiled.

The rule kept here: rounds are applied in their order, each once, from a head that verifies by itself, so that a member
that took no part ends in the same state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator

import numpy as np

from securefl.aggregation.decryption import Body
from securefl.crypto.authentication import forgery
from securefl.errors import AuthenticationError, ForgeryError, ProtocolError
from securefl.ledger.events import AggregateApplied
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.statement import (
    SpoiledProof,
    SpoiledVote,
)
from securefl.protocol.agreement.verification import (
    check_own_header,
    survivor_ids,
    verify_head,
    verify_settled,
)
from securefl.protocol.calls import (
    AggregateHead,
    CastVote,
    Confirm,
    FetchAggregate,
    RoundOpened,
)
from securefl.protocol.member_records import (
    SpoiledSigned,
    SumApplied,
    SumRefused,
    SumUndone,
)
from securefl_client.round_work import (
    Downloaded,
    Got,
    Integers,
    Sent,
    Steps,
)
from securefl_client.standing import Standing


class Summing:
    """A member's way with sums.

    Args:
        own: Where it stands.
    """

    def __init__(self, own: Standing) -> None:
        self._own = own
        self._confirmed: int | None = None

    def confirm(self) -> Steps:
        """Say that the last round is applied."""
        if self._own.state.sums:
            yield Confirm(self._own.state.applied, self._own.state.ended)
            self._confirmed = self._own.state.applied

    def confirm_once(self) -> Steps:
        """Say so unless this session has said it: a confirmation may have been lost with the process before it."""
        if self._confirmed != self._own.state.applied:
            yield from self.confirm()

    def catch_up(self, through: int) -> Steps:
        """Apply the missing sums up to a round, and confirm each; stop at one that the reveals do not open yet.

        Raises:
            ProtocolError, AuthenticationError: if what the server says does not hold.
        """
        while self._own.state.applied < through and not self._own.state.ended:
            head = yield from self._apply_next()
            if head is not None:
                return
            yield from self.confirm()

    def _apply_next(self) -> Generator[Sent, Got, AggregateHead | None]:
        """Fetch, open and apply the next round's sum; its head where the reveals do not open it yet."""
        number = self._own.state.applied + 1
        answer = yield FetchAggregate(number)
        if not isinstance(answer, Downloaded) or answer.head.cohort.attempt.round_number != number:
            raise ProtocolError(f"the server answers with another sum than that of round {number}")
        head, body = answer.head, answer.body
        self._verify(head, body)
        sums = self._open(head, body)
        if sums is None:
            return head
        self._take_up(sums, head)
        return None

    def _verify(self, head: AggregateHead, body: Body) -> None:
        attempt, cohort = head.cohort.attempt, head.cohort
        committed = dict(self._own.state.committed)
        own = committed.pop(attempt.number, None)
        if own is not None and own != cohort.digest:
            raise ProtocolError("the sum is of another cohort than this member contributed to")
        verify_head(
            head,
            self._own.rules,
            state=self._own.work.agreement(cohort.manifest),
            committed=committed,
            owners=self._own.work.owners(attempt.round_number),
        )
        survivors = survivor_ids(head.certificate.statement, cohort)
        if self._own.state.spoiled is not None and survivors != self._own.state.spoiled:
            raise ProtocolError(
                "the sum is of other survivors than one on this state that could not be opened"
            )
        if self._own.member in cohort.members:
            header = self._own.sent_header(cohort) if own is not None else None
            check_own_header(head.certificate.statement, head.headers, cohort, self._own.member, header)
        if len(body) != head.body_bytes or _digest_of(body) != head.certificate.statement.total_digest:
            raise AuthenticationError("the sum's bytes are not those that were certified")

    def _open(self, head: AggregateHead, body: Body) -> Integers | None:
        if self._own.state.refused is not None:
            # One verdict: a second one under these keys could tell about them.
            raise forgery(refuses_keys=True)
        if self._own.shares is None:
            return self._decrypted_once(head, body)
        for key_sum in self._own.shares.sums_of_keys(head):
            try:
                return self._own.work.decrypt(head, body, key_sum=key_sum)
            except AuthenticationError:
                # The total is fixed by the certificate, so trying another reading of its key teaches nobody anything.
                continue
        return None

    def _decrypted_once(self, head: AggregateHead, body: Body) -> Integers:
        """The sum under the keys that all members hold; a refusal that spends them is signed and on disk first."""
        try:
            return self._own.work.decrypt(head, body, key_sum=None)
        except ForgeryError as error:
            if error.refuses_keys:
                self._own.journal.add(self._refusal(head))
            raise

    def _refusal(self, head: AggregateHead) -> SumRefused:
        statement, cohort = head.certificate.statement, head.cohort
        vote = sign(SpoiledVote(statement.attempt, self._own.member, statement.digest), self._own.signing_key)
        return SumRefused(
            statement.attempt.round_number,
            statement.attempt.number,
            cohort.digest,
            statement.digest,
            survivor_ids(statement, cohort),
            vote.signature,
        )

    def _take_up(self, sums: Integers, head: AggregateHead) -> None:
        statement, cohort = head.certificate.statement, head.cohort
        number, attempt = statement.attempt.round_number, statement.attempt.number
        survivors = survivor_ids(statement, cohort)
        for each in head.settled:
            self._own.note_settled(each)
        integers = np.ascontiguousarray(sums, dtype="<i8")
        mark = self._own.journal.keep(f"round-{number}.sums", [integers.tobytes()])
        last = self._own.work.apply(sums, head)
        included = int(self._own.member in survivors)
        self._own.ledger.note(AggregateApplied(number, mark.sha256, attempt, included))
        before = self._own.state.former_update
        self._own.journal.add(
            SumApplied(
                number,
                attempt,
                cohort.digest,
                cohort.members,
                statement.digest,
                survivors,
                mark,
                last,
            )
        )
        self._own.forget_attempt()
        self._own.journal.drop(*(() if before is None else (before.integers.name,)))
        if self._own.shares is not None:
            # The keys of this round stay until the next sum: until then others may say that they could not open it.
            self._own.shares.forget_before(number)

    def judge_spoiled(self, digest: bytes) -> Steps:
        """Try once more to open the certified sum of this statement; say that it cannot be opened, if so.

        Raises:
            ProtocolError, AuthenticationError: if what the server says does not hold.
        """
        if self._own.state.sums and self._own.state.sums[-1].statement_digest == digest:
            yield from self.confirm()
            return
        kept = self._own.state.spoiled_vote
        if kept is None or kept.statement_digest != digest:
            head = yield from self._apply_next()
            if head is None:
                yield from self.confirm()
                return
            statement = head.certificate.statement
            if statement.digest != digest or self._own.member not in head.cohort.members:
                return
            vote = sign(SpoiledVote(statement.attempt, self._own.member, digest), self._own.signing_key)
            place = statement.attempt.round_number, statement.attempt.number
            self._own.journal.add(SpoiledSigned(*place, digest, vote.signature))
        kept = self._own.state.spoiled_vote
        assert kept is not None
        attempt = self._own.rules.attempt(kept.round_number, kept.number)
        yield CastVote(Signed(SpoiledVote(attempt, self._own.member, digest), kept.signature))

    def go_back(self, opened: RoundOpened) -> None:
        """Give up the last sum, if t members have proven that they could not open it."""
        last = self._own.state.sums[-1] if self._own.state.sums else None
        verify_settled(
            opened.manifest, opened.settled, self._own.rules, committed=self._own.state.settled_by_sum
        )
        proven = any(
            isinstance(each.settlement, SpoiledProof)
            and last is not None
            and each.settlement.certificate.statement.digest == last.statement_digest
            for each in opened.settled
        )
        if not proven:
            raise ProtocolError(
                f"the server opened round {self._own.state.applied}, expected was {self._own.state.applied + 1}"
            )
        self._own.journal.add(SumUndone(self._own.state.applied))
        self._confirmed = None
        self._own.work.go_back(self._own.state)


def _digest_of(body: Body) -> bytes:
    digest, piece = hashlib.sha256(), 1 << 20
    for start in range(0, len(body), piece):
        digest.update(body[start : start + piece])
    return digest.digest()
