"""A member's rounds: what an announcement asks for, carried out, with every promise on disk before it is made.

The rule kept here: this file talks to nobody. ``handle`` yields what is to be sent and is sent the answer, so that the
process drives it over the network and tests over a faulty one; it may be dropped at any ``yield``, as a crash would,
and a session made anew from the journal goes on.

    for an announcement: check -> journal -> yield the request

What is checked stands in ``protocol.agreement.verification``, what to do in ``protocol.member_session``; the sequence
of training and encryption is behind ``RoundWork``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from securefl.aggregation.decryption import Body
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.framing import framed
from securefl.crypto.kahe.keys import KeySum, ShortKey
from securefl.crypto.sealed_reasons import seal_reason
from securefl.errors import AuthenticationError, ProtocolError
from securefl.identity.signing import SigningKey
from securefl.ledger.events import (
    AggregateApplied,
    Event,
    RoundContributed,
    RoundReserved,
    RoundSpoiled,
    RoundVoided,
    RunFinished,
)
from securefl.protocol.agreement.cohort import NONCE_BYTES, Advert, Cohort, Manifest
from securefl.protocol.agreement.commitment import (
    NO_PACKETS,
    SALT_BYTES,
    ContributionHeader,
    packets_digest,
)
from securefl.protocol.agreement.reveal import Reveal
from securefl.protocol.agreement.rules import Owners, OwnPart, Rules
from securefl.protocol.agreement.signed import Attempt, Signed, sign
from securefl.protocol.agreement.statement import (
    SpoiledProof,
    SpoiledVote,
    Survivors,
    SurvivorsVote,
    VoidVote,
)
from securefl.protocol.agreement.verification import (
    check_own_header,
    check_survivors,
    survivor_ids,
    verify_certificate,
    verify_cohort,
    verify_head,
    verify_manifest,
    verify_settled,
)
from securefl.protocol.calls import (
    Abstention,
    Acknowledge,
    AggregateHead,
    Announcement,
    Answer,
    CastVote,
    Certified,
    CommitAsked,
    Confirm,
    FetchAggregate,
    FetchPackets,
    Leave,
    Packets,
    Request,
    RoundOpened,
    SendAdvert,
    SendReveal,
    SettledAttempt,
    StageContribution,
    Staged,
    SurvivorsProposed,
)
from securefl.protocol.member_records import (
    AdvertSigned,
    AttemptSettled,
    CohortAccepted,
    ContributionStaged,
    FileMark,
    HeaderCommitted,
    OtherAdvert,
    PacketOpened,
    PacketsKept,
    RevealSigned,
    RunEnded,
    SpoiledSigned,
    SumApplied,
    SumUndone,
    UpdateKept,
    VoteSigned,
)
from securefl.protocol.member_session import (
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
    MemberState,
    TakePart,
    VoteVoid,
    asked,
)
from securefl_client.journal import Journal
from securefl_client.key_shares import KeyShares
from securefl_client.outbox_folder import OutboxFolder, OutboxHead

Integers = NDArray[np.int64]
INTEGER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Upload:
    """A contribution to be sent, from the offset that the server names; the answer is ``Staged``."""

    head: StageContribution
    body: Path


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Answer to ``FetchAggregate``: the head and the whole body."""

    head: AggregateHead
    body: Body


Sent = Request | Upload
Got = Answer | Downloaded
Steps = Generator[Sent, Got, None]
"""Requests out, their answers in."""


@dataclass(frozen=True, slots=True)
class TrainedRound:
    """A round's integers, in runs, each once.

    Attributes:
        runs: The integers.
        saturated: Tells how many were clipped, once all runs were taken.
        loss: Mean training loss, nats; None where it is not told.
    """

    runs: Iterable[Integers]
    saturated: Callable[[], int]
    loss: float | None = None


class Encrypting(Protocol):
    """A contribution in the making; see ``aggregation.encryption``."""

    def windows(self) -> Iterator[bytes]:
        """The body, in order, once."""
        ...

    @property
    def seeds(self) -> bytes:
        """Seeds of all ciphertexts; empty without them."""
        ...

    @property
    def key(self) -> ShortKey | None:
        """The one-time key; None where the scheme has none."""
        ...


class RoundWork(Protocol):
    """A member's model, data and aggregation, as the session asks for them."""

    def agreement(self, manifest: Manifest) -> bytes:
        """HMAC of this member's state for a manifest (32 bytes)."""
        ...

    def owners(self, round_number: int) -> Owners:
        """The rule of owners of the next round."""
        ...

    def train(self, round_number: int) -> TrainedRound:
        """Train for the next round; what later rounds depend on is kept once the runs are taken."""
        ...

    def trained(self, round_number: int) -> None:
        """Do what comes after the integers are on disk, and keep what later rounds depend on."""
        ...

    def encrypt(self, runs: Callable[[], Iterable[Integers]], *, cohort: Cohort, salt: bytes) -> Encrypting:
        """Encrypt the integers for a cohort."""
        ...

    def decrypt(self, head: AggregateHead, body: Body, *, key_sum: KeySum | None) -> Integers:
        """Open a verified sum.

        Raises:
            AuthenticationError: if it does not open to a sum with this key.
        """
        ...

    def apply(self, sums: Integers, head: AggregateHead) -> bool:
        """Take up a sum, and keep what later rounds depend on; True if it ends the federation early."""
        ...

    def go_back(self, state: MemberState) -> None:
        """Be at the state of an earlier round again, as after a start."""
        ...

    def finish(self, state: MemberState) -> None:
        """Evaluate and save."""
        ...

    def await_members(self, missing: tuple[str, ...]) -> None:
        """Say who is missing."""
        ...


class EventLog(Protocol):
    """A member's ledger, as far as the session writes it."""

    def note(self, event: Event) -> None:
        """Write an event, on disk when this returns; one that is there already is not written twice."""
        ...


class MemberSession:
    """One member's rounds.

    Args:
        rules: The federation's.
        signing_key: This member's.
        journal: Its journal, open.
        work: Its model, data and aggregation, at the journal's state.
        ledger: Its ledger.
        shares: Its part in shares of keys; None under a scheme without them.
        reason_key: A key that all members have and the server has not (32 bytes).
        rounds: Number of the federation's last round.
        entropy: Where nonces and salts come from.
    """

    def __init__(
        self,
        rules: Rules,
        signing_key: SigningKey,
        journal: Journal,
        work: RoundWork,
        ledger: EventLog,
        *,
        shares: KeyShares | None,
        reason_key: bytes,
        rounds: int,
        entropy: Entropy = SYSTEM,
    ) -> None:
        self._rules = rules
        self._key = signing_key
        self._journal = journal
        self._outbox = OutboxFolder(journal, on_step=journal.on_step)
        self._work = work
        self._ledger = ledger
        self._shares = shares
        self._reason_key = reason_key
        self._rounds = rounds
        self._entropy = entropy

    @property
    def state(self) -> MemberState:
        """What the journal says."""
        return self._journal.state

    @property
    def _member(self) -> str:
        return self.state.member

    @property
    def _attempt(self) -> Attempt:
        manifest = self.state.manifest
        assert manifest is not None
        return manifest.attempt

    @property
    def _place(self) -> tuple[int, int]:
        return self._attempt.round_number, self._attempt.number

    def handle(self, announcement: Announcement) -> Steps:
        """Do what an announcement asks of this member.

        Yields:
            Requests; each is answered by ``send``.

        Raises:
            SecureFLError: whatever ends this member's part.
        """
        for effect in asked(self.state, announcement, rounds=self._rounds):
            yield from self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> Steps:
        match effect:
            case AwaitMembers(missing):
                self._work.await_members(missing)
            case CatchUp(number):
                yield from self._catch_up(number)
            case TakePart(opened):
                yield from self._take_part(opened)
            case Contribute(cohort):
                yield from self._contribute(cohort)
            case Commit(asked):
                yield from self._commit(asked)
            case Judge(proposed):
                yield from self._judge(proposed)
            case VoteVoid():
                yield from self._vote_void()
            case Help(certified):
                yield from self._help(certified)
            case ConfirmAgain():
                if self.state.sums:
                    yield Confirm(self.state.applied, self.state.ended)
            case JudgeSpoiled(digest):
                yield from self._judge_spoiled(digest)
            case Finish():
                yield from self._finish()
            case _:
                assert_never(effect)

    # --- step 0 and 1: advert, training

    def _take_part(self, opened: RoundOpened) -> Steps:
        manifest = opened.manifest
        verify_manifest(manifest, self._rules)
        number = manifest.attempt.round_number
        if number == self.state.applied:
            self._go_back(opened)
        if number != self.state.applied + 1:
            raise ProtocolError(f"the server opened round {number}, expected was {self.state.applied + 1}")
        if manifest != self.state.manifest:
            self._settle(opened)
            self._advert(manifest)
        assert self.state.advert is not None
        yield SendAdvert(self.state.advert)
        self._train(number)

    def _settle(self, opened: RoundOpened) -> None:
        attempt, before = opened.manifest.attempt, self.state.manifest
        if before is not None and attempt.number <= before.attempt.number:
            raise ProtocolError(
                f"the server opened attempt {attempt.number} of round {attempt.round_number} after "
                f"attempt {before.attempt.number}"
            )
        spoiled = verify_settled(opened.manifest, opened.settled, self._rules, committed=self.state.committed)
        if self.state.spoiled is not None and spoiled != self.state.spoiled:
            raise ProtocolError("the server leaves out a certified sum that could not be opened")
        for each in opened.settled:
            self._note_settled(each)

    def _note_settled(self, each: SettledAttempt) -> None:
        attempt, digest = each.cohort.attempt, each.cohort.digest
        if self.state.settled.get(attempt.number) == digest:
            return
        proof = each.settlement
        spoiled = isinstance(proof, SpoiledProof)
        kind = RoundSpoiled if spoiled else RoundVoided
        if self.state.committed.get(attempt.number) == digest:
            self._ledger.note(kind(attempt.round_number, attempt.number))
        survivors = (
            survivor_ids(proof.certificate.statement, each.cohort) if isinstance(proof, SpoiledProof) else ()
        )
        self._journal.add(AttemptSettled(attempt.round_number, attempt.number, digest, survivors))

    def _advert(self, manifest: Manifest) -> None:
        self._forget_attempt()
        advert = Advert(
            manifest.attempt,
            self._member,
            manifest.digest,
            self._entropy(NONCE_BYTES),
            self._work.agreement(manifest),
        )
        signed = sign(advert, self._key)
        self._journal.add(
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

    def _train(self, number: int) -> None:
        if self.state.update is not None:
            return
        trained = self._work.train(number)
        mark = self._journal.keep(
            f"round-{number}.update", (run.astype("<i8").tobytes() for run in trained.runs)
        )
        self._work.trained(number)
        self._journal.add(UpdateKept(number, mark, trained.saturated(), trained.loss))

    # --- step 2: stage, packets, header

    def _contribute(self, cohort: Cohort) -> Steps:
        state = self.state
        assert state.advert is not None
        verify_cohort(cohort, self._rules, own=state.advert, state=state.advert.body.state)
        if state.cohort is None:
            adverts = tuple(
                OtherAdvert(each.body.signer, each.body.nonce, each.body.state, each.signature)
                for each in cohort.adverts
            )
            self._journal.add(CohortAccepted(*self._place, adverts))
        elif state.cohort != cohort:
            raise ProtocolError("the server shows two cohorts of one attempt")
        self._train(self._attempt.round_number)
        head = self._staged() or self._fill(cohort)
        request = head.request(self._attempt, cohort_digest=cohort.digest)
        answer = yield Upload(request, self._outbox.body)
        if not isinstance(answer, Staged) or not answer.complete:
            raise ProtocolError("the server does not hold the whole contribution")

    def _staged(self) -> OutboxHead | None:
        """The complete outbox of this attempt; None where there is none."""
        staged = self.state.staged
        return None if staged is None else self._outbox.load(staged.head)

    def _fill(self, cohort: Cohort) -> OutboxHead:
        update = self.state.update
        assert update is not None
        manifest_digest = cohort.manifest.digest
        number, attempt = self._place
        self._ledger.note(RoundReserved(number, manifest_digest, attempt))
        salt = self._entropy(SALT_BYTES)
        encrypting = self._work.encrypt(
            lambda: self._journal.integers(update.integers), cohort=cohort, salt=salt
        )
        mark, head = self._outbox.fill(
            encrypting.windows(), lambda body: self._head(encrypting, body, cohort, salt)
        )
        self._journal.add(ContributionStaged(number, attempt, cohort.digest, mark))
        return head

    def _head(self, encrypting: Encrypting, body: FileMark, cohort: Cohort, salt: bytes) -> OutboxHead:
        packets: tuple[bytes, ...] = ()
        own, digest = b"", NO_PACKETS
        if self._shares is not None:
            if encrypting.key is None:
                raise ProtocolError("there is no key to share under this scheme")
            dealt = self._shares.deal(encrypting.key, cohort, body_digest=body.sha256)
            packets, own, digest = dealt.packets, dealt.own, packets_digest(dealt.packets)
        header = ContributionHeader(
            cohort.attempt,
            self._member,
            cohort.digest,
            salt,
            hashlib.sha256(encrypting.seeds).digest(),
            body.sha256,
            digest,
        )
        signature = sign(header, self._key).signature
        return OutboxHead(salt, body, encrypting.seeds, packets, own, digest, signature)

    def _commit(self, commit: CommitAsked) -> Steps:
        cohort = self._open_cohort()
        if not set(commit.staged) <= set(range(len(cohort.members))):
            raise ProtocolError("the server names others than the cohort's members")
        opened = commit.staged
        if self._shares is not None:
            yield from self._take_packets(commit, cohort)
            opened = tuple(sorted({*self._opened(), *self._own_index(commit, cohort)}))
        head = self._staged() if self._own_index(commit, cohort) else None
        header = None if head is None else self._header(head, cohort)
        if header is not None and not self.state.is_committed:
            # The charge before the promise: after a crash between the two it is found, and not made twice.
            number, attempt = self._place
            self._ledger.note(RoundContributed(number, header.body.body_digest, attempt))
            self._journal.add(HeaderCommitted(number, attempt, cohort.digest))
        yield Acknowledge(self._attempt, opened, header)

    def _own_index(self, commit: CommitAsked, cohort: Cohort) -> set[int]:
        return {cohort.index(self._member)} & set(commit.staged)

    def _header(self, head: OutboxHead, cohort: Cohort) -> Signed[ContributionHeader]:
        return head.header(self._attempt, member=self._member, cohort_digest=cohort.digest)

    def _sent_header(self, cohort: Cohort) -> Signed[ContributionHeader] | None:
        """The header that this member let go in the open attempt."""
        head = self._staged() if self.state.is_committed else None
        return None if head is None else self._header(head, cohort)

    def _take_packets(self, commit: CommitAsked, cohort: Cohort) -> Steps:
        """Fetch the packets that are not kept yet, open and keep them."""
        assert self._shares is not None
        known = self._opened()
        if set(commit.staged) <= {*known, cohort.index(self._member)}:
            return
        answer = yield FetchPackets(self._attempt)
        if not isinstance(answer, Packets) or answer.attempt != self._attempt:
            raise ProtocolError("the server answers with packets of another attempt")
        shares = self._kept_shares()
        for sender, sealed, body_digest in answer.packets:
            if sender in commit.staged and sender not in shares and sender != cohort.index(self._member):
                share = self._shares.opened(sealed, cohort, sender=sender, body_digest=body_digest)
                if share is not None:
                    shares[sender], known[sender] = share, body_digest
        senders = sorted(known)
        number, attempt = self._place
        mark = self._journal.keep(
            f"round-{number}-{attempt}-{len(senders)}.packets", (shares[sender] for sender in senders)
        )
        opened = tuple(PacketOpened(sender, known[sender]) for sender in senders)
        self._journal.add(PacketsKept(number, attempt, mark, opened))

    def _opened(self) -> dict[int, bytes]:
        """Digest of the body that each packet was bound to, by the index of its sender."""
        packets = self.state.packets
        return {} if packets is None else {each.index: each.body_digest for each in packets.opened}

    def _kept_shares(self) -> dict[int, bytes]:
        """Shares from the others, by the index of their sender."""
        packets = self.state.packets
        if packets is None or not packets.opened:
            return {}
        content, count = self._journal.read(packets.file), len(packets.opened)
        size = len(content) // count
        return {
            each.index: content[place * size : (place + 1) * size]
            for place, each in enumerate(packets.opened)
        }

    # --- step 3: votes

    def _judge(self, proposed: SurvivorsProposed) -> Steps:
        if self.state.vote is None:
            cohort, statement = self._open_cohort(), proposed.statement
            own = OwnPart(self._member, self._sent_header(cohort), self._opened(), spoiled=self.state.spoiled)
            owners = self._work.owners(self._attempt.round_number)
            try:
                check_survivors(statement, proposed.headers, cohort, self._rules, own=own, owners=owners)
            except (ProtocolError, AuthenticationError) as error:
                yield self._abstention(error.what)
                return
            vote = sign(SurvivorsVote(self._attempt, self._member, statement.digest), self._key)
            self._journal.add(VoteSigned(*self._place, "survivors", statement.digest, vote.signature))
        yield self._cast()

    def _vote_void(self) -> Steps:
        if self.state.vote is None:
            digest = self._open_cohort().digest
            vote = sign(VoidVote(self._attempt, self._member, digest), self._key)
            self._journal.add(VoteSigned(*self._place, "void", digest, vote.signature))
        yield self._cast()

    def _cast(self) -> CastVote:
        """The one vote of this attempt, as it was signed."""
        kept = self.state.vote
        assert kept is not None
        if kept.choice == "void":
            return CastVote(Signed(VoidVote(self._attempt, self._member, kept.digest), kept.signature))
        return CastVote(Signed(SurvivorsVote(self._attempt, self._member, kept.digest), kept.signature))

    def _abstention(self, reason: str) -> CastVote:
        place = framed(*self._attempt.fields, self._open_cohort().digest, self._member.encode())
        sealed = seal_reason(self._reason_key, reason, place=place, entropy=self._entropy)
        return CastVote(Abstention(self._attempt, sealed))

    # --- step 4: reveal

    def _help(self, certified: Certified) -> Steps:
        cohort, statement = self._open_cohort(), certified.certificate.statement
        verify_certificate(certified.certificate, cohort, self._rules)
        if self.state.reveal is None:
            sealed = self._sealed_sum(statement, cohort)
            if sealed is None:
                return
            reveal = sign(Reveal(self._attempt, self._member, statement.digest, sealed), self._key)
            self._journal.add(RevealSigned(*self._place, statement.digest, sealed, reveal.signature))
        kept = self.state.reveal
        assert kept is not None
        if kept.statement_digest != statement.digest:
            raise ProtocolError("the server shows two certified statements of one attempt")
        body = Reveal(self._attempt, self._member, kept.statement_digest, kept.sealed)
        yield SendReveal(Signed(body, kept.signature))

    def _sealed_sum(self, statement: Survivors, cohort: Cohort) -> bytes | None:
        """This member's sum of shares, sealed; None where it lacks one."""
        assert self._shares is not None
        shares = self._kept_shares()
        own = self._staged()
        if own is not None:
            shares[cohort.index(self._member)] = own.own_share
        survivors = [each.index for each in statement.survivors]
        if not set(survivors) <= set(shares):
            return None
        return self._shares.revealed(
            [shares[index] for index in survivors], statement, self._rules.sizes(cohort)
        )

    # --- step 5: the sum

    def _catch_up(self, through: int) -> Steps:
        while self.state.applied < through and not self.state.ended:
            head = yield from self._apply_next()
            if head is not None:
                return
            yield Confirm(self.state.applied, self.state.ended)

    def _apply_next(self) -> Generator[Sent, Got, AggregateHead | None]:
        """Fetch, open and apply the next round's sum; its head where the reveals do not open it yet."""
        number = self.state.applied + 1
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
        committed = dict(self.state.committed)
        own = committed.pop(attempt.number, None)
        if own is not None and own != cohort.digest:
            raise ProtocolError("the sum is of another cohort than this member contributed to")
        verify_head(
            head,
            self._rules,
            state=self._work.agreement(cohort.manifest),
            committed=committed,
            owners=self._work.owners(attempt.round_number),
        )
        survivors = survivor_ids(head.certificate.statement, cohort)
        if self.state.spoiled is not None and survivors != self.state.spoiled:
            raise ProtocolError(
                "the sum is of other survivors than one on this state that could not be opened"
            )
        if self._member in cohort.members:
            header = self._sent_header(cohort) if own is not None else None
            check_own_header(head.certificate.statement, head.headers, cohort, self._member, header)
        if len(body) != head.body_bytes or _digest_of(body) != head.certificate.statement.total_digest:
            raise AuthenticationError("the sum's bytes are not those that were certified")

    def _open(self, head: AggregateHead, body: Body) -> Integers | None:
        if self._shares is None:
            return self._work.decrypt(head, body, key_sum=None)
        for key_sum in self._shares.sums_of_keys(head):
            try:
                return self._work.decrypt(head, body, key_sum=key_sum)
            except AuthenticationError:
                # The total is fixed by the certificate, so trying another reading of its key teaches nobody anything.
                continue
        return None

    def _take_up(self, sums: Integers, head: AggregateHead) -> None:
        statement, cohort = head.certificate.statement, head.cohort
        number, attempt = statement.attempt.round_number, statement.attempt.number
        survivors = survivor_ids(statement, cohort)
        for each in head.settled:
            self._note_settled(each)
        integers = np.ascontiguousarray(sums, dtype="<i8")
        mark = self._journal.keep(f"round-{number}.sums", [integers.tobytes()])
        last = self._work.apply(sums, head)
        included = int(self._member in survivors)
        self._ledger.note(AggregateApplied(number, mark.sha256, attempt, included))
        before = self.state.former_update
        self._journal.add(
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
        self._forget_attempt()
        self._journal.drop(*(() if before is None else (before.integers.name,)))
        if self._shares is not None:
            # The keys of this round stay until the next sum: until then others may say that they could not open it.
            self._shares.forget_before(number)

    def _judge_spoiled(self, digest: bytes) -> Steps:
        if self.state.sums and self.state.sums[-1].statement_digest == digest:
            yield Confirm(self.state.applied, self.state.ended)
            return
        kept = self.state.spoiled_vote
        if kept is None or kept.statement_digest != digest:
            head = yield from self._apply_next()
            if head is None:
                yield Confirm(self.state.applied, self.state.ended)
                return
            statement = head.certificate.statement
            if statement.digest != digest or self._member not in head.cohort.members:
                return
            vote = sign(SpoiledVote(statement.attempt, self._member, digest), self._key)
            place = statement.attempt.round_number, statement.attempt.number
            self._journal.add(SpoiledSigned(*place, digest, vote.signature))
        kept = self.state.spoiled_vote
        assert kept is not None
        attempt = self._rules.attempt(kept.round_number, kept.number)
        yield CastVote(Signed(SpoiledVote(attempt, self._member, digest), kept.signature))

    def _go_back(self, opened: RoundOpened) -> None:
        """Give up the last sum, if t members have proven that they could not open it."""
        last = self.state.sums[-1] if self.state.sums else None
        verify_settled(opened.manifest, opened.settled, self._rules, committed=self.state.settled_by_sum)
        proven = any(
            isinstance(each.settlement, SpoiledProof)
            and last is not None
            and each.settlement.certificate.statement.digest == last.statement_digest
            for each in opened.settled
        )
        if not proven:
            raise ProtocolError(
                f"the server opened round {self.state.applied}, expected was {self.state.applied + 1}"
            )
        self._journal.add(SumUndone(self.state.applied))
        self._work.go_back(self.state)

    def _finish(self) -> Steps:
        if not self.state.finished:
            if not self.state.ended and self.state.applied != self._rounds:
                raise ProtocolError(
                    f"the server closed the federation after round {self.state.applied}, before its last"
                )
            self._work.finish(self.state)
            self._ledger.note(RunFinished(self.state.applied))
            self._journal.add(RunEnded())
        yield Leave(finished=True)

    # --- helpers

    def _open_cohort(self) -> Cohort:
        cohort = self.state.cohort
        assert cohort is not None
        return cohort

    def _forget_attempt(self) -> None:
        """Delete what only the attempt that ended needed."""
        self._outbox.clear()
        packets = sorted(path.name for path in self._journal.folder.glob("*.packets"))
        self._journal.drop(*packets)


def _digest_of(body: Body) -> bytes:
    digest, piece = hashlib.sha256(), 1 << 20
    for start in range(0, len(body), piece):
        digest.update(body[start : start + piece])
    return digest.digest()
