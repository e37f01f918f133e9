"""The work of ``securefl init``: from a federation's TOML file to one folder for each member.

The rule kept here: either every folder stands complete or none does; and the server's folder gets nothing that opens
an update: no key of the epoch, no signing key of a client, no rank.

Every private key is made here, by the lead, and carried to its owner by hand.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from securefl.adapters.layout import Layout
from securefl.config.federation import FederationConfig
from securefl.config.member import FILE_NAME as CLIENT_FILE
from securefl.config.member import client_settings_of
from securefl.config.privacy_misfits import refuse_unenforced
from securefl.crypto.bfv import generate_key
from securefl.crypto.keys import SharedKeys
from securefl.errors import ConfigError
from securefl.identity.authority import Authority
from securefl.identity.certificates import Credentials, Role
from securefl.identity.signing import SigningKey
from securefl.progress import EventSink, Finished, Phase, PhaseEnded, PhaseStarted, Warned
from securefl.protocol.federation import Federation, Member
from securefl.provisioning.file_names import (
    FEDERATION_FILE,
    LEAD_FOLDER,
    SERVER_FILE,
    SERVER_FOLDER,
    SHARED_KEYS_FILE,
    SIGNING_KEY_FILE,
)
from securefl.provisioning.keys_file import save_shared_keys
from securefl.storage.disk import disk_errors

if TYPE_CHECKING:
    from securefl.provisioning.data_overview import DataOverview
    from securefl.provisioning.draft import Draft

_REPORTER = "init"


def provision(
    config: FederationConfig, folder: Path, *, emit: EventSink, layout: Layout | None = None
) -> DataOverview:
    """Makes the members' folders below ``folder``, which must not exist or be empty.

    Args:
        config: What the federation is.
        folder: Where the members' folders are made.
        emit: Where events go.
        layout: The shared tensors of a model that only the members know; no model and no data is read then.

    Returns:
        What was seen of the data that lies on this machine.

    Raises:
        ConfigError: if the folder is not empty, or the configuration does not hold together.
        CapacityError: if no profile adds this cohort's integers exactly.
        DiskError: if the folders cannot be written.
        ModelError, DataError: if the base model or the data that the configuration names do not fit.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} exists and is not empty", hint="name a new folder; keys are never overwritten"
        )
    if layout is None:
        with _told(Phase.IMPORT, emit):
            # Looking at a model takes torch and transformers, which the help of the command line must not wait for.
            from securefl.training.libraries import load_libraries

            load_libraries()
    with _told(Phase.PREPARE, emit):
        overview = _make(config, folder, emit, layout)
    emit(Finished(member=_REPORTER, path=str(folder)))
    return overview


@contextmanager
def _told(phase: Phase, emit: EventSink) -> Iterator[None]:
    """Reports the beginning and, if it comes to a good one, the end of what happens inside."""
    emit(PhaseStarted(member=_REPORTER, round_number=None, phase=phase))
    started = time.perf_counter()
    yield
    emit(PhaseEnded(member=_REPORTER, round_number=None, phase=phase, seconds=time.perf_counter() - started))


def _make(config: FederationConfig, folder: Path, emit: EventSink, layout: Layout | None) -> DataOverview:
    # The members' folders appear by one rename, so that a provisioning that fails leaves nothing half made.
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            overview = _write_all(config, workshop, emit, layout=layout, now=datetime.now(UTC))
            if folder.exists():
                folder.rmdir()
            workshop.replace(folder)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return overview


def _write_all(
    config: FederationConfig, folder: Path, emit: EventSink, *, layout: Layout | None, now: datetime
) -> DataOverview:
    from securefl.provisioning.data_overview import DataRules, overview_of

    signing_keys = {member: SigningKey.generate() for member in config.ranks}
    authority = Authority.create(config.federation.name, now=now)
    credentials = {member: authority.issue(member, role=Role.CLIENT, now=now) for member in config.ranks}
    draft = _draft(config, layout, signing_keys=signing_keys, credentials=credentials)
    federation, overview = draft.federation, overview_of(draft.facts, DataRules.of(draft.federation))
    for warning in overview.warnings:
        emit(Warned(member=_REPORTER, message=warning))
    keys = SharedKeys.generate(generate_key() if config.encryption.scheme != "none" else None)

    lead = folder / LEAD_FOLDER
    lead.mkdir(mode=0o700)
    authority.save(lead)
    for member, signing_key in signing_keys.items():
        own = folder / member
        own.mkdir(mode=0o700)
        (own / FEDERATION_FILE).write_text(federation.to_json_text(), encoding="utf-8")
        (own / CLIENT_FILE).write_text(client_settings_of(config, member).to_toml(), encoding="utf-8")
        signing_key.save(own / SIGNING_KEY_FILE)
        credentials[member].save(own)
        save_shared_keys(own / SHARED_KEYS_FILE, keys)
    _write_server(config, federation, folder / SERVER_FOLDER, authority=authority, now=now)
    return overview


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
    signing_keys: Mapping[str, SigningKey],
    credentials: Mapping[str, Credentials],
) -> Draft:
    """Everything that is pinned; what needs the model or the data is read here."""
    from securefl.provisioning.draft import draft_federation, draft_of_backbones, draft_of_layout
    from securefl.training.model_files import model_digest

    refuse_unenforced(config)
    roster = tuple(
        Member(
            id=member,
            rank=rank,
            signing_key=signing_keys[member].public_key,
            certificate=credentials[member].fingerprint,
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
