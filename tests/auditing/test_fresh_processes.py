"""New processes draw noise of their own; a seed that all of them have is seen, though streams of one process differ."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from support.seeded_processes import seeded

from securefl.auditing.fresh_processes import processes_repeat
from securefl.errors import ConfigError
from securefl.privacy.noise_stream import NoiseStream


def test_two_processes_draw_other_noise() -> None:
    assert not processes_repeat()


def test_a_seed_that_every_process_has_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded(tmp_path, monkeypatch)
    assert processes_repeat()


def test_one_process_alone_would_not_show_it() -> None:
    """The control: two streams of one seeded generator differ."""
    entropy = random.Random(5).randbytes
    assert NoiseStream(entropy).words(4).tolist() != NoiseStream(entropy).words(4).tolist()


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\nexit 0\n", None], ids=["fails", "mute", "gone"]
)
def test_a_process_that_draws_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    program = tmp_path / "python"
    if text is not None:
        program.write_text(text)
        program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(ConfigError, match="draws no noise"):
        processes_repeat()
