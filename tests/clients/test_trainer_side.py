"""What a member does with its trainer beside the sum, in which order."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.training.tasks.base import Metric
from securefl_client.phases import PhaseClock
from securefl_client.trainer_side import TrainerSide


class NotingTrainer:
    """A trainer that trains nothing and notes what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str):
        def noted(*args: object, **_: object) -> Metric | None:
            self.calls.append(" ".join([name, *(str(arg) for arg in args[:1])]))
            if name in ("measure", "baseline"):
                return Metric(name="accuracy", value=0.5, loss=1.0, samples=4, scores=np.ones(4))
            return None

        return noted


@pytest.fixture
def trainer() -> NotingTrainer:
    return NotingTrainer()


def side_of(trainer: NotingTrainer, *, personal: bool) -> TrainerSide:
    clock = PhaseClock("client-1", lambda _: None)
    return TrainerSide(
        trainer, member="client-1", personal=personal, baselines=False, clock=clock, emit=lambda _: None
    )


def test_the_best_personal_round_is_in_place_before_anything_is_made_or_measured_of_it(trainer, tmp_path):
    side_of(trainer, personal=True).finish(tmp_path, 3)
    # The global head is fitted before anything is made or measured of it as well.
    assert trainer.calls[:2] == ["calibrate", "keep_best_personal"]
    assert "fuse" in trainer.calls
    assert "measure personal" in trainer.calls
    assert "save_adapter personal" in trainer.calls


def test_without_a_personal_adapter_none_is_asked_for(trainer, tmp_path):
    side = side_of(trainer, personal=False)
    side.uploaded(1)
    side.finish(tmp_path, 3)
    assert not [call for call in trainer.calls if "personal" in call or "fuse" in call]
