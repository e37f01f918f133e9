"""A member that is lost for good: the others end with their exact sum where enough remain, or a sentence says who is.

Members without torch, each on a thread; the one that is lost is a process that kills itself.
"""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.crash_matrix import VICTIM, Ends, ended, provisioned, start_role
from support.crash_roles import run_member
from support.ports import free_address

from securefl.errors import SecureFLError
from securefl.progress import Event
from securefl_server.process import ServerOptions, serve

pytestmark = pytest.mark.slow
WAIT_S = 120
ADVERTED, COMMITTED = 2, 13


def lose(
    base: Path, *, members: int, step: int, scheme: str
) -> tuple[Ends, list[SecureFLError], list[Event]]:
    """A federation whose second member dies after a step; where the others ended, and with what."""
    # Rounds wait for the lost one while members may join, and the farewell for a step: far longer than the others take.
    limits = "reconnect_grace_s = 1\njoin_timeout_s = 10\nround_timeout_s = 60\nstep_timeout_s = 12"
    folder, names = provisioned(base, scheme, members=members, limits=limits)
    address, out = free_address(), base / "out"
    errors: list[SecureFLError] = []
    events: list[Event] = []

    def run(name: str) -> None:
        try:
            if name == "server":
                serve(folder / name, ServerOptions(address=address), emit=events.append)
            else:
                run_member(folder / name, address=address, out=out / name, seed=names.index(name))
        except SecureFLError as error:
            errors.append(error)

    roles = ["server", *(name for name in names if name != VICTIM)]
    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in roles]
    victim: subprocess.Popen[str] = start_role(folder, out, address, VICTIM, step=step)
    assert victim.stderr is not None
    # A process loads its code first; the time to join is no part of that.
    assert victim.stderr.readline() == "ready\n"
    for thread in threads:
        thread.start()
    victim.communicate(timeout=WAIT_S)
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "a role hangs"
    left = [name for name in names if name != VICTIM and (out / name / "result.json").exists()]
    return {name: ended(out / name) for name in left}, errors, events


@pytest.mark.parametrize("step", [ADVERTED, COMMITTED], ids=["adverted", "committed"])
def test_four_members_end_without_the_one_that_was_lost_and_with_the_sum_of_the_integer_twin(
    tmp_path: Path, step: int
) -> None:
    # Without shares the twin has no second chance for who is lost later.
    schemes = ("kahe", "none") if step == ADVERTED else ("kahe",)
    with ThreadPoolExecutor() as pool:
        lost = pool.map(lambda scheme: lose(tmp_path / scheme, members=4, step=step, scheme=scheme), schemes)
        ends, *twins = [_without_errors(*each) for each in lost]
    assert set(ends) == {"client-1", "client-3", "client-4"}
    assert len({end[:2] for end in ends.values()}) == 1
    assert all(twin == ends for twin in twins)


def _without_errors(ends: Ends, errors: list[SecureFLError], _: list[Event]) -> Ends:
    assert errors == []
    return ends


def test_where_too_few_remain_everybody_hears_who_is_missing(tmp_path: Path) -> None:
    ends, errors, _ = lose(tmp_path, members=3, step=COMMITTED, scheme="kahe")
    assert ends == {}
    assert len(errors) == 3
    for error in errors:
        assert VICTIM in str(error), errors
