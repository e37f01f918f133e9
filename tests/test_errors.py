"""Reasons in words that a person can use."""

from __future__ import annotations

import pytest

from securefl.errors import plain_reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied", "secret.txt"), "Permission denied"),
        (OSError("odd"), "OSError"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "it is no UTF-8 text"),
    ],
)
def test_a_reason_has_neither_a_number_nor_a_path(error: OSError | UnicodeDecodeError, reason: str) -> None:
    assert plain_reason(error) == reason
