"""Steps of long work are counted."""

from __future__ import annotations

from securefl.training.loops import Progress


def test_progress_is_a_fraction():
    assert Progress("global", 3, 12).fraction == 0.25
