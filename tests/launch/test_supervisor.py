"""However a child behaves: no child outlives the run, no wait is endless, and the right one is named."""

import signal
import threading
from pathlib import Path

import pytest
from support.processes import is_gone

from securefl.errors import MemberLost, RunError, UsageError
from securefl.launch.signals import Interrupted
from securefl.launch.supervisor import Limits, Supervisor, environment_for
from securefl.progress import Event, Failed, Finished, Listening, Phase, PhaseStarted, Warned

from .conftest import Family, saying

pytestmark = pytest.mark.slow

READY = Warned(member="stubborn", message="ready")
SLEEP = "import time; time.sleep(60)\n"


def test_children_that_end_well_are_waited_for_and_heard_in_order(family: Family) -> None:
    events = [PhaseStarted(member="client-1", round_number=number, phase=Phase.TRAIN) for number in range(50)]
    child = family.supervisor.start(family.plan("client-1", saying(*events)))
    family.supervisor.wait_until_ended([child])
    assert family.heard == events
    assert child.ending is not None
    assert child.ending.code == 0
    assert child.ending.peak_memory_bytes > 1 << 20


def test_the_event_that_is_waited_for_is_given(family: Family) -> None:
    listening = Listening(address="127.0.0.1:4711")
    child = family.supervisor.start(family.plan("server", saying(listening) + SLEEP))
    assert family.supervisor.wait_for(child, Listening, within_s=120) == listening


def test_a_child_killed_by_sigkill_ends_the_run_with_its_name_and_signal(family: Family) -> None:
    healthy = family.supervisor.start(family.plan("client-1", SLEEP))
    training = saying(PhaseStarted(member="client-2", round_number=2, phase=Phase.TRAIN))
    lost = family.supervisor.start(family.plan("client-2", training + "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(MemberLost, match=r"client-2 left .* SIGKILL .* round 2, phase train") as caught:
        family.supervisor.wait_until_ended([healthy, lost])
    assert caught.value.member == "client-2"
    family.supervisor.end_all()
    assert healthy.ending is not None
    assert healthy.ending.code == -signal.SIGTERM


def test_a_child_that_reported_its_error_is_named_though_what_it_caused_ends_first(family: Family) -> None:
    refused = Failed(member="client-3", code="data", message="there is no column 'x'.", exit_code=2)
    slow = family.supervisor.start(family.plan("client-3", saying(refused) + SLEEP))
    family.supervisor.wait_for(slow, Failed, within_s=120)
    echoed = Failed(member="client-1", code="member-lost", message="client-3 left.", exit_code=1)
    consequence = family.supervisor.start(family.plan("client-1", saying(echoed) + "import sys; sys.exit(1)"))
    with pytest.raises(UsageError, match="client-3 cannot go on: there is no column 'x'"):
        family.supervisor.wait_until_ended([slow, consequence])


def test_a_child_that_ignores_sigterm_is_killed(family: Family) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    child = family.supervisor.start(family.plan("stubborn", ignoring + saying(READY) + SLEEP))
    family.supervisor.wait_for(child, Warned, within_s=120)
    family.supervisor.end_all()
    assert child.ending is not None
    assert child.ending.code == -signal.SIGKILL


def test_a_stopped_child_is_killed(family: Family) -> None:
    orderly = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
    child = family.supervisor.start(family.plan("stubborn", orderly + saying(READY) + SLEEP))
    family.supervisor.wait_for(child, Warned, within_s=120)
    child.send(signal.SIGSTOP)
    family.supervisor.end_all()
    assert child.ending is not None
    assert child.ending.code == -signal.SIGKILL


def test_what_a_child_left_running_is_killed_with_it(family: Family) -> None:
    source = (
        "import subprocess, sys, json\n"
        f"child = subprocess.Popen([sys.executable, '-S', '-c', {SLEEP!r}])\n"
        "print(json.dumps({'event': 'Warned', 'member': 'm', 'message': str(child.pid)}), flush=True)\n"
    )
    child = family.supervisor.start(family.plan("client-1", source))
    family.supervisor.wait_until_ended([child])
    (told,) = family.heard
    assert isinstance(told, Warned)
    assert is_gone(int(told.message))


def test_ctrl_c_ends_every_child(family: Family) -> None:
    children = [family.supervisor.start(family.plan(f"client-{n}", saying(READY) + SLEEP)) for n in (1, 2, 3)]
    family.interrupts.received.append(signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        family.supervisor.wait_until_ended(children)
    family.supervisor.end_all()
    assert caught.value.exit_code == 130
    assert all(child.ending is not None for child in children)


def test_garbage_on_stdout_is_kept_in_the_log_and_goes_nowhere_else(family: Family) -> None:
    source = (
        "import sys\n"
        r"sys.stdout.buffer.write(b'\xff\x00 loading: 10 %\r\n{\"event\": 7}\n' + b'x' * 3_000_000 + b'\n')"
        + "\n"
        "sys.stdout.flush()\n" + saying(READY)
    )
    child = family.supervisor.start(family.plan("client-1", source))
    family.supervisor.wait_until_ended([child])
    assert family.heard == [READY]
    assert b"\xff\x00 loading: 10 %" in child.log.read_bytes()


def test_a_child_that_dies_without_a_word_is_quoted_from_its_log(family: Family) -> None:
    child = family.supervisor.start(family.plan("client-1", "import sys; sys.exit('out of \\x1b[31mluck')"))
    with pytest.raises(
        MemberLost, match=r"exit code 1; its last line was 'out of  \[31mluck'; .*client-1.log"
    ):
        family.supervisor.wait_until_ended([child])


def test_an_error_that_the_user_can_mend_is_passed_on_as_one(family: Family) -> None:
    failed = Failed(member="client-1", code="data", message="there is no file a.csv: write one.", exit_code=2)
    child = family.supervisor.start(family.plan("client-1", saying(failed) + "import sys; sys.exit(2)"))
    with pytest.raises(UsageError, match=r"^client-1 cannot go on: there is no file a.csv: write one\.$"):
        family.supervisor.wait_until_ended([child])


def test_the_cause_is_named_although_what_it_caused_came_first(family: Family) -> None:
    consequence = Failed(member="server", code="member-lost", message="client-1 left.", exit_code=1)
    cause = Failed(member="client-1", code="training", message="the loss is not finite.", exit_code=1)
    server = family.supervisor.start(family.plan("server", saying(consequence) + "raise SystemExit(1)"))
    slow = "import time; time.sleep(0.4)\n" + saying(cause) + "raise SystemExit(1)"
    client = family.supervisor.start(family.plan("client-1", slow))
    with pytest.raises(MemberLost, match="client-1 left the federation: the loss is not finite"):
        family.supervisor.wait_until_ended([server, client])


def test_a_child_that_never_gets_ready_is_not_waited_for_endlessly(family: Family) -> None:
    child = family.supervisor.start(family.plan("server", SLEEP))
    with pytest.raises(RunError, match="server was not ready within"):
        family.supervisor.wait_for(child, Listening, within_s=0.2)


def test_a_child_that_ends_before_it_is_ready_is_told_of(family: Family) -> None:
    child = family.supervisor.start(family.plan("server", ""))
    with pytest.raises(RunError, match="server ended before it was ready"):
        family.supervisor.wait_for(child, Listening, within_s=120)


def test_a_child_that_is_done_but_does_not_end_is_ended_with_a_warning(family: Family) -> None:
    done = Finished(member="client-1", path="somewhere")
    child = family.supervisor.start(family.plan("client-1", saying(done) + SLEEP))
    family.supervisor.wait_until_ended([child])
    assert any(isinstance(event, Warned) for event in family.heard)


def test_a_child_that_failed_and_does_not_end_is_lost(family: Family) -> None:
    failed = Failed(member="client-1", code="training", message="nothing was trained.", exit_code=1)
    child = family.supervisor.start(family.plan("client-1", saying(failed) + SLEEP))
    with pytest.raises(MemberLost, match=r"nothing was trained"):
        family.supervisor.wait_until_ended([child])


def test_silence_is_bounded(family: Family) -> None:
    limits = Limits(silence_s=0.2, turn_s=0.02, grace_s=0.5)
    supervisor = Supervisor(
        emit=family.heard.append, interrupts=family.interrupts, environment={}, limits=limits
    )
    with pytest.raises(RunError, match=r"nothing was heard .*: still running: client-1"), supervisor:
        supervisor.wait_until_ended([supervisor.start(family.plan("client-1", SLEEP))])


def test_a_program_that_does_not_exist_is_named(family: Family, tmp_path: Path) -> None:
    plan = family.plan("client-1", "")
    missing = type(plan)(plan.member, (str(tmp_path / "nothing"),), plan.log)
    with pytest.raises(RunError, match="client-1 cannot be started"):
        family.supervisor.start(missing)


def test_threads_are_shared_out_but_the_user_has_the_last_word() -> None:
    assert environment_for(4, cores=2, base={})["OMP_NUM_THREADS"] == "1"
    assert environment_for(4, cores=16, base={})["OMP_NUM_THREADS"] == "4"
    assert environment_for(4, cores=2, base={"OMP_NUM_THREADS": "3"})["OMP_NUM_THREADS"] == "3"


def test_events_are_reported_in_the_callers_thread(family: Family) -> None:
    threads: list[threading.Thread] = []

    def emit(event: Event) -> None:
        threads.append(threading.current_thread())

    with Supervisor(emit=emit, interrupts=family.interrupts, environment={}) as supervisor:
        supervisor.wait_until_ended([supervisor.start(family.plan("client-1", saying(READY)))])
    assert threads == [threading.current_thread()]


@pytest.mark.timeout(200)  # a grace of 600 s would exceed it
def test_a_second_signal_cuts_the_grace_short(family: Family) -> None:
    ignoring = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    patient = Supervisor(
        emit=family.heard.append,
        interrupts=family.interrupts,
        environment={},
        limits=Limits(grace_s=600.0, turn_s=0.02),
    )
    child = patient.start(family.plan("stubborn", ignoring + saying(READY) + SLEEP))
    patient.wait_for(child, Warned, within_s=120)
    family.interrupts.received += [signal.SIGINT, signal.SIGINT]
    patient.end_all()
    assert child.ending is not None
    assert child.ending.code == -signal.SIGKILL
