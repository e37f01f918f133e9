"""A federation whose keys change in the middle: it ends with the adapters of an undisturbed run."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.member_threads import MEMBERS, provisioned, run_all, run_member
from support.movers import Mover, Stopped

from securefl.adapters.update import Adapter
from securefl.errors import ForgeryError, IdentityError, RunError, SecureFLError
from securefl.identity.certificates import Role, load_credentials
from securefl.launch.key_rotation import rotate_federation
from securefl.progress import SERVER, Event, Listening
from securefl_server import process, round_archive
from securefl_server.body_sums import Total

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def stoppable(folder: Path) -> Iterator[str]:
    """The address of a server that its operator stops at the end of the block."""
    listening: queue.SimpleQueue[str] = queue.SimpleQueue()

    def heard(event: Event) -> None:
        if isinstance(event, Listening):
            listening.put(event.address)

    server = folder / "server"
    credentials = load_credentials(server, member=SERVER, role=Role.SERVER, now=datetime.now(UTC))
    options = process.ServerOptions(address="127.0.0.1:0")
    run = process._Run(server, process.load_view(server), credentials, options=options, emit=heard)
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(lambda: asyncio.run(run.main()))
        try:
            yield listening.get(timeout=60)
        finally:
            run.interrupt()
            ended.exception(timeout=60)


def together(call: Callable[[int], object]) -> list[object]:
    """What becomes of every member, each on a thread: what the call gives, or the error that ends it."""

    def caught(seed: int) -> object:
        try:
            return call(seed)
        except (SecureFLError, Stopped) as error:
            return error

    with ThreadPoolExecutor(len(MEMBERS)) as pool:
        return list(pool.map(caught, range(len(MEMBERS))))


def begun(folder: Path, out: Path, seed: int, *, address: str, stops_in: int | None = None) -> Adapter:
    return run_member(folder, MEMBERS[seed], Mover(seed, stops_in=stops_in), address=address, out=out)


def equal(one: Adapter, two: Adapter) -> bool:
    pairs = zip(one.weights.values(), two.weights.values(), strict=True)
    return all(np.array_equal(a.B, b.B) for a, b in pairs) and np.array_equal(
        one.heads["out"], two.heads["out"]
    )


@pytest.mark.parametrize("scheme", ["kahe", "none"])
def test_a_run_whose_keys_change_between_two_rounds_ends_with_the_same_adapters(
    tmp_path: Path, scheme: str
) -> None:
    whole = run_all(provisioned(tmp_path / "one", scheme), tmp_path / "whole")
    folder, out = provisioned(tmp_path / "two", scheme), tmp_path / "again"
    with stoppable(folder) as address:
        ended = together(partial(begun, folder, out, address=address, stops_in=2))
    assert [type(each) for each in ended] == [Stopped] * len(MEMBERS)
    assert rotate_federation(folder) == 2
    again = run_all(folder, out)
    assert all(equal(whole[name], again[name]) for name in MEMBERS)


def test_members_with_new_keys_and_a_server_without_them_do_not_work_together(tmp_path: Path) -> None:
    folder, out = provisioned(tmp_path, "none"), tmp_path / "out"
    with stoppable(folder) as address:
        together(partial(begun, folder, out, address=address, stops_in=2))
    shutil.copytree(folder / "server", tmp_path / "copy")
    rotate_federation(folder)
    shutil.rmtree(folder / "server")
    shutil.copytree(tmp_path / "copy", folder / "server")
    with stoppable(folder) as address:
        ended = together(partial(begun, folder, out, address=address))
    assert all(isinstance(each, RunError) for each in ended)
    assert any("the server works under rotation 1 of the keys" in str(each) for each in ended)


def altering(real: Callable[..., Total], bodies: Any, sections: Any, total: Path) -> Total:
    """A server that changes one word of the sum, and has the members certify that."""
    found = real(bodies, sections, total)
    data = bytearray(total.read_bytes())
    data[0] ^= 1
    total.write_bytes(bytes(data))
    return replace(found, digest=sha256(bytes(data)).digest())


def refused(folder: Path) -> list[str]:
    return [name for name in MEMBERS if (folder / name / "keys.refused").exists()]


def test_a_federation_whose_members_refused_a_sum_goes_on_under_new_keys_over_the_same_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_all(provisioned(tmp_path / "one", "bfv"), tmp_path / "whole")
    folder, out = provisioned(tmp_path / "two", "bfv"), tmp_path / "again"
    with stoppable(folder) as address:
        together(partial(begun, folder, out, address=address, stops_in=2))
    with monkeypatch.context() as patch:
        patch.setattr(round_archive, "add_bodies", partial(altering, round_archive.add_bodies))
        for _ in MEMBERS:
            # Whoever is told that another one left before it has judged the sum itself is started once more.
            with stoppable(folder) as address:
                ended = together(partial(begun, folder, out, address=address))
            if len(refused(folder)) == len(MEMBERS):
                break
    assert refused(folder) == list(MEMBERS)
    assert any(isinstance(each, (ForgeryError, IdentityError)) for each in ended)
    assert rotate_federation(folder) == 2
    assert refused(folder) == []
    again = run_all(folder, out)
    assert all(equal(whole[name], again[name]) for name in MEMBERS)
