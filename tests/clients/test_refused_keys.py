"""A federation's keys on disk: every member has them, the server nothing of them, and a refusal spends them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import pytest

from securefl.crypto.authentication import forgery
from securefl.errors import ForgeryError, IdentityError, ProtocolError, SecureFLError
from securefl.protocol.last_words import sentence_for
from securefl.provisioning.file_names import REFUSED_FILE, SHARED_KEYS_FILE
from securefl.provisioning.keys_file import load_shared_keys, save_shared_keys
from securefl_client import process
from securefl_client.folder import ClientFolder

MEMBERS = ("client-1", "client-2", "client-3")


@pytest.fixture
def refused_later(provisioned: Callable[[str], Path]) -> Path:
    """A member's folder whose mark of refusal, if any, is taken off afterwards."""
    folder = provisioned("bfv") / "client-1"
    (folder / REFUSED_FILE).unlink(missing_ok=True)
    return folder


def loaded(folder: Path) -> ClientFolder:
    return ClientFolder.load(folder, now=datetime.now(UTC))


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_all_members_hold_the_same_keys_and_a_cipher_key_if_there_is_a_cipher(
    provisioned: Callable[[str], Path], scheme: str
) -> None:
    keys = [load_shared_keys(provisioned(scheme) / member / SHARED_KEYS_FILE) for member in MEMBERS]
    assert keys[0] == keys[1] == keys[2]
    assert (keys[0].cipher is not None) is (scheme == "bfv")
    assert loaded(provisioned(scheme) / "client-2").keys == keys[0]


@pytest.mark.parametrize("scheme", ["bfv", "none"])
def test_the_servers_folder_holds_no_byte_of_them(provisioned: Callable[[str], Path], scheme: str) -> None:
    keys = load_shared_keys(provisioned(scheme) / "client-1" / SHARED_KEYS_FILE)
    needles = [keys.mac, keys.tag]
    if keys.cipher is not None:
        needles.append(keys.cipher.encode()[1000:1032])
    needles += [needle.hex().encode() for needle in needles]

    def holding(folder: str) -> list[str]:
        files = [path for path in (provisioned(scheme) / folder).rglob("*") if path.is_file()]
        assert files
        return [path.name for path in files if any(needle in path.read_bytes() for needle in needles)]

    assert holding("server") == []
    assert holding("client-1") == [SHARED_KEYS_FILE]


def test_keys_of_the_other_scheme_are_refused(provisioned: Callable[[str], Path], tmp_path: Path) -> None:
    folder = provisioned("none") / "client-3"
    own = (folder / SHARED_KEYS_FILE).read_bytes()
    try:
        other = load_shared_keys(provisioned("bfv") / "client-3" / SHARED_KEYS_FILE)
        save_shared_keys(folder / SHARED_KEYS_FILE, other)
        with pytest.raises(IdentityError, match="another encryption scheme"):
            loaded(folder)
    finally:
        (folder / SHARED_KEYS_FILE).write_bytes(own)


class Unreachable:
    """Stands in for the connection, and sees what had been done when the last words were said."""

    heard: list[tuple[str, bool]]
    folder: Path

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def __enter__(self) -> Unreachable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def join(self, *args: object, **options: object) -> None:
        pass

    def last_words(self, text: str) -> None:
        self.heard.append((text, (self.folder / REFUSED_FILE).exists()))


def ends_with(
    error: SecureFLError, folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, bool]]:
    """Run a client whose work ends with this error; give its last words, and whether its mark stood then."""
    heard: list[tuple[str, bool]] = []

    class Ending:
        def __init__(self, *args: object, **options: object) -> None:
            pass

        def run(self, out: Path, ledger: object, prepare: object) -> None:
            raise error

    monkeypatch.setattr(
        process, "AggregatorClient", type("Seen", (Unreachable,), {"heard": heard, "folder": folder})
    )
    monkeypatch.setattr(process, "_Process", Ending)
    with pytest.raises(type(error)):
        process.run_client(folder, server=None, out=out, emit=lambda event: None)
    return heard


def test_a_refused_aggregate_spends_the_keys_before_anybody_hears_of_it(
    refused_later: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = refused_later
    heard = ends_with(forgery(refuses_keys=True), folder, tmp_path / "out", monkeypatch)
    assert heard == [(sentence_for(forgery(refuses_keys=True)), True)]
    with pytest.raises(IdentityError, match="renew the keys") as caught:
        process.run_client(folder, server=None, out=tmp_path / "again", emit=lambda event: None)
    assert caught.value.exit_code == 2
    (folder / REFUSED_FILE).unlink()
    assert loaded(folder).member == "client-1"


def test_another_failure_leaves_the_keys_good(
    refused_later: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = ends_with(ProtocolError("something else"), refused_later, tmp_path / "out", monkeypatch)
    assert [mark for _, mark in heard] == [False]
    assert loaded(refused_later).member == "client-1"


def test_the_error_of_the_verdict_ends_a_command_with_code_1() -> None:
    assert forgery(refuses_keys=True).exit_code == 1
    assert isinstance(forgery(refuses_keys=True), ForgeryError)
