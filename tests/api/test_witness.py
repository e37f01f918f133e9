"""A witness searches what a real server got and kept: encrypted updates are not in it, plain ones always are."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import securefl_client.member
from securefl.aggregation.needles import VALUES, Needle, float_needles, uneven_windows
from securefl.errors import RunError, StateError
from securefl.launch.witness import Observations, Sighting, Witness, memory_of
from securefl.progress import RoundStepped
from securefl.results.needle_files import append_needles, read_needles
from securefl_client.process import take_part as take_part_in_process
from securefl_server.process import ServerOptions
from securefl_server.recorded_messages import MESSAGES, record_messages

from . import conftest
from .conftest import MEMBERS, PullTowards, provisioned, take_part


def watched(base: Path, monkeypatch: pytest.MonkeyPatch, *, scheme: str) -> Observations:
    """A federation over TLS with everything that ``--witness`` adds, and what the witness says of it."""
    folder, watch = provisioned(base, scheme=scheme), base / "witness"
    watch.mkdir()
    options = partial(ServerOptions, observer=record_messages(watch))
    monkeypatch.setattr(conftest, "ServerOptions", options)
    monkeypatch.setattr(securefl_client.member, "take_part", partial(take_part_in_process, witness=watch))
    learners = {name: PullTowards(seed) for seed, name in enumerate(MEMBERS)}
    outcome = take_part(folder, learners, out=base / "out")
    assert not outcome.errors, outcome.errors
    return Witness(watch, folder / "server").testify()


def test_no_plain_update_is_in_what_the_server_of_an_encrypted_federation_gets_or_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = watched(tmp_path, monkeypatch, scheme="kahe")
    said.require(encrypted=True)
    assert said.seen == ()
    assert said.needles > 30
    assert said.controls_seen == said.controls == 2 * len(MEMBERS)
    assert said.searched["messages"] > 10_000
    assert said.searched["files"] > 1000


def test_every_members_plain_update_is_found_where_nothing_is_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = watched(tmp_path, monkeypatch, scheme="none")
    assert {each.name.split(" ")[0] for each in said.seen if each.place == "messages"} == set(MEMBERS)
    said.require(encrypted=False)
    with pytest.raises(RunError, match="plain values outside their members, first client-1 round 1"):
        said.require(encrypted=True)


@pytest.mark.parametrize("broken", [("keys",), ("keys", "scheme")], ids=["no mask", "no mask and no noise"])
def test_a_federation_that_says_it_encrypts_and_does_not_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, ...]
) -> None:
    """Keys of zeros: sums open as if nothing were wrong."""
    for name in broken:
        module = importlib.import_module(f"securefl.crypto.kahe.{name}")
        sample = module.sample
        monkeypatch.setattr(module, "sample", lambda count, stream, sample=sample: 0 * sample(count, stream))
    said = watched(tmp_path, monkeypatch, scheme="kahe")
    with pytest.raises(RunError, match="plain values outside their members"):
        said.require(encrypted=True)


SEEN = Observations(needles=10, controls=4, controls_seen=4, searched={"messages": 9}, seen=())


@pytest.mark.parametrize(
    ("said", "encrypted", "expected"),
    [
        (replace(SEEN, controls_seen=3), True, "found 3 of 4 controls"),
        (replace(SEEN, controls=0, controls_seen=0), True, "found 0 of 0 controls"),
        (replace(SEEN, needles=0), True, "its silence proves nothing"),
        (SEEN, False, "found no update"),
        (replace(SEEN, seen=(Sighting("client-1 round 1 packed", "memory"),)), True, "server's memory"),
    ],
)
def test_a_watch_that_saw_nothing_it_had_to_see_is_refused(
    said: Observations, encrypted: bool, expected: str
) -> None:
    with pytest.raises(RunError, match=expected):
        said.require(encrypted=encrypted)


def test_needles_are_uneven_and_leave_out_what_is_zero_or_repeated() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([np.zeros(64), np.ones(64), rng.standard_normal(256)])
    windows = uneven_windows(values)
    assert windows
    assert all(len(np.unique(window)) == VALUES and np.all(window != 0) for window in windows)
    assert list(float_needles("zeros", np.zeros((8, 8)))) == []


def test_needles_are_read_as_they_were_written_and_a_half_line_is_left(tmp_path: Path) -> None:
    needles = (
        Needle("client-1 round 1 salt", bytes(range(32)), public=True),
        Needle("client-1 x", b"\x00\xff"),
    )
    path = tmp_path / "client-1.needles"
    append_needles(path, needles)
    with path.open("a") as file:
        file.write('{"name": "client-1 y", "da')
    assert read_needles(tmp_path) == needles
    path.write_text("no\n")
    with pytest.raises(StateError, match="no file of needles"):
        read_needles(tmp_path)


def test_a_needle_that_two_pieces_share_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("securefl.launch.witness.PIECE", 64)
    needle = bytes(range(100, 140))
    (tmp_path / "server").mkdir()
    (tmp_path / MESSAGES).write_bytes(bytes(50) + needle + bytes(500))
    append_needles(tmp_path / "client-1.needles", [Needle("client-1 round 1 packed", needle)])
    said = Witness(tmp_path, tmp_path / "server").testify()
    assert said.seen == (Sighting("client-1 round 1 packed", "messages"),)


HOLDER = """
import sys
held = bytes.fromhex(sys.stdin.readline())
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="this system shows no memory of processes")
def test_what_a_process_has_in_its_memory_alone_is_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    needles = [Needle(f"client-1 round {number} packed", rng.bytes(64)) for number in (1, 2)]
    append_needles(tmp_path / "client-1.needles", needles)
    (tmp_path / "server").mkdir()
    heard = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(needles[0].data.hex() + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        if not any(memory_of(process.pid, overlap=0)):
            process.kill()
            pytest.skip("this system does not show the memory of a process to its parent")
        watch = Witness(tmp_path, tmp_path / "server", process=process.pid)
        emit = watch.listening(heard.append)
        for number in (2, 1):
            emit(RoundStepped(member="server", round_number=number, attempt=1, step="survivors-proposed"))
        process.stdin.write("\n")
        process.stdin.flush()
    said = watch.testify()
    assert said.seen == (Sighting("client-1 round 1 packed", "memory"),)
    assert said.searched["memory"] > 1 << 20
    assert len(heard) == 2


def test_a_testimony_names_no_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = np.random.default_rng(3).bytes(64)
    append_needles(tmp_path / "client-1.needles", [Needle("client-1 round 1 packed", secret)])
    (tmp_path / MESSAGES).write_bytes(secret)
    (tmp_path / "server").mkdir()
    said = Witness(tmp_path, tmp_path / "server").testify()
    assert secret.hex() not in json.dumps(said.to_json())
    assert secret.hex() not in repr(said)
