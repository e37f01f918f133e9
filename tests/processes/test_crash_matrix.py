"""Kill -9 of a real process after a persisted step, and a start by hand: everybody ends as if nothing had happened.

Twelve points of the matrix; ``make soak`` plays all of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.crash_matrix import Played, play

pytestmark = pytest.mark.slow
# A member: its advert, its update, its cohort, its outbox, its header, its vote, its reveal, its sum.
MEMBER_STEPS = (2, 6, 7, 10, 13, 14, 15, 19)
# The server: an advert, a body, the statement, a reveal.
SERVER_STEPS = (3, 7, 13, 18)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return play(tmp_path_factory.mktemp("undisturbed"), role="member", step=0)


@pytest.mark.parametrize(
    ("role", "step"),
    [*(("member", step) for step in MEMBER_STEPS), *(("server", step) for step in SERVER_STEPS)],
)
def test_a_process_that_is_killed_after_a_step_goes_on_with_the_same_sums_and_adapters(
    tmp_path: Path, undisturbed: Played, role: str, step: int
) -> None:
    played = play(tmp_path, role=role, step=step)
    assert played.killed
    assert played.ends == undisturbed.ends


def test_the_points_are_the_steps_that_their_names_say(undisturbed: Played) -> None:
    assert [undisturbed.steps[step - 1] for step in MEMBER_STEPS] == [
        "advert-signed",
        "update-kept",
        "cohort-accepted",
        "contribution-staged",
        "header-committed",
        "vote-signed",
        "reveal-signed",
        "sum-applied",
    ]
