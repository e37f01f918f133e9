"""A process on a pipe says events and nothing else, and does not outlive who listens."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import is_gone

from securefl.progress import Failed, Warned, decode

pytestmark = pytest.mark.slow

READY = "from securefl.progress import Warned; emit(Warned(member='m', message='ready'))\n"


def _process(source: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _ended(source: str) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of a process whose stdin stays open until it has ended."""
    with _process(source) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
        return process.wait(timeout=30), out, err


def _reporting(body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"from securefl.cli.events import event_sink\nwith event_sink(True) as emit:\n{lines}"


def test_what_a_library_prints_does_not_reach_the_events() -> None:
    noise = "import os; print('loading'); os.write(1, b'from below python\\n')\n"
    _, out, err = _ended(_reporting(noise + READY))
    assert [decode(line) for line in out.splitlines()] == [Warned(member="m", message="ready")]
    assert b"loading" in err
    assert b"from below python" in err


def test_events_of_many_threads_stay_whole_lines() -> None:
    many = (
        "from securefl.progress import Warned; import threading\n"
        "def tell(n): [emit(Warned(member=str(n), message='x' * 5000)) for _ in range(40)]\n"
        "threads = [threading.Thread(target=tell, args=(n,)) for n in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    _, out, _ = _ended(_reporting(many))
    assert len([decode(line) for line in out.splitlines()]) == 160


def test_a_process_whose_supervisor_has_gone_ends_by_itself() -> None:
    process = _process(_reporting(READY + "import time; time.sleep(60)"))
    assert process.stdout is not None
    assert process.stdout.readline()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM


def test_killing_the_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    child = _reporting(READY + "import time; time.sleep(60)")
    log = tmp_path / "child.log"
    supervising = (
        "import sys, pathlib\n"
        "from securefl.launch.child import ChildPlan\n"
        "from securefl.launch.signals import Interrupts\n"
        "from securefl.launch.supervisor import Supervisor\n"
        "from securefl.progress import Warned\n"
        "import os\n"
        f"plan = ChildPlan('m', (sys.executable, '-c', {child!r}), pathlib.Path({str(log)!r}))\n"
        "family = Supervisor(emit=lambda event: None, interrupts=Interrupts(), environment=os.environ)\n"
        "child = family.start(plan)\n"
        "family.wait_for(child, Warned, within_s=30)\n"
        "print(child._process.pid, flush=True)\n"
        "family.wait_until_ended([child])\n"
    )
    supervisor = _process(supervising)
    assert supervisor.stdout is not None
    pid = int(supervisor.stdout.readline())
    supervisor.kill()
    supervisor.communicate(timeout=30)
    assert is_gone(pid)


def test_an_error_is_reported_before_it_reaches_the_edge(tmp_path: Path) -> None:
    source = (
        "import sys; from securefl.cli.main import command_line\n"
        f"sys.exit(command_line(['server', {str(tmp_path / 'nothing')!r}, '--json-events']))"
    )
    code, out, err = _ended(source)
    event = decode(out)
    assert isinstance(event, Failed)
    assert (event.member, event.code, event.exit_code) == ("server", "identity", 2)
    assert code == 2
    assert err.decode() == f"securefl: {event.message}\n"


def test_a_terminated_command_ends_with_143_and_runs_its_cleanup() -> None:
    source = (
        "import sys, time; from securefl.cli import main, export\n"
        "def slow(run, client):\n"
        "    try: print('ready', flush=True); time.sleep(60)\n"
        "    finally: print('cleaned', flush=True)\n"
        "export.client_results = slow; sys.argv[1:] = ['export', 'x']; sys.exit(main.main())"
    )
    process = _process(source)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, b"Traceback" in err) == (143, b"cleaned\n", False)
