"""What tests of private training share."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest


@pytest.fixture
def known_noise(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called before a trainer is made: its samples and its noise are the same in every run, and after every call."""

    def known() -> None:
        from securefl.training.dp_sgd.private_rounds import PrivateRounds

        keys = count()
        monkeypatch.setattr(
            PrivateRounds.__init__,
            "__kwdefaults__",
            {"entropy": lambda size: next(keys).to_bytes(size, "little")},
        )

    return known
