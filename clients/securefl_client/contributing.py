"""Steps 0 to 2 of a member's round: advert, training, contribution, packets, and the header that commits it.

The rule kept here: the header is let go last, its charge is written before it, and nobody adverts for another attempt
before every contribution of its own is settled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator

from securefl.errors import BudgetError, ProtocolError, RunError
from securefl.ledger.events import (
    RoundContributed,
    RoundReserved,
)
from securefl.protocol.agreement.cohort import NONCE_BYTES, Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import (
    NO_PACKETS,
    SALT_BYTES,
    ContributionHeader,
    packets_digest,
)
from securefl.protocol.agreement.signed import Signed, sign
from securefl.protocol.agreement.verification import (
    verify_cohort,
    verify_manifest,
    verify_settled,
)
from securefl.protocol.calls import (
    Acknowledge,
    CohortClosed,
    CommitAsked,
    FetchCohort,
    RoundOpened,
    SendAdvert,
    SitOut,
    Staged,
)
from securefl.protocol.member_records import (
    AdvertSigned,
    CohortAccepted,
    ContributionStaged,
    FileMark,
    HeaderCommitted,
    OtherAdvert,
    UpdateKept,
)
from securefl.protocol.member_session import is_newer
from securefl_client.outbox_folder import OutboxHead
from securefl_client.packets import take_packets
from securefl_client.round_work import (
    Encrypting,
    Got,
    Sent,
    Steps,
    Upload,
)
from securefl_client.standing import Standing


class Contributing:
    """A member's steps up to its commitment.

    Args:
        own: Where it stands.
        go_back: Gives up the last sum, if what the server opens proves that t members could not open it.
    """

    def __init__(self, own: Standing, *, go_back: Callable[[RoundOpened], None]) -> None:
        self._own = own
        self._go_back = go_back

    def take_part(self, opened: RoundOpened) -> Steps:
        """Check how earlier attempts ended, advert, and train once the advert has left; sit out what is not affordable.

        Raises:
            ProtocolError, AuthenticationError: if what the server says does not hold.
        """
        manifest = opened.manifest
        verify_manifest(manifest, self._own.rules)
        number = manifest.attempt.round_number
        if number == self._own.state.applied:
            self._go_back(opened)
        if number != self._own.state.applied + 1:
            raise ProtocolError(
                f"the server opened round {number}, expected was {self._own.state.applied + 1}"
            )
        if manifest != self._own.state.manifest:
            self._settle(opened)
            if not self._affords(number):
                yield SitOut(manifest.attempt)
                return
            self._advert(manifest)
        assert self._own.state.advert is not None
        yield SendAdvert(self._own.state.advert)
        yield from self._trained(number)

    def _settle(self, opened: RoundOpened) -> None:
        attempt = opened.manifest.attempt
        if not is_newer(self._own.state, attempt.round_number, attempt.number):
            _, number, before = self._own.state.newest
            raise ProtocolError(
                f"the server opened attempt {attempt.number} of round {attempt.round_number} after "
                f"attempt {before} of round {number}"
            )
        spoiled = verify_settled(
            opened.manifest, opened.settled, self._own.rules, committed=self._own.state.committed
        )
        if self._own.state.spoiled is not None and spoiled != self._own.state.spoiled:
            raise ProtocolError("the server leaves out a certified sum that could not be opened")
        for each in opened.settled:
            self._own.note_settled(each)

    def _advert(self, manifest: Manifest) -> None:
        self._own.forget_attempt()
        advert = Advert(
            manifest.attempt,
            self._own.member,
            manifest.digest,
            self._own.entropy(NONCE_BYTES),
            self._own.work.agreement(manifest),
        )
        signed = sign(advert, self._own.signing_key)
        self._own.journal.add(
            AdvertSigned(
                manifest.attempt.round_number,
                manifest.attempt.number,
                manifest.invited,
                manifest.settled,
                advert.nonce,
                advert.state,
                signed.signature,
            )
        )

    def _affords(self, number: int) -> bool:
        """True where a round is trained already, and charged, or its charge would fit."""
        if self._own.state.update is None:
            try:
                self._own.charges.require(number)
            except BudgetError as error:
                self._own.work.sit_out(number, error)
                return False
        return True

    def _trained(self, number: int) -> Generator[Sent, Got, bool]:
        """Train; where another federation has spent the budget meanwhile, sit the open attempt out."""
        try:
            self._train(number)
        except BudgetError as error:
            self._own.work.sit_out(number, error)
            yield SitOut(self._own.attempt)
            return False
        return True

    def _train(self, number: int) -> None:
        if self._own.state.update is not None:
            return
        self._own.charges.begin(number)
        trained = self._own.work.train(number)
        mark = self._own.journal.keep(
            f"round-{number}.update", (run.astype("<i8").tobytes() for run in trained.runs)
        )
        self._own.work.trained(number)
        self._own.journal.add(UpdateKept(number, mark, trained.saturated(), trained.loss))

    def contribute(self, cohort: Cohort) -> Steps:
        """Check the cohort, and send the contribution to it: a fresh one once, the same bytes from then on.

        Raises:
            ProtocolError, AuthenticationError: if what the server says does not hold.
        """
        self._accept(cohort)
        if not (yield from self._trained(self._own.attempt.round_number)):
            return
        head = self._own.staged_head() or self._fill(cohort)
        request = head.request(self._own.attempt, cohort_digest=cohort.digest)
        answer = yield Upload(request, self._own.outbox.body)
        if not isinstance(answer, Staged) or not answer.complete:
            raise ProtocolError("the server does not hold the whole contribution")

    def _fill(self, cohort: Cohort) -> OutboxHead:
        update = self._own.state.update
        assert update is not None
        manifest_digest = cohort.manifest.digest
        number, attempt = self._own.place
        self._own.ledger.note(RoundReserved(number, manifest_digest, attempt))
        head = self._own.charges.contribute(
            number, attempt, integers_digest=update.integers.sha256, note=self._own.ledger.note
        )
        salt = self._own.entropy(SALT_BYTES)
        encrypting = self._own.work.encrypt(
            lambda: self._own.journal.integers(update.integers), cohort=cohort, salt=salt
        )
        mark, outbox = self._own.outbox.fill(
            encrypting.windows(),
            lambda body: self._head(encrypting, body, cohort, salt=salt, budget_head=head),
        )
        self._own.journal.add(ContributionStaged(number, attempt, cohort.digest, mark))
        return outbox

    def _head(
        self, encrypting: Encrypting, body: FileMark, cohort: Cohort, *, salt: bytes, budget_head: bytes
    ) -> OutboxHead:
        packets: tuple[bytes, ...] = ()
        own, digest = b"", NO_PACKETS
        if self._own.shares is not None:
            if encrypting.key is None:
                raise ProtocolError("there is no key to share under this scheme")
            dealt = self._own.shares.deal(encrypting.key, cohort, body_digest=body.sha256)
            packets, own, digest = dealt.packets, dealt.own, packets_digest(dealt.packets)
        header = ContributionHeader(
            cohort.attempt,
            self._own.member,
            cohort.digest,
            salt,
            hashlib.sha256(encrypting.seeds).digest(),
            body.sha256,
            digest,
            budget_head,
        )
        signature = sign(header, self._own.signing_key).signature
        return OutboxHead(salt, body, encrypting.seeds, packets, own, digest, signature, budget_head)

    def learn_cohort(self) -> Steps:
        """Ask for the cohort of the open attempt, and accept it; nothing happens where this member is not in it.

        Raises:
            ProtocolError, AuthenticationError: if what the server says does not hold.
        """
        try:
            answer = yield FetchCohort(self._own.attempt)
        except RunError:
            # Its advert came too late, or the attempt is over: what follows is none of its matters.
            return
        if not isinstance(answer, CohortClosed) or answer.cohort.attempt != self._own.attempt:
            raise ProtocolError("the server answers with the cohort of another attempt")
        if self._own.member in answer.cohort.members:
            self._accept(answer.cohort)

    def _accept(self, cohort: Cohort) -> None:
        state = self._own.state
        assert state.advert is not None
        verify_cohort(cohort, self._own.rules, own=state.advert, state=state.advert.body.state)
        if state.cohort is None:
            adverts = tuple(
                OtherAdvert(each.body.signer, each.body.nonce, each.body.state, each.signature)
                for each in cohort.adverts
            )
            self._own.journal.add(CohortAccepted(*self._own.place, adverts))
        elif state.cohort != cohort:
            raise ProtocolError("the server shows two cohorts of one attempt")

    def commit(self, commit: CommitAsked) -> Steps:
        """Open the packets of those that staged, say which opened, and let the header go.

        Raises:
            ProtocolError, AuthenticationError: if what the server says does not hold.
        """
        cohort = self._own.cohort
        if not set(commit.staged) <= set(range(len(cohort.members))):
            raise ProtocolError("the server names others than the cohort's members")
        opened = commit.staged
        if self._own.shares is not None:
            yield from take_packets(self._own, commit.staged)
            mine = {*self._own.opened_packets(), cohort.index(self._own.member)}
            opened = tuple(index for index in commit.staged if index in mine)
        # A contribution that the server does not hold can be in no sum: its header stays here, and is not charged.
        held = cohort.index(self._own.member) in commit.staged
        yield Acknowledge(self._own.attempt, opened, self._committed_header(cohort) if held else None)

    def _committed_header(self, cohort: Cohort) -> Signed[ContributionHeader] | None:
        """The header, charged and written down before it leaves; None where nothing was staged."""
        head = self._own.staged_head()
        if head is None:
            return None
        header = self._own.header_of(head, cohort)
        if not self._own.state.is_committed:
            # The charge before the promise: after a crash between the two it is found, and not made twice.
            number, attempt = self._own.place
            self._own.ledger.note(RoundContributed(number, header.body.body_digest, attempt))
            self._own.journal.add(HeaderCommitted(number, attempt, cohort.digest))
        return header
