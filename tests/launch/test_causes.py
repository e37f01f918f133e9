"""Of several processes that were lost together, the one with a reason of its own is named."""

from itertools import permutations
from pathlib import Path

import pytest

from securefl.errors import MemberLost, RunError, UsageError
from securefl.launch.causes import Loss, error_for
from securefl.progress import Failed


def _lost(member: str, *, code: int = 1, failed: str = "", said: str = "gone.", exit_code: int = 1) -> Loss:
    report = Failed(member=member, code=failed, message=said, exit_code=exit_code) if failed else None
    return Loss(member, code, report, None, "", Path(f"{member}.log"))


KILLED = _lost("client-2", code=-9)
TRAINING = _lost("client-2", failed="training", said="the loss is not finite.")
CRASHED = _lost("client-2")
FOLLOWERS = (
    _lost("server", failed="member-lost", said="client-2 left the federation."),
    _lost("client-1", failed="transport", said="the server cannot be reached."),
)


@pytest.mark.parametrize("cause", [KILLED, TRAINING, CRASHED])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_cause_is_found_in_any_order(cause: Loss, order: tuple[int, ...]) -> None:
    lost = [(cause, *FOLLOWERS)[position] for position in order]
    error = error_for(lost)
    assert isinstance(error, MemberLost)
    assert error.member == "client-2"


def test_a_process_killed_from_outside_is_named_before_one_that_crashed() -> None:
    assert "client-2" in str(error_for([_lost("client-1"), KILLED]))


def test_a_consequence_alone_is_repeated_as_it_was_said() -> None:
    error = error_for([FOLLOWERS[0]])
    assert type(error) is RunError
    assert str(error) == "client-2 left the federation."


def test_a_mistake_in_the_federation_file_is_told_without_a_member() -> None:
    error = error_for([_lost("init", failed="model", said="there is no model at x.", exit_code=2)])
    assert isinstance(error, UsageError)
    assert str(error) == "there is no model at x."


def test_an_exit_code_that_stands_for_a_signal_is_told_as_one() -> None:
    assert "SIGTERM" in str(error_for([_lost("client-1", code=143)]))
