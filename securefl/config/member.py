"""A member's own file, ``client.toml``: what is nobody else's business.

The rule kept here: what stands in this file may be edited by its owner at any time (where the data lies, which
device, the rates of the personal adapter, the server's address) without touching what the federation file pins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomli_w
from pydantic import Field

from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.federation import FederationConfig
from securefl.config.load import load_file
from securefl.config.model import Rank, TargetModules
from securefl.config.names import Address, Name
from securefl.config.personal import PersonalSection
from securefl.config.privacy import OwnPrivacySection
from securefl.config.section import Section
from securefl.config.training import OwnTrainingSection
from securefl.errors import ConfigError

FILE_NAME = "client.toml"


class ClientSection(Section):
    """``[client]``: who this is, and where the server is."""

    id: Name
    server: Address
    join_timeout_s: float = Field(default=600, gt=0)
    """Longest wait of this client for a server that is not up; ``init`` takes it from the server's own limit."""
    r: Rank | None = None
    """A rank of this client's own choice; only a payload that mixes any ranks allows another than the roster's."""


class OwnModelSection(Section):
    """``[model]``: where this member's copy of the base model lies (its digest is pinned), or a model of its own."""

    path: str
    target_modules: TargetModules | None = None
    """Of a model of this member's own, under ``recipe.personal = "backbone"``; else the federation's are pinned."""


class ClientSettings(Section):
    """A whole ``client.toml``."""

    client: ClientSection
    model: OwnModelSection
    data: DataSection
    training: OwnTrainingSection = OwnTrainingSection()
    personal: PersonalSection = PersonalSection()
    privacy: OwnPrivacySection = OwnPrivacySection()
    cohort: CohortSection
    """Ids of all clients and, where one file is split between them, who takes which part."""

    def to_toml(self) -> str:
        """The file's text."""
        return tomli_w.dumps(_without_nulls(self.model_dump(mode="json")))


def client_settings_of(config: FederationConfig, member: str) -> ClientSettings:
    """Settings that the lead writes into one client's folder; other clients' own files are not named in it."""
    own = config.data.split.by == "none"
    entries = tuple(
        entry.model_copy(
            update={
                "r": None,
                "model": None,
                **({"train": None, "test": None} if own and entry.id != member else {}),
            }
        )
        for entry in config.cohort.clients
    )
    return ClientSettings(
        client=ClientSection(
            id=member,
            server=config.server.reached_at,
            join_timeout_s=config.server.join_timeout_s,
        ),
        model=OwnModelSection(
            path=config.model_paths[member],
            target_modules=config.lora.target_modules if config.recipe.own_backbones else None,
        ),
        data=config.data,
        training=OwnTrainingSection(
            **{name: getattr(config.training, name) for name in OwnTrainingSection.model_fields}
        ),
        personal=config.personal,
        cohort=CohortSection(clients=entries),
    )


def require_reachable_server(config: FederationConfig) -> None:
    """Refuse a ``[server]`` section that does not tell clients on other machines where to connect.

    Raises:
        ConfigError: if the server listens at every address, or at any free port, and nothing says where it is found.
    """
    if not config.server.can_be_reached:
        raise ConfigError(
            f"the server listens at '{config.server.address}', and nothing says where clients find it",
            where="[server]",
            hint='add client_address = "HOST:PORT", with the name or address that clients use for its machine',
        )


def load_client_settings(folder: Path) -> ClientSettings:
    """Read a member folder's ``client.toml``; relative paths in it count from the folder, ``~`` is a home.

    Raises:
        ConfigError: if the file is missing or something in it is wrong.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ConfigError(
            f"{folder} is no client's folder", hint=f"it has no {FILE_NAME}; 'securefl init' writes one"
        )
    return load_file(ClientSettings, path)


def _without_nulls(value: Any) -> Any:
    """TOML has no null: a key without a value is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
