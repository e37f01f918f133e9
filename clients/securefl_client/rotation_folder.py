"""Files of a member's rotation of keys: what is its own, what arrived, and what is to be sent.

The rules kept here: of every member one request and one file of keys is taken, verified before it is kept, and the
first of each stays; what was drawn is on disk before anything of it is sealed, and sealed once for each member; nothing
secret outlives the rotation.

    rotation/            while it lasts; the owner's only
        kem.key          made for this rotation alone, and gone with it
        request.json     this member's request
        requests/        those of the others
        dealt/           what they dealt to this member
        own.deals        what this member draws to deal; of the lead group.drawn and shared.drawn beside it
        sealed           empty: everything that this member deals lies sealed where it is sent from
        next/            the new keys, once all are there
    rotation.abandoned/  a rotation that was set aside, with the request that others may have
    deals/rotation-2/    to be sent: this member's request, and a file of sealed keys for each member that it deals to
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from securefl.crypto.dealt_keys import Dealing, DealtKey
from securefl.crypto.sealed_box import KemKey
from securefl.errors import AuthenticationError, IdentityError, plain_reason
from securefl.protocol.federation import Federation
from securefl.protocol.rotation_requests import RotationRequest, Wish, check_request
from securefl.provisioning.dealing import LEAD_INDEX
from securefl.provisioning.dealt_files import (
    TakenKeys,
    dealt_by_use,
    load_dealt_keys,
    load_own_deals,
    save_dealt_keys,
    save_own_deals,
)
from securefl.provisioning.file_names import (
    CHANNELS_FILE,
    DEALS_FOLDER,
    KEM_KEY_FILE,
    OWN_DEALS_FILE,
    ROTATION_FOLDER,
    SHARED_KEYS_FILE,
)
from securefl.provisioning.keys_file import (
    load_kem_key,
    load_shared_keys,
    save_channels,
    save_kem_key,
    save_shared_keys,
)
from securefl.provisioning.rotation_deals import DrawnKeys
from securefl.storage.disk import make_private_folder
from securefl.storage.durable import sync_folder
from securefl.storage.private import put_whole, read_private, write_private
from securefl_client.journal import StepSink

_REQUEST: Final = "request.json"
_REQUESTS: Final = "requests"
_DEALT: Final = "dealt"
_NEXT: Final = "next"
_SEALED: Final = "sealed"
_GROUP: Final = "group.drawn"
_SHARED: Final = "shared.drawn"


class RotationFolder:
    """A member's files of one rotation.

    Args:
        folder: The member's folder.
        federation: The pinned federation.
        member: This member's id.
        on_step: Told every step that is on disk.
    """

    def __init__(
        self,
        folder: Path,
        federation: Federation,
        *,
        member: str,
        on_step: StepSink = lambda step: None,
    ) -> None:
        self._folder = folder
        self._path = folder / ROTATION_FOLDER
        self._draft = folder / f".{ROTATION_FOLDER}"
        self._finished = folder / f".{ROTATION_FOLDER}-finished"
        self._abandoned = folder / f"{ROTATION_FOLDER}.abandoned"
        self._federation = federation
        self._roster = federation.cohort
        self._index = self._roster.index(member)
        self._on_step = on_step

    @property
    def has_begun(self) -> bool:
        """True from the member's signed request on, until the rotation is finished."""
        return self._path.exists()

    @property
    def has_drawn(self) -> bool:
        """True once the member's secrets are drawn: from then on keys that others hold may follow from them."""
        return (self._path / OWN_DEALS_FILE).exists()

    @property
    def has_dealt(self) -> bool:
        """True once everything that the member deals is sealed."""
        return (self._path / _SEALED).exists()

    @property
    def has_new_keys(self) -> bool:
        """True once the new keys are whole and on disk."""
        return (self._path / _NEXT).exists()

    def begin(self, request: RotationRequest, kem_key: KemKey) -> None:
        """Keep the signed request beside the key that it names; both appear by one rename."""
        shutil.rmtree(self._draft, ignore_errors=True)
        make_private_folder(self._draft)
        save_kem_key(self._draft / KEM_KEY_FILE, kem_key)
        put_whole(self._draft / _REQUEST, request.to_text().encode())
        for part in (_REQUESTS, _DEALT):
            make_private_folder(self._draft / part)
        sync_folder(self._draft)
        self._move(self._draft, self._path)
        shutil.rmtree(self._abandoned, ignore_errors=True)
        self._on_step("requested")

    def take_up(self, wish: Wish) -> bool:
        """Go on with a rotation that was set aside, if a wish is the same but for its new key; tell if so."""
        if not self._abandoned.exists():
            return False
        before = read_request(self._abandoned / _REQUEST).wish
        if before.model_copy(update={"kem_key": wish.kem_key}) != wish:
            return False
        self._move(self._abandoned, self._path)
        return True

    def set_aside(self) -> None:
        """Stop a rotation in which nothing was drawn; its request and key stay, since others may deal for them."""
        shutil.rmtree(self._abandoned, ignore_errors=True)
        self._move(self._path, self._abandoned)

    def clear_finished(self) -> None:
        """Remove what a stop at the very end of a rotation left."""
        shutil.rmtree(self._finished, ignore_errors=True)

    def own_request(self) -> RotationRequest:
        """This member's request; a copy lies with what is to be sent.

        Raises:
            IdentityError: if it is damaged.
        """
        request = read_request(self._path / _REQUEST)
        sent = self.sent_request(request.wish.key_epoch)
        sent.parent.mkdir(parents=True, exist_ok=True)
        put_whole(sent, request.to_text().encode())
        return request

    def requests(self) -> dict[str, RotationRequest]:
        """All requests that are there, by member; this member's own one among them.

        Raises:
            IdentityError: if one is damaged.
        """
        own = self.own_request()
        arrived = [read_request(path) for path in sorted((self._path / _REQUESTS).glob("*.json"))]
        return {**{each.wish.id: each for each in arrived if each.wish.id in self._roster}, own.wish.id: own}

    def take_in(self, files: Sequence[Path], own: RotationRequest) -> None:
        """Verify what arrived, and keep it.

        Args:
            files: Requests, and files of dealt keys.
            own: This member's request.

        Raises:
            IdentityError: if a file is neither, is not signed by the member that it is of, is for another rotation,
                sum or recipient, or another one of its kind and member was taken.
        """
        for path in files:
            if is_request(path):
                request = read_request(path)
                self._check_request(request, own.wish)
                self._keep(_REQUESTS, f"{request.wish.id}.json", request.to_text().encode(), path)
            else:
                dealer = self._checked_dealer(path, own.wish.key_epoch)
                self._keep(_DEALT, f"{dealer}.keys", read_bytes(path), path)

    def _check_request(self, request: RotationRequest, own: Wish) -> None:
        member = request.wish.id
        if member not in self._roster:
            raise IdentityError(
                f"a request for new keys is of '{member}', who is no member of the federation"
            )
        signing_key = self._federation.member(member).signing_key
        check_request(request, member=member, signing_key=signing_key, beside=own)

    def _checked_dealer(self, path: Path, key_epoch: int) -> int:
        """Index of the one member that dealt everything in a file, to this one, for this rotation."""
        dealt = load_dealt_keys(path)
        dealers = {each.dealing.dealer for each in dealt}
        uses = {(each.dealing.federation, each.dealing.key_epoch, each.dealing.recipient) for each in dealt}
        expected = {(self._federation.digest, key_epoch, self._index)}
        if uses != expected or len(dealers) != 1 or max(dealers) >= len(self._roster):
            raise IdentityError(
                "a file of dealt keys is for another federation, rotation or member",
                where=str(path),
                hint=f"of what the others sent take the files that lie in a folder named {self._roster[self._index]}",
            )
        (dealer,) = dealers
        member = self._federation.roster[dealer]
        for each in dealt:
            try:
                each.verify(member.signing_key)
            except AuthenticationError as error:
                raise IdentityError(
                    f"a key dealt in the name of {member.id} is refused, because {error.what}",
                    where=str(path),
                    hint="ask who made the file, and compare fingerprints",
                ) from None
        return dealer

    def keep_drawn(self, drawn: DrawnKeys) -> None:
        """Write what this member draws, before anything of it is sealed."""
        if drawn.group is not None and drawn.shared is not None:
            write_private(self._path / _GROUP, drawn.group)
            save_shared_keys(self._path / _SHARED, drawn.shared)
        # Last, since it says that all the others are there.
        save_own_deals(self._path / OWN_DEALS_FILE, drawn.pairs)
        self._on_step("drawn")

    def drawn(self) -> DrawnKeys:
        """The secrets that this member drew.

        Raises:
            IdentityError: if a file is missing or damaged.
        """
        behind = range(self._index + 1, len(self._roster))
        pairs = load_own_deals(self._path / OWN_DEALS_FILE, behind=behind)
        if self._index != LEAD_INDEX:
            return DrawnKeys(self._index, pairs)
        group = read_private(self._path / _GROUP, what="the group's secret")
        return DrawnKeys(self._index, pairs, group, load_shared_keys(self._path / _SHARED))

    def keep_dealt(
        self, recipients: Sequence[int], sealed_for: Callable[[int], list[DealtKey]], key_epoch: int
    ) -> None:
        """Write what each member gets to the place that it is sent from; what is there already stays as it is."""
        for other in recipients:
            own = self._path / _DEALT / f"{other}.keys"
            path = own if other == self._index else self._sent_keys(self._roster[other], key_epoch)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                save_dealt_keys(path, sealed_for(other))
                self._on_step("sealed")
        write_private(self._path / _SEALED, b"")
        self._on_step("dealt")

    def dealt(self) -> dict[Dealing, DealtKey]:
        """Everything that was dealt to this member, by its use.

        Raises:
            IdentityError: if a file is damaged, or two different keys are for one use.
        """
        return dealt_by_use(sorted((self._path / _DEALT).glob("*.keys")))

    def kem_key(self) -> KemKey:
        """The key that was made for this rotation.

        Raises:
            IdentityError: if it is missing or damaged.
        """
        return load_kem_key(self._path / KEM_KEY_FILE)

    def keep_new(self, keys: TakenKeys) -> None:
        """Write the new keys whole beside the old ones."""
        draft = self._path / f".{_NEXT}"
        shutil.rmtree(draft, ignore_errors=True)
        make_private_folder(draft)
        save_shared_keys(draft / SHARED_KEYS_FILE, keys.shared)
        save_channels(draft / CHANNELS_FILE, keys.channels)
        sync_folder(draft)
        draft.replace(self._path / _NEXT)
        sync_folder(self._path)
        self._on_step("opened")

    def put_new_in_place(self) -> None:
        """Put the new keys in the place of the old ones; those that are there already stay."""
        for name in (SHARED_KEYS_FILE, CHANNELS_FILE):
            new = self._path / _NEXT / name
            if new.exists():
                new.replace(self._folder / name)
                sync_folder(self._folder)
                self._on_step(name)

    def remove(self) -> None:
        """Remove what could open the new keys once more, and then what says that a rotation goes on."""
        for name in (KEM_KEY_FILE, OWN_DEALS_FILE, _GROUP, _SHARED):
            (self._path / name).unlink(missing_ok=True)
        for part in (_DEALT, _REQUESTS):
            shutil.rmtree(self._path / part, ignore_errors=True)
        self._on_step("secrets-removed")
        shutil.rmtree(self._finished, ignore_errors=True)
        self._move(self._path, self._finished)
        self._on_step("finished")
        shutil.rmtree(self._finished)

    def _move(self, source: Path, target: Path) -> None:
        source.replace(target)
        sync_folder(self._folder)

    def sent_request(self, key_epoch: int) -> Path:
        """The copy of the own request that is sent to the others."""
        return self._to_send(key_epoch) / f"rotation-{self._roster[self._index]}.json"

    def sent_keys(self, key_epoch: int) -> Mapping[str, Path]:
        """Files of dealt keys that are to be sent, by the member that each is for."""
        files = {other: self._sent_keys(other, key_epoch) for other in self._roster}
        return {other: path for other, path in files.items() if path.exists()}

    def _to_send(self, key_epoch: int) -> Path:
        return self._folder / DEALS_FOLDER / f"rotation-{key_epoch}"

    def _sent_keys(self, other: str, key_epoch: int) -> Path:
        return self._to_send(key_epoch) / other / f"rotated-by-{self._roster[self._index]}.keys"

    def _keep(self, part: str, name: str, data: bytes, source: Path) -> None:
        kept = self._path / part / name
        if kept.exists() and kept.read_bytes() != data:
            raise IdentityError(
                "another file of this member's was taken before",
                where=str(source),
                hint="a member sends one request and one file of keys; ask its owner which of the two is right",
            )
        put_whole(kept, data)


def is_rotating(folder: Path) -> bool:
    """True while a rotation of a member's keys has begun and is not finished."""
    return (folder / ROTATION_FOLDER).exists()


def is_request(path: Path) -> bool:
    """Tell a request from a file of dealt keys.

    Raises:
        IdentityError: if the file cannot be read.
    """
    return read_bytes(path).lstrip().startswith(b"{")


def rotations_of(files: Sequence[Path]) -> set[int]:
    """Numbers of the rotations that files are for.

    Raises:
        IdentityError: if one is neither a request nor dealt keys.
    """
    found = set()
    for path in files:
        if is_request(path):
            found.add(read_request(path).wish.key_epoch)
        else:
            found |= {use.key_epoch for use in dealt_by_use([path])}
    return found


def read_request(path: Path) -> RotationRequest:
    """Read a request; its signature is not verified yet.

    Raises:
        IdentityError: if it cannot be read, or is none of this version.
    """
    return RotationRequest.parse(read_bytes(path).decode("utf-8", errors="replace"), where=str(path))


def read_bytes(path: Path) -> bytes:
    """The content of a file that arrived.

    Raises:
        IdentityError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise IdentityError("a file cannot be read", where=str(path), hint=plain_reason(error)) from None
