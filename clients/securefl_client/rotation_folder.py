"""Files of a member's rotation of keys: what is its own, what arrived, and what is to be sent.

The rule kept here: of every member one request and one file of keys is taken, and the first of each stays; nothing
secret outlives the rotation.

    rotation/            while it lasts; the owner's only
        kem.key          made for this rotation alone, and gone with it
        request.json     this member's request
        requests/        those of the others
        dealt/           what they dealt to this member
        own.deals        what this member dealt
        next/            the new keys, once all are there
    deals/rotation-2/    to be sent: this member's request, and a file of sealed keys for each member that it deals to
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from securefl.crypto.dealt_keys import Dealing, DealtKey
from securefl.crypto.sealed_box import KemKey
from securefl.errors import IdentityError, plain_reason
from securefl.protocol.rotation_requests import RotationRequest
from securefl.provisioning.dealt_files import (
    TakenKeys,
    dealt_by_use,
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
from securefl.provisioning.keys_file import load_kem_key, save_channels, save_kem_key, save_shared_keys
from securefl.provisioning.rotation_deals import RotationDeals
from securefl.storage.disk import make_private_folder
from securefl.storage.durable import sync_folder
from securefl.storage.private import put_whole
from securefl_client.journal import StepSink

_REQUEST: Final = "request.json"
_REQUESTS: Final = "requests"
_DEALT: Final = "dealt"
_NEXT: Final = "next"


class RotationFolder:
    """A member's files of one rotation.

    Args:
        folder: The member's folder.
        roster: All members' ids, in the roster's order.
        member: This member's id.
        on_step: Told every step that is on disk.
    """

    def __init__(self, folder: Path, *, roster: Sequence[str], member: str, on_step: StepSink) -> None:
        self._folder = folder
        self._path = folder / ROTATION_FOLDER
        self._gone = folder / f".{ROTATION_FOLDER}"
        self._roster = tuple(roster)
        self._index = self._roster.index(member)
        self._on_step = on_step

    @property
    def has_begun(self) -> bool:
        """True from the member's signed request on, until the rotation is finished."""
        return self._path.exists()

    @property
    def has_dealt(self) -> bool:
        """True once the member has dealt."""
        return (self._path / OWN_DEALS_FILE).exists()

    @property
    def has_new_keys(self) -> bool:
        """True once the new keys are whole and on disk."""
        return (self._path / _NEXT).exists()

    def begin(self, request: RotationRequest, kem_key: KemKey) -> None:
        """Keep the signed request beside the key that it names; both appear by one rename."""
        shutil.rmtree(self._gone, ignore_errors=True)
        make_private_folder(self._gone)
        save_kem_key(self._gone / KEM_KEY_FILE, kem_key)
        put_whole(self._gone / _REQUEST, request.to_text().encode())
        for part in (_REQUESTS, _DEALT):
            make_private_folder(self._gone / part)
        sync_folder(self._gone)
        self._gone.replace(self._path)
        sync_folder(self._folder)
        self._on_step("requested")

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

    def take_in(self, files: Sequence[Path]) -> None:
        """Keep what arrived.

        Raises:
            IdentityError: if a file is neither a request nor dealt keys, or another of its kind and sender was taken.
        """
        for path in files:
            if is_request(path):
                request = read_request(path)
                self._keep(_REQUESTS, f"{request.wish.id}.json", request.to_text().encode(), path)
            else:
                dealers = sorted({use.dealer for use in dealt_by_use([path])})
                name = "-".join(str(dealer) for dealer in dealers)
                self._keep(_DEALT, f"{name}.keys", read_bytes(path), path)

    def keep_deals(self, deals: RotationDeals, key_epoch: int) -> None:
        """Write what this member deals, to the places that it is sent from, and then the secrets behind it."""
        for other, dealt in deals.dealt.items():
            own = self._path / _DEALT / f"{other}.keys"
            path = own if other == self._index else self._sent_keys(self._roster[other], key_epoch)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_dealt_keys(path, dealt)
        # Last, since it says that all the others are there.
        save_own_deals(self._path / OWN_DEALS_FILE, deals.secrets)
        self._on_step("dealt")

    def dealt(self) -> dict[Dealing, DealtKey]:
        """Everything that was dealt to this member, by its use.

        Raises:
            IdentityError: if a file is damaged, or two different keys are for one use.
        """
        return dealt_by_use(sorted((self._path / _DEALT).glob("*.keys")))

    def secrets(self) -> dict[int, bytes]:
        """Secrets that this member dealt, by the index of the recipient.

        Raises:
            IdentityError: if the file is missing or damaged.
        """
        behind = range(self._index + 1, len(self._roster))
        return load_own_deals(self._path / OWN_DEALS_FILE, behind=behind)

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
        for name in (KEM_KEY_FILE, OWN_DEALS_FILE):
            (self._path / name).unlink(missing_ok=True)
        for part in (_DEALT, _REQUESTS):
            shutil.rmtree(self._path / part, ignore_errors=True)
        self._on_step("secrets-removed")
        shutil.rmtree(self._gone, ignore_errors=True)
        self._path.replace(self._gone)
        sync_folder(self._folder)
        shutil.rmtree(self._gone)

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
