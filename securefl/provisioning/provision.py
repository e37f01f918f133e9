"""The work of ``securefl init``: from a federation's TOML file to one folder for each member.

The rule kept here: either every folder stands complete or none does; and the server's folder gets nothing that opens
an update: no key of the epoch, no signing key of a client, no rank.

Every private key is made here, by the lead, and carried to its owner by hand; but a member may make its own and send a
request, and then its private keys are nowhere else, and what it shares with others is sealed for it.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.adapters.layout import Layout
from securefl.config.federation import FederationConfig
from securefl.config.member import FILE_NAME as CLIENT_FILE
from securefl.config.member import client_settings_of
from securefl.crypto.bfv import generate_key
from securefl.crypto.keys import SharedKeys
from securefl.crypto.sealed_box import KemKey
from securefl.errors import ConfigError
from securefl.identity.authority import Authority
from securefl.identity.certificates import Credentials, Role
from securefl.identity.signing import SigningKey
from securefl.progress import EventSink, Finished, Phase, PhaseEnded, PhaseStarted, Warned
from securefl.protocol.federation import Federation, Member
from securefl.protocol.privacy_promise import check_promise
from securefl.provisioning.data_ranks import with_data_ranks, without_data_ranks
from securefl.provisioning.dealing import ChannelSecrets
from securefl.provisioning.dealt_files import save_dealt_keys
from securefl.provisioning.file_names import (
    CHANNELS_FILE,
    DEALT_FILE,
    FEDERATION_FILE,
    KEM_KEY_FILE,
    LEAD_FOLDER,
    SERVER_FILE,
    SERVER_FOLDER,
    SHARED_KEYS_FILE,
    SIGNING_KEY_FILE,
)
from securefl.provisioning.keys_file import save_channels, save_kem_key, save_shared_keys
from securefl.provisioning.own_keys import KeyRequest, with_requests_last
from securefl.storage.disk import disk_errors

if TYPE_CHECKING:
    from securefl.provisioning.data_overview import DataOverview
    from securefl.provisioning.draft import Draft

_REPORTER = "init"


@dataclass(frozen=True, slots=True)
class _PrivateKeys:
    """Keys of the members whose keys are made here."""

    signing: SigningKey
    kem: KemKey


@dataclass(frozen=True, slots=True)
class _PublicKeys:
    """Keys of a member for the roster."""

    signing: bytes
    kem: bytes


def provision(
    config: FederationConfig,
    folder: Path,
    *,
    emit: EventSink,
    layout: Layout | None = None,
    requests: Sequence[KeyRequest] = (),
) -> DataOverview:
    """Make the members' folders below ``folder``, which must not exist or be empty.

    Args:
        config: What the federation is.
        folder: Where the members' folders are made.
        emit: Where events go.
        layout: The shared tensors of a model that only the members know; no model and no data is read then.
        requests: Public keys of members that made their own; they stand last in the roster.

    Returns:
        What was seen of the data that lies on this machine.

    Raises:
        ConfigError: if the folder is not empty, the configuration does not hold together, or a request is of no client
            of it.
        CapacityError: if no profile adds this cohort's integers exactly.
        DiskError: if the folders cannot be written.
        ModelError, DataError: if the base model or the data that the configuration names do not fit.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} exists and is not empty", hint="name a new folder; keys are never overwritten"
        )
    config = with_requests_last(config, requests)
    config = without_data_ranks(config) if layout is not None else config
    if layout is None:
        with _told(Phase.IMPORT, emit):
            # Looking at a model takes torch and transformers, which the help of the command line must not wait for.
            from securefl.training.libraries import load_libraries

            load_libraries()
    with _told(Phase.PREPARE, emit):
        overview = _make(with_data_ranks(config), folder, emit, layout, requests)
    emit(Finished(member=_REPORTER, path=str(folder)))
    return overview


@contextmanager
def _told(phase: Phase, emit: EventSink) -> Iterator[None]:
    """Report the beginning and, if it comes to a good one, the end of what happens inside."""
    emit(PhaseStarted(member=_REPORTER, round_number=None, phase=phase))
    started = time.perf_counter()
    yield
    emit(PhaseEnded(member=_REPORTER, round_number=None, phase=phase, seconds=time.perf_counter() - started))


def _make(
    config: FederationConfig,
    folder: Path,
    emit: EventSink,
    layout: Layout | None,
    requests: Sequence[KeyRequest],
) -> DataOverview:
    # The members' folders appear by one rename, so that a provisioning that fails leaves nothing half made.
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            overview = _write_all(
                config, workshop, emit, layout=layout, requests=requests, now=datetime.now(UTC)
            )
            if folder.exists():
                folder.rmdir()
            workshop.replace(folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return overview


def _write_all(
    config: FederationConfig,
    folder: Path,
    emit: EventSink,
    *,
    layout: Layout | None,
    requests: Sequence[KeyRequest],
    now: datetime,
) -> DataOverview:
    from securefl.provisioning.data_overview import DataRules, overview_of

    requested = {request.id: _PublicKeys(request.signing_key, request.kem_key) for request in requests}
    made = {
        member: _PrivateKeys(SigningKey.generate(), KemKey.generate())
        for member in config.ranks
        if member not in requested
    }
    public = {member: _PublicKeys(own.signing.public_key, own.kem.public_key) for member, own in made.items()}
    authority = Authority.create(config.federation.name, now=now)
    credentials = {member: authority.issue(member, role=Role.CLIENT, now=now) for member in config.ranks}
    draft = _draft(config, layout, keys=public | requested, credentials=credentials)
    # The lead asks of itself what every member asks of its file.
    check_promise(draft.federation)
    federation, overview = draft.federation, overview_of(draft.facts, DataRules.of(draft.federation))
    for warning in overview.warnings:
        emit(Warned(member=_REPORTER, message=warning))

    lead = folder / LEAD_FOLDER
    lead.mkdir(mode=0o700)
    authority.save(lead)
    for member in config.ranks:
        own = folder / member
        own.mkdir(mode=0o700)
        (own / FEDERATION_FILE).write_text(federation.to_json_text(), encoding="utf-8")
        (own / CLIENT_FILE).write_text(client_settings_of(config, member).to_toml(), encoding="utf-8")
        credentials[member].save(own)
    _write_keys(config, federation, folder, made)
    _write_server(config, federation, folder / SERVER_FOLDER, authority=authority, now=now)
    return overview


def _write_keys(
    config: FederationConfig, federation: Federation, folder: Path, made: Mapping[str, _PrivateKeys]
) -> None:
    """The keys of those whose keys are made here; for the others, what only they can open."""
    shared = SharedKeys.generate(generate_key() if config.encryption.scheme == "bfv" else None)
    secrets_of_channels = ChannelSecrets.draw(federation, made_here=len(made))
    signing_keys = [own.signing for own in made.values()]
    for index, member in enumerate(federation.cohort):
        own = folder / member
        if member in made:
            made[member].signing.save(own / SIGNING_KEY_FILE)
            save_kem_key(own / KEM_KEY_FILE, made[member].kem)
            save_shared_keys(own / SHARED_KEYS_FILE, shared)
            save_channels(own / CHANNELS_FILE, secrets_of_channels.channels_of(index))
        else:
            dealt = secrets_of_channels.dealt_to(index, federation, shared=shared, signing_keys=signing_keys)
            save_dealt_keys(own / DEALT_FILE, dealt)


def _write_server(
    config: FederationConfig, federation: Federation, folder: Path, *, authority: Authority, now: datetime
) -> None:
    folder.mkdir(mode=0o700)
    view = federation.server_view(config.server)
    (folder / SERVER_FILE).write_text(view.to_json_text(), encoding="utf-8")
    # Members on the same machine reach the server by its loopback names, whatever its public one is.
    names = config.server.certificate_names
    authority.issue(SERVER_FOLDER, role=Role.SERVER, now=now, names=names).save(folder)


def _draft(
    config: FederationConfig,
    layout: Layout | None,
    *,
    keys: Mapping[str, _PublicKeys],
    credentials: Mapping[str, Credentials],
) -> Draft:
    """Everything that is pinned; what needs the model or the data is read here."""
    from securefl.provisioning.draft import draft_federation, draft_of_backbones, draft_of_layout
    from securefl.training.model_files import model_digest

    roster = tuple(
        Member(
            id=member,
            rank=rank,
            signing_key=keys[member].signing,
            certificate=credentials[member].fingerprint,
            kem_key=keys[member].kem,
        )
        for member, rank in config.ranks.items()
    )
    if layout is not None:
        return draft_of_layout(config, layout, roster=roster, federation_id=secrets.token_bytes(32))
    if config.recipe.own_backbones:
        return draft_of_backbones(config, roster=roster, federation_id=secrets.token_bytes(32))
    return draft_federation(
        config,
        roster=roster,
        federation_id=secrets.token_bytes(32),
        model_digest=model_digest(config.model.path),
    )
