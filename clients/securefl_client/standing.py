"""A member's standing in its rounds: its journal, keys and ledger, and what it has kept of the open attempt.

The rule kept here: everything is read from the journal and the files that it names, each checked, so that a session
made anew sees the same.
"""

from __future__ import annotations

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.identity.signing import SigningKey
from securefl.ledger.events import (
    RoundSpoiled,
    RoundVoided,
)
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.rules import Rules
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import SpoiledProof
from securefl.protocol.agreement.verification import survivor_ids
from securefl.protocol.calls import SettledAttempt
from securefl.protocol.member_records import AttemptSettled
from securefl.protocol.member_session import MemberState
from securefl_client.journal import Journal
from securefl_client.key_shares import KeyShares
from securefl_client.outbox_folder import OutboxFolder, OutboxHead
from securefl_client.round_charges import RoundCharges
from securefl_client.round_work import (
    EventLog,
    RoundWork,
)


class Standing:
    """Journal, keys, ledger and work, which the steps of a session share.

    Args:
        rules: The federation's.
        signing_key: This member's.
        journal: Its journal, open.
        work: Its model, data and aggregation, at the journal's state.
        ledger: Its ledger.
        shares: Its part in shares of keys; None under a scheme without them.
        reason_key: A key that all members have and the server has not (32 bytes).
        charges: Of its rounds on the privacy budget of its data; without them nothing is charged.
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
        charges: RoundCharges | None = None,
        entropy: Entropy = SYSTEM,
    ) -> None:
        self.rules = rules
        self.signing_key = signing_key
        self.journal = journal
        self.outbox = OutboxFolder(journal, on_step=journal.on_step)
        self.work = work
        self.ledger = ledger
        self.shares = shares
        self.reason_key = reason_key
        self.charges = charges or RoundCharges()
        self.entropy = entropy

    @property
    def state(self) -> MemberState:
        """The state that the journal leads to."""
        return self.journal.state

    @property
    def member(self) -> str:
        """This member's id."""
        return self.state.member

    @property
    def attempt(self) -> Attempt:
        """The newest attempt that it adverted in."""
        manifest = self.state.manifest
        assert manifest is not None
        return manifest.attempt

    @property
    def place(self) -> tuple[int, int]:
        """Round and number of that attempt."""
        return self.attempt.round_number, self.attempt.number

    @property
    def cohort(self) -> Cohort:
        """The cohort of that attempt, which was accepted."""
        cohort = self.state.cohort
        assert cohort is not None
        return cohort

    def staged_head(self) -> OutboxHead | None:
        """The complete outbox of this attempt; None where there is none."""
        staged = self.state.staged
        return None if staged is None else self.outbox.load(staged.head)

    def header_of(self, head: OutboxHead, cohort: Cohort) -> Signed[ContributionHeader]:
        """The signed header in an outbox of the open attempt."""
        return head.header(self.attempt, member=self.member, cohort_digest=cohort.digest)

    def sent_header(self, cohort: Cohort) -> Signed[ContributionHeader] | None:
        """The header that this member let go in the open attempt."""
        head = self.staged_head() if self.state.is_committed else None
        return None if head is None else self.header_of(head, cohort)

    def opened_packets(self) -> dict[int, bytes]:
        """Digest of the body that each packet was bound to, by the index of its sender."""
        packets = self.state.packets
        return {} if packets is None else {each.index: each.body_digest for each in packets.opened}

    def kept_shares(self) -> dict[int, bytes]:
        """Shares from the others, by the index of their sender."""
        packets = self.state.packets
        if packets is None or not packets.opened:
            return {}
        content, count = self.journal.read(packets.file), len(packets.opened)
        size = len(content) // count
        return {
            each.index: content[place * size : (place + 1) * size]
            for place, each in enumerate(packets.opened)
        }

    def note_settled(self, each: SettledAttempt) -> None:
        """Write down how an earlier attempt of the open round ended, once; its proof was verified."""
        attempt, digest = each.cohort.attempt, each.cohort.digest
        if self.state.settled.get(attempt.number) == digest:
            return
        proof = each.settlement
        spoiled = isinstance(proof, SpoiledProof)
        kind = RoundSpoiled if spoiled else RoundVoided
        if self.state.committed.get(attempt.number) == digest:
            self.ledger.note(kind(attempt.round_number, attempt.number))
        survivors = (
            survivor_ids(proof.certificate.statement, each.cohort) if isinstance(proof, SpoiledProof) else ()
        )
        self.journal.add(AttemptSettled(attempt.round_number, attempt.number, digest, survivors))

    def forget_attempt(self) -> None:
        """Delete what only the attempt that ended needed."""
        self.outbox.clear()
        packets = sorted(path.name for path in self.journal.folder.glob("*.packets"))
        self.journal.drop(*packets)
