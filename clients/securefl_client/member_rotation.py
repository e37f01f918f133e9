"""A member's change of its keys, between rounds: ask, deal, take, and go on under the new ones.

The rules kept here: keys change only where this member owes nothing under the old ones; from its signed request on it
does not start under them again; and the journal says that the keys have changed before any file of the old ones goes,
so that a stop anywhere is gone on from by the same call.

    requested -> (all requests) -> dealt -> (all dealt keys) -> opened -> journal -> new files -> removed

Where a sum was refused together with the keys, the votes of t members that it cannot be opened stand in their requests,
and settle the attempt on the way.

Reference: ``protos/SPEC.md``, "Rotation of keys".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from securefl.config.member import load_client_settings
from securefl.crypto.dealt_keys import DealtKey
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.sealed_box import KemKey, check_public_key
from securefl.errors import IdentityError, StateError
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.signed import DIGEST_BYTES
from securefl.protocol.member_records import AttemptSettled, KeysRotated, SumRefused
from securefl.protocol.member_session import MemberState, is_between_rounds, owed_to_a_refused_sum, unsettled
from securefl.protocol.rotation_requests import (
    Refusal,
    RotationRequest,
    Wish,
    check_requests,
    settling_refusals,
)
from securefl.provisioning.dealing import LEAD_INDEX
from securefl.provisioning.dealt_files import open_dealt_keys
from securefl.provisioning.file_names import REFUSED_FILE, SHARED_KEYS_FILE, SIGNING_KEY_FILE
from securefl.provisioning.keys_file import load_shared_keys
from securefl.provisioning.rotation_deals import draw_rotation
from securefl.storage.disk import disk_errors
from securefl.storage.lock import locked
from securefl_client.folder import load_federation_file
from securefl_client.journal import FOLDER as JOURNAL_FOLDER
from securefl_client.journal import Journal, StepSink
from securefl_client.member_rules import member_rules
from securefl_client.outbox_folder import OutboxFolder
from securefl_client.rotation_folder import RotationFolder, rotations_of


@dataclass(frozen=True, slots=True)
class RotationProgress:
    """The state of a member's rotation after a call.

    Attributes:
        member: The member's id.
        key_epoch: Number of the rotation.
        fingerprint: Of its request; "" once all is done.
        request: Its request, to be sent to all others and to the server.
        missing: Members whose requests are not there yet.
        deals: Files to be sent, by the member that each is for.
        awaited: Members whose dealt keys are not there yet.
        finished: Whether the member has its new keys.
    """

    member: str
    key_epoch: int
    fingerprint: str
    request: Path
    missing: tuple[str, ...] = ()
    deals: Mapping[str, Path] = field(default_factory=dict)
    awaited: tuple[str, ...] = ()
    finished: bool = False


def rotate_keys(
    folder: Path,
    files: Sequence[Path] = (),
    *,
    entropy: Entropy = SYSTEM,
    on_step: StepSink = lambda step: None,
) -> RotationProgress:
    """Go on with the change of a member's keys, or begin one, as far as what has arrived allows.

    Called again after any stop, it goes on: what was signed or dealt once is kept, and never made anew.

    Args:
        folder: The member's folder; no process of the member may run.
        files: What arrived from others: requests, and files of dealt keys.
        entropy: Where keys come from.
        on_step: Told every step that is on disk.

    Raises:
        IdentityError: if a file does not hold, or a process runs in the folder.
        StateError: if this member owes something under its old keys.
        DiskError: if the disk does not take the files.
    """
    member = load_client_settings(folder).client.id
    with locked(folder, owner=member), disk_errors(folder):
        return _Rotation(folder, member, entropy=entropy, on_step=on_step).go_on(files)


def abandon_rotation(folder: Path) -> int:
    """Set a member's rotation aside, so that it starts again under its old keys; for where some member never asks.

    Its request stays in the folder: whoever has it may still finish, and then this member does so by ``rotate_keys``,
    unless it has applied another sum meanwhile.

    Returns:
        Number of the rotation.

    Raises:
        StateError: if none has begun, or this member has dealt keys already.
        IdentityError, DiskError: as ``rotate_keys``.
    """
    member = load_client_settings(folder).client.id
    with locked(folder, owner=member), disk_errors(folder):
        files = RotationFolder(folder, load_federation_file(folder), member=member)
        if not files.has_begun or files.has_drawn:
            raise StateError(
                f"{member} has no rotation of keys that can be abandoned",
                where=str(folder),
                hint="one that has dealt keys is finished with 'securefl keys rotate'; others may have these keys",
            )
        key_epoch = files.own_request().wish.key_epoch
        files.set_aside()
    return key_epoch


class _Rotation:
    """One member's rotation."""

    def __init__(self, folder: Path, member: str, *, entropy: Entropy, on_step: StepSink) -> None:
        self._folder = folder
        self._member = member
        self._entropy = entropy
        self._on_step = on_step
        self._federation = load_federation_file(folder)
        self._index = self._federation.index_of(member)
        self._signing_key = SigningKey.load(folder / SIGNING_KEY_FILE)
        self._files = RotationFolder(folder, self._federation, member=member, on_step=on_step)

    def go_on(self, arrived: Sequence[Path]) -> RotationProgress:
        """See ``rotate_keys``."""
        if not self._files.has_begun:
            current = load_shared_keys(self._folder / SHARED_KEYS_FILE).key_epoch
            self._files.clear_finished()
            with self._journal(current) as journal:
                state = journal.state
            # A call that is repeated, by a person or after a stop, begins no rotation of its own.
            if state.rotated or (arrived and max(rotations_of(arrived)) <= current):
                return self._progress(current, finished=True)
            self._begin(state)
        own = self._files.own_request()
        if not self._files.has_new_keys:
            self._files.take_in(arrived, own)
            waiting = self._prepare(own)
            if waiting is not None:
                return waiting
        self._change(own.wish.key_epoch)
        return self._progress(own.wish.key_epoch, finished=True)

    def _begin(self, state: MemberState) -> None:
        _check_owes_nothing(state)
        kem_key = KemKey.generate(entropy=self._entropy)
        wish = Wish(
            id=self._member,
            federation_digest=self._federation.digest,
            key_epoch=state.rules.key_epoch + 1,
            applied=state.applied,
            newest_sum=_newest_sum(state),
            kem_key=kem_key.public_key,
            refusal=None if state.refused is None else _told(state.refused),
        )
        if not self._files.take_up(wish):
            self._files.begin(RotationRequest.signed(wish, self._signing_key), kem_key)

    def _prepare(self, own: RotationRequest) -> RotationProgress | None:
        """Deal, and put the new keys together; what is awaited, where something is."""
        requests, key_epoch = self._files.requests(), own.wish.key_epoch
        missing = tuple(member for member in self._federation.cohort if member not in requests)
        if missing:
            return self._progress(key_epoch, own=own, missing=missing)
        keys = {member.id: member.signing_key for member in self._federation.roster}
        if check_requests(requests, keys).place != own.wish.place:
            raise IdentityError("the requests are for another rotation than this member's own")
        self._deal(key_epoch, requests)
        awaited = self._awaited()
        if awaited:
            return self._progress(key_epoch, own=own, awaited=awaited)
        self._open(own.wish)
        return None

    def _deal(self, key_epoch: int, requests: Mapping[str, RotationRequest]) -> None:
        """Draw once, keep what was drawn, and seal for each recipient once."""
        if self._files.has_dealt:
            return
        kem_keys = [requests[member].wish.kem_key for member in self._federation.cohort]
        for kem_key in kem_keys:
            check_public_key(kem_key)
        if not self._files.has_drawn:
            drawn = draw_rotation(
                self._federation, own=self._index, key_epoch=key_epoch, entropy=self._entropy
            )
            self._files.keep_drawn(drawn)
        drawn = self._files.drawn()

        def sealed_for(recipient: int) -> list[DealtKey]:
            return drawn.dealt_to(
                recipient,
                self._federation,
                key_epoch=key_epoch,
                kem_key=kem_keys[recipient],
                signing_key=self._signing_key,
            )

        self._files.keep_dealt(drawn.recipients(len(kem_keys)), sealed_for, key_epoch)

    def _awaited(self) -> tuple[str, ...]:
        """Members whose keys are not there yet: the lead, and all that stand before this one in the roster."""
        needed = {*range(self._index), LEAD_INDEX} - {use.dealer for use in self._files.dealt()}
        return tuple(self._federation.cohort[index] for index in sorted(needed))

    def _open(self, wish: Wish) -> None:
        taken = open_dealt_keys(
            self._files.dealt(),
            self._federation,
            own=self._index,
            key_epoch=wish.key_epoch,
            kem_key=self._files.kem_key(),
            dealt_here=self._files.drawn().pairs,
        )
        if taken.shared.key_epoch != wish.key_epoch:
            raise IdentityError("the lead dealt shared keys of another rotation", hint="ask the lead")
        following = wish.applied + 1 - self._federation.first_round
        self._files.keep_new(replace(taken, channels=taken.channels.advanced_to(following)))

    def _change(self, key_epoch: int) -> None:
        """Write into the journal that the keys have changed, then put the new ones in the place of the old."""
        with self._journal(key_epoch, rotated_from=key_epoch - 1) as journal:
            if journal.state.rules.key_epoch != key_epoch:
                self._check_place(journal.state)
                self._settle(journal)
                journal.add(KeysRotated(key_epoch))
                self._on_step("journal")
            OutboxFolder(journal).clear()
            journal.drop(*(path.name for path in journal.folder.glob("*.packets")))
        self._files.put_new_in_place()
        (self._folder / REFUSED_FILE).unlink(missing_ok=True)
        self._files.remove()

    def _check_place(self, state: MemberState) -> None:
        """Refuse new keys that were dealt for a state which this member has left since it asked for them."""
        wish = self._files.own_request().wish
        if (wish.applied, wish.newest_sum) != (state.applied, _newest_sum(state)):
            raise StateError(
                f"{self._member} has applied another sum since it asked for these keys",
                hint="this member has left the others behind, or they it; the federation must be made anew for it",
            )

    def _settle(self, journal: Journal) -> None:
        """Write down that a sum which t members refused is settled; their votes are in their requests.

        Raises:
            StateError: if this member contributed to a sum that fewer refused.
        """
        state = journal.state
        for number, digest in (owed_to_a_refused_sum(state) or unsettled(state)).items():
            cohort = state.cohort
            assert cohort is not None
            refusals = settling_refusals(tuple(self._files.requests().values()), cohort=cohort.members)
            needed = state.rules.sizes(cohort).threshold
            same = refusals and (refusals[0].number, refusals[0].cohort_digest) == (number, digest)
            if not same or len(refusals) < needed:
                raise _owing(state, number, f"{len(refusals)} members refused its sum, and it takes {needed}")
            journal.add(AttemptSettled(state.applied + 1, number, digest, refusals[0].survivors))

    def _journal(self, key_epoch: int, *, rotated_from: int | None = None) -> Journal:
        return Journal(
            self._folder / JOURNAL_FOLDER,
            member_rules(self._federation, key_epoch=key_epoch),
            member=self._member,
            first_round=self._federation.first_round,
            rotated_from=rotated_from,
        )

    def _progress(
        self,
        key_epoch: int,
        *,
        own: RotationRequest | None = None,
        missing: tuple[str, ...] = (),
        awaited: tuple[str, ...] = (),
        finished: bool = False,
    ) -> RotationProgress:
        return RotationProgress(
            member=self._member,
            key_epoch=key_epoch,
            fingerprint="" if own is None else own.fingerprint,
            request=self._files.sent_request(key_epoch),
            missing=missing,
            deals=self._files.sent_keys(key_epoch),
            awaited=awaited,
            finished=finished,
        )


def _newest_sum(state: MemberState) -> bytes:
    """Digest of the statement of the last sum applied (32 bytes); zeros before the first."""
    return state.sums[-1].statement_digest if state.sums else bytes(DIGEST_BYTES)


def _told(refused: SumRefused) -> Refusal:
    return Refusal(
        round_number=refused.round_number,
        number=refused.number,
        cohort_digest=refused.cohort_digest,
        statement_digest=refused.statement_digest,
        survivors=refused.survivors,
        signature=refused.signature,
    )


def _check_owes_nothing(state: MemberState) -> None:
    """Refuse to change keys in the middle of something that needs the old ones.

    Raises:
        StateError: if the member has finished, or let a header go or voted in an attempt whose end it does not know,
            unless it refused that attempt's sum.
    """
    if state.finished:
        raise StateError(
            "this member has done its part in the federation: there is nothing that needs new keys"
        )
    if is_between_rounds(state):
        return
    if owed_to_a_refused_sum(state) is not None:
        return
    number = next(iter(unsettled(state)), None)
    manifest = state.manifest
    open_number = number if number is not None else manifest.attempt.number if manifest is not None else 0
    raise _owing(
        state, open_number, "it has contributed to it or voted on it, and does not know how it ended"
    )


def _owing(state: MemberState, number: int, reason: str) -> StateError:
    return StateError(
        f"{state.member} cannot change its keys while attempt {number} of round {state.applied + 1} is open: {reason}",
        hint="start the server and all clients once more under the old keys, until the attempt has ended, and stop "
        "them while they train",
    )
