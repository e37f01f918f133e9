"""The folder of one run, ``runs/<name>/``: what lies where, and that its keys do not outlive it.

The rule kept here: an existing run is never written over.

    members/         the members' folders with their secret keys; deleted when the run has ended, however it ended
    clients/<id>/    a client's result, ledger and adapters
    logs/            one file a process: its stderr and its events
    federation.toml  the file that the run was started with
    federation.json  what all members share: roster, layout, encryption
    plan.json        what was expected of it, before any member started
    server.json      what the server measured
    result.json      everything, merged
"""

from __future__ import annotations

import shutil
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
        """Makes ``out/name``, or ``out/name-2`` and so on where that exists already.

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
                raise ConfigError(f"{root} cannot be made", where="--out", hint=str(error.strerror)) from None
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
        """The members' folders, as long as the run lasts."""
        return self.root / "members"

    @property
    def has_begun(self) -> bool:
        """True once a client has something of its own in the folder."""
        return any((self.root / "clients").iterdir())

    @property
    def has_logs(self) -> bool:
        """True where a process has said anything that is not in an error."""
        return any(log.stat().st_size for log in (self.root / "logs").iterdir())

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

    def member_file(self, member: str) -> Path:
        """The federation file in a member's folder, as long as the run lasts."""
        return self.members / member / "federation.json"

    def client(self, member: str) -> Path:
        """The folder of a client's results."""
        return self.root / "clients" / member

    def log(self, member: str) -> Path:
        """A process's log."""
        return self.root / "logs" / f"{member}.log"

    def erase_keys(self, clients: tuple[str, ...]) -> None:
        """Deletes the members' folders; what is public in them is kept."""
        self._keep(self.member_file(clients[0]), self.root / "federation.json")
        self._keep(self.members / SERVER / "result.json", self.server_result)
        # A provisioning that was killed leaves its unfinished folders beside the finished ones.
        for folder in (self.members, *self.root.glob(".members.*")):
            shutil.rmtree(folder, ignore_errors=True)

    def _keep(self, source: Path, target: Path) -> None:
        if source.is_file():
            shutil.copyfile(source, target)

    def discard(self) -> None:
        """Deletes a folder in which nothing has happened yet."""
        shutil.rmtree(self.root, ignore_errors=True)
