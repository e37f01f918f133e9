"""A refusal about an announcement that is past is dropped; whatever else ends a session's steps ends the member."""

from __future__ import annotations

import pytest

from securefl.errors import ProtocolError, RunError, SecureFLError, TransportError
from securefl_client.driver import is_dropped

REFUSED = ProtocolError("the attempt is over")


def dropped(error: SecureFLError, *, refused: RunError | None = REFUSED, past: bool = True) -> bool:
    return is_dropped(error, refused=refused, is_past=lambda: past)


def test_the_servers_word_about_what_is_past_is_dropped() -> None:
    assert dropped(REFUSED)


@pytest.mark.parametrize(
    ("error", "refused", "past"),
    [
        (REFUSED, REFUSED, False),
        (ProtocolError("the attempt is over"), REFUSED, True),
        (REFUSED, None, True),
        (TransportError("nobody answers"), TransportError("nobody answers"), True),
    ],
)
def test_no_other_end_is_dropped(error: SecureFLError, refused: RunError | None, past: bool) -> None:
    assert not dropped(error, refused=refused, past=past)


def test_an_error_that_a_repetition_may_mend_is_not_dropped() -> None:
    lost = TransportError("nobody answers")
    assert isinstance(lost, SecureFLError)
    assert lost.retryable
    assert not is_dropped(lost, refused=lost, is_past=lambda: True)  # type: ignore[arg-type]
