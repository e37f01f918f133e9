"""A client's folder on disk: written once by the lead, read when the client starts.

The rule kept here: a folder is complete and consistent, or it is refused with one sentence before anything is sent.

    client-1/   federation.json   what all members share; its digest is what they compare
                client.toml       what is this member's own: data, device, the server's address
                signing.key       Ed25519: what this member says, it signs
                kem.key           opens what is sealed for this member
                shared.key        the federation's keys: of the MACs, the tags, the chain and, under "bfv", the cipher
                channels.key      keys between this member and each other one, and the group's; of the open round
                dealt*.keys       in the place of the last two, until the first start of a member that made its own keys
                rotation/         only while its keys are being changed: the member does not start then
                keys.refused      only if an aggregate was refused here: this folder does not use its keys again
                tls.key tls.crt ca.crt
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from securefl.config.member import FILE_NAME as CLIENT_FILE
from securefl.config.member import ClientSettings, load_client_settings
from securefl.config.training import refuse_own_misfits
from securefl.crypto.channels import Channels
from securefl.crypto.keys import SharedKeys
from securefl.crypto.sealed_box import KemKey
from securefl.errors import ConfigError, IdentityError, plain_reason
from securefl.identity.certificates import Credentials, Role, load_credentials
from securefl.identity.signing import SigningKey
from securefl.protocol.federation import Federation, Member
from securefl.protocol.privacy_promise import require_promise
from securefl.provisioning.dealt_files import take_dealt_keys
from securefl.provisioning.file_names import (
    CHANNELS_FILE,
    FEDERATION_FILE,
    KEM_KEY_FILE,
    REFUSED_FILE,
    ROTATION_FOLDER,
    SHARED_KEYS_FILE,
    SIGNING_KEY_FILE,
)
from securefl.provisioning.keys_file import load_channels, load_kem_key, load_shared_keys
from securefl.storage.disk import disk_errors
from securefl.storage.private import write_private


@dataclass(frozen=True, slots=True)
class ClientFolder:
    """All that a client knows when it starts.

    Attributes:
        settings: Its own file.
        federation: The pinned federation.
        rank: Rank of its global adapter.
        signing_key: Its signing key, which the roster has the public half of.
        kem_key: Its KEM key, which the roster has the public half of.
        keys: The federation's; with a cipher key under ``scheme = "bfv"`` alone.
        channels: Its channel keys, of the round that its folder has come to.
        credentials: Its TLS files.
    """

    settings: ClientSettings
    federation: Federation
    rank: int
    signing_key: SigningKey = field(repr=False)
    kem_key: KemKey = field(repr=False)
    keys: SharedKeys = field(repr=False)
    channels: Channels = field(repr=False)
    credentials: Credentials = field(repr=False)

    @property
    def member(self) -> str:
        """This client's id."""
        return self.settings.client.id

    @classmethod
    def load(cls, folder: Path, *, now: datetime) -> ClientFolder:
        """Read and check a client's folder.

        Args:
            folder: As ``provisioning`` wrote it.
            now: The time, with a time zone, against which certificates are checked.

        Raises:
            ConfigError: if ``client.toml`` is wrong.
            IdentityError: if a key, a certificate or the federation file is missing, foreign, damaged or expired, or
                the federation would not keep its promise of privacy to clients or rows.
        """
        settings = load_client_settings(folder)
        _refuse_during_rotation(folder)
        federation = load_federation_file(folder)
        require_promise(federation, where=str(folder / FEDERATION_FILE))
        refuse_own_misfits(
            settings.training,
            batch_size=federation.terms.training.per_device_train_batch_size,
            where=str(folder / CLIENT_FILE),
        )
        member = federation.member(settings.client.id)
        signing_key = SigningKey.load(folder / SIGNING_KEY_FILE)
        if signing_key.public_key != member.signing_key:
            raise IdentityError(
                f"the signing key is not the one the roster has for {member.id}",
                where=str(folder / SIGNING_KEY_FILE),
                hint="use the folder that was made for this member",
            )
        credentials = load_credentials(folder, member=member.id, role=Role.CLIENT, now=now)
        if credentials.fingerprint != member.certificate:
            raise IdentityError(
                f"the TLS certificate is not the one the roster has for {member.id}",
                where=str(folder),
                hint="use the folder that was made for this member",
            )
        kem_key = _load_kem_key(folder, member)
        with disk_errors(folder):
            take_dealt_keys(folder, federation, own=member.id, kem_key=kem_key)
        keys = _load_keys(folder, with_cipher_key=federation.terms.encryption.scheme == "bfv")
        return cls(
            settings=settings,
            federation=federation,
            rank=_own_rank(settings, federation, where=str(folder)),
            signing_key=signing_key,
            kem_key=kem_key,
            keys=keys,
            channels=_load_channels(folder, federation, own=member.id, key_epoch=keys.key_epoch),
            credentials=credentials,
        )


def load_federation_file(folder: Path) -> Federation:
    """The pinned federation of a member's folder.

    Raises:
        IdentityError: if it is missing or does not hold together.
    """
    path = folder / FEDERATION_FILE
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise IdentityError(
            "the federation file cannot be read",
            where=str(path),
            hint=f"copy the member's folder again: {plain_reason(error)}",
        ) from None
    return Federation.from_json_text(text, where=str(path))


def _refuse_during_rotation(folder: Path) -> None:
    """A member that has asked for new keys sends nothing more under the old ones."""
    if (folder / ROTATION_FOLDER).exists():
        raise IdentityError(
            "this member's keys are being changed",
            where=str(folder / ROTATION_FOLDER),
            hint=f"go on with 'securefl keys rotate {folder}', or, where another member never asks for new keys, with "
            "'--abandon' behind it",
        )


def refuse_keys(folder: Path) -> None:
    """Mark the keys of a folder as not to be used again.

    Raises:
        IdentityError: if the folder cannot be written to.
    """
    write_private(folder / REFUSED_FILE, b"An aggregate under these keys was refused; renew them.\n")


def _load_keys(folder: Path, *, with_cipher_key: bool) -> SharedKeys:
    if (folder / REFUSED_FILE).exists():
        raise IdentityError(
            "an aggregate under the federation's keys was not the sum of what its contributors sent",
            where=str(folder / REFUSED_FILE),
            hint="renew the keys: 'securefl keys rotate' gives all members new ones, and the federation goes on",
        )
    keys = load_shared_keys(folder / SHARED_KEYS_FILE)
    if (keys.cipher is not None) is not with_cipher_key:
        raise IdentityError(
            "the shared keys are of another encryption scheme than the federation's",
            where=str(folder / SHARED_KEYS_FILE),
            hint="use the folder that was made for this member",
        )
    return keys


def _load_kem_key(folder: Path, member: Member) -> KemKey:
    key = load_kem_key(folder / KEM_KEY_FILE)
    if key.public_key != member.kem_key:
        raise IdentityError(
            f"the KEM key is not the one the roster has for {member.id}",
            where=str(folder / KEM_KEY_FILE),
            hint="use the folder that was made for this member",
        )
    return key


def _load_channels(folder: Path, federation: Federation, *, own: str, key_epoch: int) -> Channels:
    channels = load_channels(folder / CHANNELS_FILE)
    expected = (key_epoch, federation.index_of(own), len(federation.roster) - 1)
    if (channels.key_epoch, channels.own, len(channels.pairs)) != expected:
        raise IdentityError(
            f"the channel keys are not those of {own} in this federation",
            where=str(folder / CHANNELS_FILE),
            hint="use the folder that was made for this member",
        )
    return channels


def _own_rank(settings: ClientSettings, federation: Federation, *, where: str) -> int:
    rostered = federation.member(settings.client.id).rank
    own = settings.client.r
    if own is None or own == rostered:
        return rostered
    if not federation.plan.facts.own_ranks:
        raise ConfigError(
            f"'client.r' is {own}, the roster says {rostered}",
            where=where,
            hint=f"the payload '{federation.terms.payload.name}' needs the ranks that all members know",
        )
    largest = federation.layout.largest_rank
    if own > largest:
        raise ConfigError(
            f"'client.r' is {own}", where=where, hint=f"the narrowest weight here has no rank above {largest}"
        )
    return own
