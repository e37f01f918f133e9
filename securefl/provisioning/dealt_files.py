"""Files of dealt keys: how keys reach a member that made its own, without anybody on the way reading them.

The rule kept here: such a member takes each key from the dealer that the roster names, once; with all of them its
folder is as complete as any other, and the files are removed, so that its KEM key opens nothing of them later.

The lead deals for all members whose keys it made: the group's and the shared keys, and the keys of their pairs with
the member. Members that made their own keys stand last in the roster, and deal to those behind them.

    dealt*.keys   b"SFLDEAL" 0x01, then for each dealt key its length (4 bytes, big-endian) and its bytes
    own.deals     b"SFLOWND" 0x01, then for each member that this one dealt to its index (2 bytes, big-endian) and the
                  secret of the pair (32 bytes); private
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securefl.crypto.channel_keys import ChannelKey
from securefl.crypto.channels import Channels
from securefl.crypto.dealt_keys import (
    INDEX_BYTES,
    KEY_BYTES,
    Dealing,
    DealtKey,
    KeyKind,
    deal,
    fresh_key,
)
from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.framing import LENGTH_BYTES, framed
from securefl.crypto.keys import SharedKeys
from securefl.crypto.sealed_box import KemKey
from securefl.errors import AuthenticationError, IdentityError, WireError, plain_reason
from securefl.identity.signing import SigningKey
from securefl.protocol.agreement.signed import FIRST_KEY_EPOCH
from securefl.protocol.federation import Federation, Member
from securefl.provisioning.dealing import LEAD_INDEX
from securefl.provisioning.file_names import (
    CHANNELS_FILE,
    DEALS_FOLDER,
    DEALT_PATTERN,
    OWN_DEALS_FILE,
    SHARED_KEYS_FILE,
)
from securefl.provisioning.keys_file import save_channels, save_shared_keys
from securefl.storage.disk import disk_errors
from securefl.storage.private import read_private, write_private

_MAGIC: Final = b"SFLDEAL\x01"
_OWN_MAGIC: Final = b"SFLOWND\x01"


def save_dealt_keys(path: Path, dealt: Iterable[DealtKey]) -> None:
    """Writes a file of dealt keys: whole or not at all.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    write_private(path, _MAGIC + framed(*(one.encode() for one in dealt)))


def load_dealt_keys(path: Path) -> tuple[DealtKey, ...]:
    """Reads a file of dealt keys; nothing is verified yet.

    Raises:
        IdentityError: if it cannot be read, or holds no dealt keys of this version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IdentityError(
            "a file of dealt keys cannot be read", where=str(path), hint=plain_reason(error)
        ) from None
    try:
        return tuple(DealtKey.decode(one) for one in _parts(data))
    except WireError:
        raise IdentityError(
            "a file of dealt keys is of another version, or damaged", where=str(path), hint="copy it again"
        ) from None


def deal_own_pairs(
    folder: Path, federation: Federation, *, own: str, signing_key: SigningKey, entropy: Entropy = SYSTEM
) -> dict[str, Path]:
    """Deal the keys of a member's pairs with those behind it in the roster, once, and keep the secrets.

    Returns:
        The file for each of them, by its id; none where the member is the last.

    Raises:
        IdentityError: if they were dealt before, the signing key is not the roster's, or the folder cannot be
            written to.
        DiskError: if a disk does not take the files.
    """
    index = federation.index_of(own)
    if (folder / OWN_DEALS_FILE).exists() or (folder / CHANNELS_FILE).exists():
        raise IdentityError(
            f"{own} has its keys with those behind it in the roster already",
            where=str(folder),
            hint="send the files that were made then once more; two different ones would be proof against it",
        )
    if federation.roster[index].signing_key != signing_key.public_key:
        raise IdentityError(
            f"the signing key is not the one the roster has for {own}",
            where=str(folder),
            hint="put the lead's files into the folder that the keys were made in",
        )
    secrets = {other: fresh_key(entropy=entropy) for other in range(index + 1, len(federation.roster))}
    files = {}
    for other, secret in secrets.items():
        member = federation.roster[other]
        use = Dealing(federation.digest, FIRST_KEY_EPOCH, KeyKind.PAIR, index, other)
        dealt = deal(secret, use, recipient_key=member.kem_key, signing_key=signing_key)
        files[member.id] = _deal_file(folder, own=own, other=member.id)
        save_dealt_keys(files[member.id], [dealt])
    # Last, since it says that all the others are there.
    save_own_deals(folder / OWN_DEALS_FILE, secrets)
    return files


def _deal_file(folder: Path, *, own: str, other: str) -> Path:
    with disk_errors(folder):
        (folder / DEALS_FOLDER / other).mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / DEALS_FOLDER / other / f"dealt-by-{own}.keys"


def save_own_deals(path: Path, secrets: Mapping[int, bytes]) -> None:
    """Writes the secrets that a member dealt, by the index of the recipient.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    rows = (other.to_bytes(INDEX_BYTES, "big") + secret for other, secret in secrets.items())
    write_private(path, _OWN_MAGIC + b"".join(rows))


def take_dealt_keys(folder: Path, federation: Federation, *, own: str, kem_key: KemKey) -> None:
    """Open all keys that were dealt to a member, write them as its own, and remove what they arrived in.

    Does nothing where the member has its channel keys: what is left of dealt keys is removed then.

    Raises:
        IdentityError: if a key is missing, was dealt twice, was not signed by its dealer, or does not open.
    """
    arrived = sorted(folder.glob(DEALT_PATTERN))
    if not (folder / CHANNELS_FILE).exists() and arrived:
        index = federation.index_of(own)
        taken = open_dealt_keys(
            dealt_by_use(arrived),
            federation,
            own=index,
            key_epoch=FIRST_KEY_EPOCH,
            kem_key=kem_key,
            dealt_here=_own_secrets(folder, federation, index),
        )
        save_shared_keys(folder / SHARED_KEYS_FILE, taken.shared)
        save_channels(folder / CHANNELS_FILE, taken.channels)
    for path in [*arrived, folder / OWN_DEALS_FILE]:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, repr=False)
class TakenKeys:
    """All that was dealt to a member, opened.

    Attributes:
        shared: The keys that all members hold.
        channels: Its channel keys, at the federation's first round.
    """

    shared: SharedKeys
    channels: Channels


def open_dealt_keys(
    dealt: Mapping[Dealing, DealtKey],
    federation: Federation,
    *,
    own: int,
    key_epoch: int,
    kem_key: KemKey,
    dealt_here: Mapping[int, bytes],
) -> TakenKeys:
    """Open all keys of one rotation that were dealt to a member.

    Guarantee: each was sealed for exactly this use by the dealer that the roster names (``DealtKey.accept``).

    Args:
        dealt: What arrived, by its use.
        federation: The pinned federation.
        own: The member's index in the roster.
        key_epoch: Number of the rotation.
        kem_key: What the keys were sealed for.
        dealt_here: Secrets that this member dealt, by the index of the recipient.

    Raises:
        IdentityError: if one is missing, was not signed by its dealer, or does not open.
    """

    def taken(kind: KeyKind, dealer: int) -> bytes:
        use = Dealing(federation.digest, key_epoch, kind, dealer, own)
        return _taken(dealt, use, federation.roster[dealer], kem_key)

    def started(secret: bytes, other: int) -> ChannelKey:
        lower, higher = sorted((own, other))
        return ChannelKey.start(secret, Dealing(federation.digest, key_epoch, KeyKind.PAIR, lower, higher))

    pairs = {other: taken(KeyKind.PAIR, other) for other in range(own)} | dict(dealt_here)
    group_use = Dealing(federation.digest, key_epoch, KeyKind.GROUP, LEAD_INDEX, own)
    return TakenKeys(
        shared=SharedKeys.decode(taken(KeyKind.SHARED, LEAD_INDEX)),
        channels=Channels(
            key_epoch=key_epoch,
            own=own,
            group=ChannelKey.start(taken(KeyKind.GROUP, LEAD_INDEX), group_use),
            pairs={other: started(secret, other) for other, secret in pairs.items()},
        ),
    )


def dealt_by_use(paths: Iterable[Path]) -> dict[Dealing, DealtKey]:
    """All keys of some files, by their use.

    Raises:
        IdentityError: if a file is none of this version, or two different keys are for one use.
    """
    found: dict[Dealing, DealtKey] = {}
    for path in paths:
        for dealt in load_dealt_keys(path):
            if found.setdefault(dealt.dealing, dealt).box != dealt.box:
                raise IdentityError(
                    f"two different keys were dealt by the member at index {dealt.dealing.dealer} of the roster",
                    where=str(path),
                    hint="keep both files as proof, and ask the lead to make the federation anew without it",
                )
    return found


def _taken(dealt: Mapping[Dealing, DealtKey], use: Dealing, member: Member, kem_key: KemKey) -> bytes:
    if use not in dealt:
        raise IdentityError(
            f"no key that {member.id} dealt for this federation is in the folder",
            hint=f"put the file of dealt keys that the lead, or {member.id} by 'securefl keys deal', made there",
        )
    try:
        return dealt[use].accept(use, dealer_key=member.signing_key, kem_key=kem_key)
    except AuthenticationError as error:
        raise IdentityError(
            f"a key dealt in the name of {member.id} is refused, because {error.what}",
            hint="ask who made the file, and compare fingerprints",
        ) from None


def _own_secrets(folder: Path, federation: Federation, own: int) -> dict[int, bytes]:
    behind = list(range(own + 1, len(federation.roster)))
    if not behind:
        return {}
    path = folder / OWN_DEALS_FILE
    if not path.exists():
        raise IdentityError(
            "this member has not dealt its keys to those behind it in the roster",
            where=str(folder),
            hint=f"run: securefl keys deal {folder}",
        )
    return load_own_deals(path, behind=behind)


def load_own_deals(path: Path, *, behind: Sequence[int]) -> dict[int, bytes]:
    """Reads the secrets that a member dealt, by the index of the recipient.

    Args:
        path: The file.
        behind: Indices of those that it dealt to, ascending.

    Raises:
        IdentityError: if it is missing, damaged, or about others.
    """
    rows = read_private(path, what="the file of own deals").removeprefix(_OWN_MAGIC)
    width = INDEX_BYTES + KEY_BYTES
    secrets = {
        int.from_bytes(rows[at : at + INDEX_BYTES], "big"): rows[at + INDEX_BYTES : at + width]
        for at in range(0, len(rows), width)
    }
    if sorted(secrets) != list(behind) or len(rows) != width * len(behind):
        raise IdentityError("the file of own deals is damaged", where=str(path), hint="make the keys anew")
    return secrets


def _parts(data: bytes) -> list[bytes]:
    """The byte strings that ``framed`` put together after the file's first bytes."""
    if not data.startswith(_MAGIC):
        raise WireError("no file of dealt keys")
    parts, at = [], len(_MAGIC)
    while at < len(data):
        end = at + LENGTH_BYTES + int.from_bytes(data[at : at + LENGTH_BYTES], "big")
        parts.append(data[at + LENGTH_BYTES : end])
        at = end
    if at != len(data):
        raise WireError("a file of dealt keys is cut short")
    return parts
