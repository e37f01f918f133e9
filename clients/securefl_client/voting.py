"""Steps 3 and 4 of a member's round: its one vote, and its one reveal.

The rule kept here: everything is checked before it is signed, a vote and a reveal are on disk before they leave, and
what was signed once is only ever repeated.
"""

from __future__ import annotations

from securefl.crypto.framing import framed
from securefl.crypto.sealed_reasons import seal_reason
from securefl.errors import AuthenticationError, ProtocolError
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.rules import OwnPart
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.statement import (
    Survivors,
    SurvivorsVote,
    VoidVote,
)
from securefl.protocol.agreement.verification import (
    check_survivors,
    verify_certificate,
)
from securefl.protocol.calls import (
    Abstention,
    CastVote,
    Certified,
    SendReveal,
    SurvivorsProposed,
)
from securefl.protocol.member_records import (
    RevealSigned,
    VoteSigned,
)
from securefl_client.packets import take_packets
from securefl_client.round_work import Steps
from securefl_client.standing import Standing


class Voting:
    """A member's votes and reveals.

    Args:
        own: Where it stands.
    """

    def __init__(self, own: Standing) -> None:
        self._own = own

    def judge(self, proposed: SurvivorsProposed) -> Steps:
        """Vote for the survivors if everything about them holds; else abstain, with a reason for the members."""
        if self._own.state.vote is None:
            cohort, statement = self._own.cohort, proposed.statement
            yield from take_packets(self._own, (each.index for each in statement.survivors))
            own = self._own_part(cohort)
            owners = self._own.work.owners(self._own.attempt.round_number)
            try:
                check_survivors(statement, proposed.headers, cohort, self._own.rules, own=own, owners=owners)
            except (ProtocolError, AuthenticationError) as error:
                self._own.work.abstain(self._own.attempt.round_number, error.what)
                yield self._abstention(error.what)
                return
            vote = sign(
                SurvivorsVote(self._own.attempt, self._own.member, statement.digest), self._own.signing_key
            )
            self._own.journal.add(VoteSigned(*self._own.place, "survivors", statement.digest, vote.signature))
        yield self._cast()

    def _own_part(self, cohort: Cohort) -> OwnPart:
        own = self._own
        return OwnPart(own.member, own.sent_header(cohort), own.opened_packets(), spoiled=own.state.spoiled)

    def vote_void(self) -> Steps:
        """Vote that the attempt has no sum, unless this member voted for survivors: then that vote again."""
        if self._own.state.vote is None:
            digest = self._own.cohort.digest
            vote = sign(VoidVote(self._own.attempt, self._own.member, digest), self._own.signing_key)
            self._own.journal.add(VoteSigned(*self._own.place, "void", digest, vote.signature))
        yield self._cast()

    def _cast(self) -> CastVote:
        """The one vote of this attempt, as it was signed."""
        kept = self._own.state.vote
        assert kept is not None
        if kept.choice == "void":
            return CastVote(
                Signed(VoidVote(self._own.attempt, self._own.member, kept.digest), kept.signature)
            )
        return CastVote(
            Signed(SurvivorsVote(self._own.attempt, self._own.member, kept.digest), kept.signature)
        )

    def _abstention(self, reason: str) -> CastVote:
        place = framed(*self._own.attempt.fields, self._own.cohort.digest, self._own.member.encode())
        sealed = seal_reason(self._own.reason_key, reason, place=place, entropy=self._own.entropy)
        return CastVote(Abstention(self._own.attempt, sealed))

    def help(self, certified: Certified) -> Steps:
        """Check the certificate, and reveal the sum of this member's shares over its survivors; once.

        Raises:
            ProtocolError, AuthenticationError: if what the server says does not hold.
        """
        cohort, statement = self._own.cohort, certified.certificate.statement
        verify_certificate(certified.certificate, cohort, self._own.rules)
        if self._own.state.reveal is None:
            yield from take_packets(self._own, (each.index for each in statement.survivors))
            sealed = self._sealed_sum(statement, cohort)
            if sealed is None:
                return
            reveal = sign(
                Reveal(self._own.attempt, self._own.member, statement.digest, sealed), self._own.signing_key
            )
            self._own.journal.add(RevealSigned(*self._own.place, statement.digest, sealed, reveal.signature))
        kept = self._own.state.reveal
        assert kept is not None
        if kept.statement_digest != statement.digest:
            raise ProtocolError("the server shows two certified statements of one attempt")
        body = Reveal(self._own.attempt, self._own.member, kept.statement_digest, kept.sealed)
        yield SendReveal(Signed(body, kept.signature))

    def _sealed_sum(self, statement: Survivors, cohort: Cohort) -> bytes | None:
        """This member's sum of shares, sealed; None where it lacks one."""
        assert self._own.shares is not None
        shares = self._own.kept_shares()
        own = self._own.staged_head()
        if own is not None:
            shares[cohort.index(self._own.member)] = own.own_share
        survivors = [each.index for each in statement.survivors]
        if not set(survivors) <= set(shares):
            return None
        return self._own.shares.revealed(
            [shares[index] for index in survivors], statement, self._own.rules.sizes(cohort)
        )
