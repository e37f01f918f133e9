"""A measured process may crash, hang or print anything: it ends, and its reason is kept."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import is_gone

from securefl.bench import processes
from securefl.bench.aggregation.measurement import Job, Measurement
from securefl.bench.processes import Program, run_measured
from securefl.errors import RunError
from securefl.machine import THREAD_VARIABLES

pytestmark = pytest.mark.slow


@pytest.fixture
def run(
    tmp_path: Path, job: Callable[..., Job], interpreter: Callable[[str, str], Path]
) -> Callable[..., Measurement]:
    """Run Python source as a measured process."""

    def call(source: str, *, timeout_s: float = 240.0, own: bool = False) -> Measurement:
        program = Program((str(interpreter("peer", source)),), own=own)
        return run_measured(program, job(values=10), folder=tmp_path, timeout_s=timeout_s)

    return call


def test_the_last_line_is_the_measurement(
    run: Callable[..., Measurement], measurement: Callable[..., Measurement]
) -> None:
    made = measurement()
    assert run(f"print('Hello.'); print({made.model_dump_json()!r}); print()") == made


def test_a_crash_is_reported_with_its_last_words(run: Callable[..., Measurement]) -> None:
    with pytest.raises(RunError, match=r"ended with exit code 1: ValueError: out of luck\.$"):
        run("raise ValueError('out of luck')")


def test_a_killed_process_is_reported_with_its_signal(run: Callable[..., Measurement]) -> None:
    with pytest.raises(RunError, match="ended with SIGKILL"):
        run("import os; os.kill(os.getpid(), 9)")


def test_garbage_is_reported(run: Callable[..., Measurement]) -> None:
    with pytest.raises(RunError, match="it printed no measurement"):
        run("print('{}')")


def test_silence_is_reported(run: Callable[..., Measurement]) -> None:
    with pytest.raises(RunError, match="it printed no measurement"):
        run("")


def test_endless_output_on_one_line_is_only_garbage(run: Callable[..., Measurement]) -> None:
    with pytest.raises(RunError, match="it printed no measurement"):
        run("import sys\nfor _ in range(64): sys.stdout.write('x' * (1 << 20))")


def test_a_hang_ends_with_all_that_it_has_started(
    run: Callable[..., Measurement], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "pid"
    source = f"""
import os, time
child = os.fork()
if child:
    with open({str(note)!r} + ".part", "w") as part:
        part.write(str(child))
    os.rename({str(note)!r} + ".part", {str(note)!r})
time.sleep(600)
"""
    after_its_start(monkeypatch, note)
    with pytest.raises(RunError, match="did not end within 0 seconds"):
        run(source, timeout_s=0.0)
    assert is_gone(int(note.read_text()))


def after_its_start(monkeypatch: pytest.MonkeyPatch, note: Path) -> None:
    """Let the time of a process begin when it has left its note: a busy machine starts processes late."""

    class Started(processes.ToldProcess):
        def answer(self, read: Callable[[bytes], object]) -> object:
            while not note.exists():
                assert self._process.poll() is None
                time.sleep(0.01)
            return super().answer(read)

    monkeypatch.setattr(processes, "ToldProcess", Started)


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path, job: Callable[..., Job]) -> None:
    program = Program((str(tmp_path / "nowhere"),), own=False)
    with pytest.raises(RunError, match="it cannot be started: No such file"):
        run_measured(program, job(values=10), folder=tmp_path, timeout_s=5.0)


def test_a_peer_has_one_thread_one_core_and_none_of_our_packages(
    run: Callable[..., Measurement],
    measurement: Callable[..., Measurement],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "ours")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    note = tmp_path / "seen"
    run(
        "import json, os\n"
        f"json.dump([dict(os.environ), sorted(os.sched_getaffinity(0))], open({str(note)!r}, 'w'))\n"
        f"print({measurement().model_dump_json()!r})"
    )
    environment, cores = json.loads(note.read_text())
    assert "PYTHONPATH" not in environment
    assert {environment[name] for name in THREAD_VARIABLES} == {"1"}
    assert len(cores) == 1
    assert cores[0] in os.sched_getaffinity(0)


def test_the_job_arrives_whole(
    run: Callable[..., Measurement], measurement: Callable[..., Measurement], tmp_path: Path
) -> None:
    note = tmp_path / "job"
    run(
        f"import sys; open({str(note)!r}, 'w').write(sys.stdin.read()); print({measurement().model_dump_json()!r})"
    )
    assert Job.model_validate_json(note.read_text()).values == 10
