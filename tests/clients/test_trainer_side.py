"""What a member does with its trainer beside the sum, in which order."""

from __future__ import annotations

import numpy as np
import pytest

from securefl.aggregation.early_stopping import LOSS_BOUND, loss_steps
from securefl.config.recipes.choices import FusionSection, Recipe
from securefl.progress import Event, EventSink, Warned
from securefl.training.tasks.base import MOST_ROW_LOSS, Metric
from securefl.training.tasks.classification.metric import measured
from securefl_client.phases import PhaseClock
from securefl_client.trainer_side import TrainerSide

LIMIT = 32_767


class NotingTrainer:
    """A trainer that trains nothing and notes what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.metric = Metric(name="accuracy", value=0.5, loss=1.0, samples=4, scores=np.ones(4))

    def __getattr__(self, name: str):
        def noted(*args: object, **_: object) -> Metric | None:
            self.calls.append(" ".join([name, *(str(arg) for arg in args[:1])]))
            if name in ("measure", "baseline"):
                return self.metric
            return None

        return noted


@pytest.fixture
def trainer() -> NotingTrainer:
    return NotingTrainer()


def side_of(
    trainer: NotingTrainer,
    *,
    fusion: FusionSection | None = None,
    emit: EventSink = lambda _: None,
    **choices: object,
) -> TrainerSide:
    clock = PhaseClock("client-1", lambda _: None)
    return TrainerSide(
        trainer,
        member="client-1",
        recipe=Recipe(name="default", **choices),
        fusion=fusion or FusionSection(),
        clock=clock,
        emit=emit,
    )


def test_the_best_personal_round_is_in_place_before_anything_is_made_or_measured_of_it(trainer, tmp_path):
    side_of(trainer, personal="alone").finish(tmp_path, 3)
    # The global head is fitted before anything is made or measured of it as well.
    assert trainer.calls[:2] == ["calibrate", "keep_best_personal"]
    assert "fuse" in trainer.calls
    assert "measure personal" in trainer.calls
    assert "save_adapter personal" in trainer.calls


@pytest.mark.parametrize(("longest", "said"), [(2, []), (3, ["3 of 20 rows to train on fill max_length"])])
def test_rows_that_are_cut_are_told_where_they_are_many(trainer, longest, said):
    trainer.dropped, trainer.longest, trainer.samples = 0, longest, 20
    heard: list[Event] = []
    side_of(trainer, personal="none", emit=heard.append).begin(None)
    assert [event.message.partition(",")[0] for event in heard if isinstance(event, Warned)] == said


def test_without_a_personal_adapter_none_is_asked_for(trainer, tmp_path):
    side = side_of(trainer, personal="none")
    side.uploaded(1)
    side.finish(tmp_path, 3)
    assert not [call for call in trainer.calls if "personal" in call or "fuse" in call]


def test_a_row_without_a_logit_does_not_drown_the_loss_that_early_stopping_adds_up(trainer, tmp_path):
    """One row of four has a label that the member may not know; the others get better from one round to the next."""
    side, seen = side_of(trainer, personal="none"), []
    for round_number, margin in ((1, 0.0), (2, 3.0)):
        logits = np.array([[margin, 0.0, -1e4]] * 3 + [[0.0, 0.0, -1e4]])
        trainer.metric = measured(logits, np.array([0, 0, 0, 2]))
        assert trainer.metric.loss > 2_000
        side.install(None, round_number)
        seen.append(loss_steps(side.start_loss, limit=LIMIT))
    assert 0 < seen[1] < seen[0] < LIMIT


def test_the_start_has_a_loss_as_the_rounds_have(trainer):
    side = side_of(trainer, personal="none")
    assert side.start_loss is None
    side.figures_of_start(None)
    assert side.start_loss == 1.0


def test_the_bound_of_a_row_is_the_bound_of_a_members_loss():
    assert MOST_ROW_LOSS == LOSS_BOUND


def test_a_private_adapter_beside_the_shared_one_is_neither_trained_nor_measured_by_itself(trainer, tmp_path):
    side = side_of(trainer, personal="joint")
    side.uploaded(1)
    side.finish(tmp_path, 3)
    assert not [call for call in trainer.calls if "personal" in call]
    assert {"fuse", "measure fused", "save_adapter fused", "save_adapter global"} <= {*trainer.calls}


def test_a_private_adapter_on_top_is_trained_once_the_rounds_mean_is_in_place_and_never_measured_alone(
    trainer, tmp_path
):
    side = side_of(trainer, personal="on-top")
    side.uploaded(1)
    assert trainer.calls == []
    side.install(None, 1)
    assert trainer.calls == ["install_global None", "measure global", "train_personal 1"]
    side.finish(tmp_path, 3)
    assert not [call for call in trainer.calls[3:] if "personal" in call]
    assert {"fuse", "measure fused", "save_adapter fused", "save_adapter global"} <= {*trainer.calls}


def test_a_seeded_recipe_trains_nothing_while_the_others_are_at_work(trainer):
    side = side_of(trainer, personal="alone", seeding="personal", sync_every=3)
    for number in (1, 2, 3, 4):
        side.uploaded(number)
    assert trainer.calls == []


def test_without_a_finish_no_fused_adapter_is_made(trainer, tmp_path):
    side_of(trainer, fusion=FusionSection(finish="none"), personal="alone").finish(tmp_path, 3)
    assert not [call for call in trainer.calls if "fuse" in call]
    assert {"measure personal", "save_adapter personal"} <= {*trainer.calls}
