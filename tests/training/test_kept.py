"""A trainer that is stopped after a round, made anew and restored goes on to the last bit as the one that was not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from securefl.adapters.update import Adapter
from securefl.config.personal import PersonalSection
from securefl.errors import StateError
from securefl.training.kept import Kept, adapter_of, kept_adapter, kept_metric, metric_of
from securefl.training.tasks.base import Metric
from securefl_client.kept_side import read_kept, write_kept
from securefl_client.validation_history import ValidationHistory

pytestmark = pytest.mark.slow


def equal(one: Adapter, two: Adapter) -> bool:
    first, second = kept_adapter(one).arrays, kept_adapter(two).arrays
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def through_a_file(kept: Kept, folder: Path) -> Kept:
    write_kept(folder / "kept", kept)
    return read_kept(folder / "kept")


def test_a_restored_trainer_goes_on_to_the_last_bit(trainer_of, start_of, tmp_path: Path) -> None:
    fields = {"personal": PersonalSection(rate_scales=(1.0, 0.1))}
    whole, stopped, fresh = (trainer_of(**fields) for _ in range(3))
    for trainer in (whole, stopped):
        trainer.learn(1, start_of())
        trainer.train_personal(1)
        trainer.install_global(trainer.adapter("global"))
    fresh.restore(through_a_file(stopped.kept(), tmp_path))
    assert fresh.loss == whole.loss
    for number in (2, 3):
        updates = [trainer.learn(number, trainer.adapter("global")) for trainer in (whole, fresh)]
        losses = [trainer.train_personal(number) for trainer in (whole, fresh)]
        assert losses[0] == losses[1]
        for name, factors in updates[0].weights.items():
            assert np.array_equal(factors.left, updates[1].weights[name].left)
            assert np.array_equal(factors.right, updates[1].weights[name].right)
        for which in ("global", "personal"):
            assert equal(whole.adapter(which), fresh.adapter(which))
    for trainer in (whole, fresh):
        trainer.keep_best_personal()
    assert equal(whole.adapter("personal"), fresh.adapter("personal"))
    assert equal(whole._personal.best.adapter, fresh._personal.best.adapter)
    assert whole._personal.rate_scale == fresh._personal.rate_scale


def test_without_its_adamw_a_restored_trainer_goes_another_way(trainer_of, start_of, tmp_path: Path) -> None:
    whole, fresh = trainer_of(), trainer_of()
    whole.train_personal(1)
    kept = whole.kept()
    without = Kept(
        {name: value for name, value in kept.arrays.items() if "optimiser" not in name}, kept.values
    )
    fresh.restore(through_a_file(without, tmp_path))
    for trainer in (whole, fresh):
        trainer.train_personal(2)
    assert not equal(whole.adapter("personal"), fresh.adapter("personal"))


def test_a_state_of_other_adapters_is_refused(trainer_of, tmp_path: Path) -> None:
    kept = trainer_of().kept()
    with pytest.raises(StateError, match="no array"):
        trainer_of().restore(
            Kept({name: value for name, value in kept.arrays.items() if "/B/" not in name}, kept.values)
        )


def test_a_metric_comes_back_with_what_two_models_are_compared_by() -> None:
    scores, losses = np.array([0.0, 1.0]), np.array([2.0, 30.0])
    metric = Metric("accuracy", 0.5, 0.7, 2, {"f1": 0.4}, scores, losses, smaller_is_better=True)
    back = metric_of(kept_metric(metric))
    assert back == metric
    assert back.bounded_loss == metric.bounded_loss == 9.0
    np.testing.assert_array_equal(back.scores, scores)


def test_an_adapter_comes_back_bit_for_bit(start_of, tmp_path: Path) -> None:
    adapter = start_of()
    assert equal(adapter_of(through_a_file(kept_adapter(adapter), tmp_path)), adapter)


def test_a_history_comes_back_with_its_warning(tmp_path: Path) -> None:
    history = ValidationHistory()
    good, bad = np.ones(200), np.zeros(200)
    history.note(1, Metric("accuracy", 1.0, 0.1, 200, {}, good))
    history.note(2, Metric("accuracy", 0.0, 0.9, 200, {}, bad))
    assert history.warning()
    back = ValidationHistory()
    back.restore(through_a_file(history.kept(), tmp_path))
    assert back.warning() == history.warning()
    back.note(3, Metric("accuracy", 1.0, 0.05, 200, {}, good))
    assert back.warning() is None


@pytest.mark.parametrize("data", [b"", b"not safetensors", bytes(100)])
def test_a_damaged_state_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "kept").write_bytes(data)
    with pytest.raises(StateError, match="cannot be read"):
        read_kept(tmp_path / "kept")
    with pytest.raises(StateError, match="cannot be read"):
        read_kept(tmp_path / "missing")
