"""The folder of one run, ``runs/<name>/``: what lies where, and that its keys do not outlive it.

The rule kept here: an existing run is never written over.

    members/         the members' folders with their secret keys, and how the run was started; deleted when the run
                     has ended well, or is discarded
    clients/<id>/    a client's result, ledger and adapters
    logs/            one file a process: its stderr and its events
    federation.toml  the file that the run was started with
    federation.json  what all members share: roster, layout, encryption
    plan.json        what was expected of it, before any member started
    server.json      what the server measured
    witness.json     what a witness searched for and saw, where the run was watched
    result.json      everything, merged
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from securefl.errors import ConfigError
from securefl.progress import SERVER

MAX_SIBLINGS = 10_000
"""Runs of one name in one folder."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The places of a run."""

    TOML: ClassVar[str] = "federation.toml"

    root: Path

    @classmethod
    def claim(cls, out: Path, name: str) -> RunFolder:
        """Make ``out/name``, or ``out/name-2`` and so on where that exists already.

        Raises:
            ConfigError: if the folder cannot be made.
        """
        for number in range(1, MAX_SIBLINGS):
            root = out / (name if number == 1 else f"{name}-{number}")
            try:
                root.mkdir(parents=True)
                for part in (root / "clients", root / "logs"):
                    part.mkdir()
                (root / "members").mkdir(mode=0o700)
            except FileExistsError:
                continue
            except OSError as error:
                raise ConfigError(
                    f"{root} cannot be made",
                    where="--out",
                    hint=f"{error.strerror}; name a folder that can be written",
                ) from None
            return cls(root)
        raise ConfigError(
            f"{out} has too many runs called {name}", where="--name", hint="choose another name"
        )

    @property
    def name(self) -> str:
        """The run's name."""
        return self.root.name

    @property
    def members(self) -> Path:
        """The members' folders, until the run has ended well."""
        return self.root / "members"

    @property
    def is_provisioned(self) -> bool:
        """True once the members' folders have been made."""
        return (self.members / SERVER).is_dir()

    @property
    def is_over(self) -> bool:
        """True for the folder of a run whose members' folders have been deleted."""
        return (self.root / "clients").is_dir() and (self.root / "logs").is_dir() and not self.is_provisioned

    @property
    def has_begun(self) -> bool:
        """True once a client has something of its own in the folder."""
        return any((self.root / "clients").iterdir())

    @property
    def has_logs(self) -> bool:
        """True where a process has said anything that is not in an error."""
        return any(log.stat().st_size for log in (self.root / "logs").iterdir())

    @property
    def start(self) -> Path:
        """File of what the run was started with, as long as it can be taken up again."""
        return self.members / "run.json"

    @property
    def can_be_resumed(self) -> bool:
        """True where its members' folders are still there."""
        return self.start.is_file()

    @property
    def plan(self) -> Path:
        """The run's plan."""
        return self.root / "plan.json"

    @property
    def server_result(self) -> Path:
        """The server's figures, once the run has ended."""
        return self.root / "server.json"

    @property
    def result(self) -> Path:
        """The run's result."""
        return self.root / "result.json"

    @property
    def witness(self) -> Path:
        """Testimony of a run that was watched."""
        return self.root / "witness.json"

    def member_file(self, member: str) -> Path:
        """The federation file in a member's folder, until the run has ended well."""
        return self.members / member / "federation.json"

    def client(self, member: str) -> Path:
        """The folder of a client's results."""
        return self.root / "clients" / member

    def client_result(self, member: str) -> Path:
        """A client's result, once it has finished."""
        return self.client(member) / "result.json"

    def log(self, member: str) -> Path:
        """A process's log."""
        return self.root / "logs" / f"{member}.log"

    def keep_public(self, clients: Sequence[str]) -> None:
        """Copy what is public in the members' folders beside them."""
        self._keep(self.member_file(clients[0]), self.root / "federation.json")
        self._keep(self.members / SERVER / "result.json", self.server_result)

    def erase_keys(self, clients: Sequence[str]) -> None:
        """Delete the members' folders; what is public in them is kept."""
        self.keep_public(clients)
        # A provisioning that was killed leaves its unfinished folders beside the finished ones.
        for folder in (self.members, *self.root.glob(".members.*")):
            shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, source: Path, target: Path) -> None:
        if source.is_file():
            shutil.copyfile(source, target)

    def discard(self) -> None:
        """Delete a folder in which nothing has happened yet."""
        shutil.rmtree(self.root, ignore_errors=True)
