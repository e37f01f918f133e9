"""A rotation of keys that is stopped after any step, and the command that people give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.rotations import (
    MEMBERS,
    dealt_to,
    lived,
    loaded,
    requested,
    rotated,
)

from securefl.cli.main import command_line
from securefl.provisioning.keys_file import load_channels
from securefl_client.member_rotation import RotationProgress, rotate_keys


class Stopped(BaseException):
    """The process ends here."""


STEPS = (
    *("requested", "drawn", "sealed", "dealt", "opened", "journal", "shared.key", "channels.key"),
    *("secrets-removed", "finished"),
)


@pytest.mark.parametrize("step", STEPS)
def test_a_member_that_is_stopped_after_any_step_goes_on_to_the_same_keys(base: Path, step: str) -> None:
    reached: list[str] = []

    def stopping(told: str) -> None:
        reached.append(told)
        if told == step:
            raise Stopped

    def call(member: str, *files: Path) -> RotationProgress:
        if member == "client-2" and step not in reached:
            try:
                return rotate_keys(base / member, files, on_step=stopping)
            except Stopped:
                pass
        return rotate_keys(base / member, files)

    requests = [call(member).request for member in MEMBERS]
    dealt = [call(member, *requests) for member in MEMBERS]
    for member in MEMBERS[1:]:
        assert call(member, *dealt_to(member, dealt)).finished
    assert reached[-1] == step
    members = [loaded(base / member) for member in MEMBERS]
    assert {own.keys.encode() for own in members} == {members[0].keys.encode()}
    assert members[1].channels.pair(0).key == members[0].channels.pair(1).key
    assert members[1].channels.pair(2).key == members[2].channels.pair(1).key
    assert not (base / "client-2" / "rotation").exists()


@pytest.mark.parametrize("step", ["drawn", "sealed"])
def test_a_dealer_that_is_stopped_seals_no_key_twice(base: Path, step: str) -> None:
    """Two boxes for one use would be proof against it, and the first may have been sent."""
    requests = requested(base)

    def stopping_at(last: str) -> Callable[[str], None]:
        def stopping(told: str) -> None:
            if told == last:
                raise Stopped

        return stopping

    with pytest.raises(Stopped):
        rotate_keys(base / "client-1", requests, on_step=stopping_at(step))
    kept = base / "client-1" / "rotation"
    drawn = [(kept / name).read_bytes() for name in ("own.deals", "group.drawn", "shared.drawn")]
    sent = {path: path.read_bytes() for path in base.glob("client-1/deals/rotation-2/*/*.keys")}
    with pytest.raises(Stopped):
        rotate_keys(base / "client-1", on_step=stopping_at("dealt"))
    assert [(kept / name).read_bytes() for name in ("own.deals", "group.drawn", "shared.drawn")] == drawn
    assert {path: path.read_bytes() for path in sent} == sent


def test_a_call_with_files_of_a_finished_rotation_begins_no_other(base: Path) -> None:
    rotated(base)
    lived(base)
    old = sorted(base.glob("*/deals/rotation-2/client-3/*.keys"))
    assert rotate_keys(base / "client-3", old).finished
    assert loaded(base / "client-3").keys.key_epoch == 2


# --- the command


def test_the_command_changes_all_keys_where_all_folders_are_here(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["keys", "rotate", str(base)]) == 0
    assert "new keys (rotation 2)" in capsys.readouterr().out
    assert {load_channels(base / member / "channels.key").key_epoch for member in MEMBERS} == {2}


def test_the_command_says_what_to_send_and_what_is_awaited(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["keys", "rotate", str(base / "client-2")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "rotation-client-2.json to all other clients and the server" in said
    assert "Awaited: requests of client-1, client-3" in said


def test_a_server_moves_on_with_the_requests_of_all_members_and_of_no_fewer(
    base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = [str(path) for path in requested(base)]
    assert command_line(["keys", "rotate", str(base / "server"), *requests[:2]]) == 2
    assert "there is no request for new keys of client-3" in " ".join(capsys.readouterr().err.split())
    for _ in range(2):
        assert command_line(["keys", "rotate", str(base / "server"), *requests]) == 0
        assert "rotation 2" in capsys.readouterr().out


def test_a_request_shows_no_secret(base: Path) -> None:
    request = json.loads(requested(base)[1].read_text())
    assert set(request) == {"version", "wish", "signature"}
    assert set(request["wish"]) == {
        *("id", "federation_digest", "key_epoch", "applied", "newest_sum", "kem_key", "refusal")
    }
