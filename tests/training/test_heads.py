"""A member's head by classes: its statistics, the loss that rounds train, and the rows that never leave it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from securefl.adapters.closed_form import HeadOpening, HeadStart
from securefl.adapters.head_space import exponent_of
from securefl.adapters.head_starts import space_of, starts_of
from securefl.adapters.head_statistics import HeadStatistics
from securefl.config.head import HeadSection
from securefl.errors import TrainingError
from securefl.training.rows.examples import ClientData, Examples
from securefl.training.tasks.classification.metric import class_numbers

if TYPE_CHECKING:
    from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow

SECTION = HeadSection()
CAP, SEED = 50, 11
BLUE, GREEN, RED = range(3)
EVERY = np.ones(3, dtype=bool)
ALL_BUT_RED = np.array([True, True, False])


def taken(part: Examples, *, keep: Callable[[int], bool]) -> Examples:
    """The rows whose class number is kept."""
    rows = [row for row, target in enumerate(part.targets) if keep(int(target[0]))]
    return Examples(texts=tuple(part.texts[row] for row in rows), targets=part.targets[rows])


@pytest.fixture(scope="module")
def without_green(client_data: ClientData) -> ClientData:
    """A member that trains on no green row, and is asked about some."""
    train = taken(client_data.train, keep=lambda label: label != GREEN)
    return replace(client_data, train=train)


@pytest.fixture(scope="module")
def trainer_on(settings_of) -> Callable[..., LocalTrainer]:
    from securefl.training.trainer import LocalTrainer

    return lambda data, head=SECTION, **fields: LocalTrainer(settings_of(head=head, **fields), data)


def opening_of(
    trainer: LocalTrainer, *, shared=EVERY, start: str = "closed-form", section: HeadSection = SECTION
) -> HeadOpening:
    """The opening of a cohort of this member and one with twenty rows of every class."""
    exponent = trainer.feature_exponent()
    own = trainer.statistics(shared=shared, exponent=exponent)
    rng, labels = np.random.default_rng(3), np.arange(60) % 3
    held = np.bincount(class_numbers(trainer._rows.train), minlength=3) > 0
    features = trainer._head._inside(exponent)
    rows = [
        rng.choice(np.flatnonzero(class_numbers(trainer._rows.train) == (c if held[c] else RED)))
        for c in labels
    ]
    other = HeadStatistics.of(features[rows], labels, shared=shared, samples_cap=CAP)
    sums = HeadStatistics(*(getattr(own, part.name) + getattr(other, part.name) for part in fields(own)))
    starts = starts_of(section, sums, shared, layout=trainer.layout, exponent=exponent, seed=SEED)
    [chosen] = [one for one in starts if one.name == start]
    return HeadOpening(shared, chosen, sums, exponent)


def heads_of(trainer: LocalTrainer) -> tuple[np.ndarray, np.ndarray]:
    heads = trainer.adapter("global").heads
    return heads["classifier.weight"], heads["classifier.bias"][:, 0]


def test_row_counts_leave_validation_rows_out(trainer_on, client_data: ClientData) -> None:
    counts = trainer_on(client_data).row_counts()
    assert counts.tolist() == np.bincount(client_data.train.targets[:, 0], minlength=3).tolist()
    assert counts.sum() < len(client_data.train) + len(client_data.validation)


def test_statistics_are_those_of_the_frozen_models_features(trainer_on, client_data: ClientData) -> None:
    """Even after the adapter has moved: the cohort's covariance is of one model."""
    import torch

    from securefl.training.models import load_base_model

    trainer = trainer_on(client_data)
    trainer._bank.install("global", trainer.adapter("personal"))
    rows = trainer._rows.train
    batch = rows.batch(np.arange(len(rows)), device=torch.device("cpu"))
    model = load_base_model(trainer._settings.model_path, labels=3)
    with torch.no_grad():
        features = model.features(batch.input_ids, batch.attention_mask, batch.token_type_ids).numpy()
    assert trainer.feature_exponent() == exponent_of(features)
    space = space_of(SECTION, trainer.layout, exponent=1, seed=SEED)
    expected = HeadStatistics.of(
        space.features(features), client_data.train.targets[:, 0], shared=ALL_BUT_RED, samples_cap=CAP
    )
    found = trainer.statistics(shared=ALL_BUT_RED, exponent=1)
    np.testing.assert_allclose(found.packed(), expected.packed(), atol=1e-5)


def test_a_start_of_zeros_reads_no_features(trainer_on, client_data: ClientData, monkeypatch) -> None:
    from securefl.training.tasks.classification import class_head

    monkeypatch.delattr(class_head, "pooled_features")
    trainer = trainer_on(client_data, HeadSection(start="zeros"))
    assert trainer.feature_exponent() == 0
    assert trainer.statistics(shared=EVERY, exponent=0).class_means.shape == (3, 0)


def adjustments(trainer: LocalTrainer, monkeypatch) -> list[np.ndarray | None]:
    """What is added to the logits at each step from now on."""
    model, seen = trainer._bank.model, []
    plain = type(model).loss

    def loss(self, batch):
        seen.append(None if self.adjustment is None else self.adjustment.numpy().copy())
        return plain(self, batch)

    monkeypatch.setattr(type(model), "loss", loss)
    return seen


def test_rounds_train_logits_adjusted_by_own_shares_over_the_cohorts(
    trainer_on, start_of, without_green: ClientData, monkeypatch
) -> None:
    trainer = trainer_on(without_green)
    counts = trainer.row_counts()
    trainer.begin_heads(opening_of(trainer))
    seen = adjustments(trainer, monkeypatch)
    trainer.train_round(1, start_of())
    # Each member's shares weigh by its rows up to the cap; both have more.
    cohort = (counts / counts.sum() + 20 / 60) / 2
    expected = np.log(counts[[BLUE, RED]] / counts.sum() / cohort[[BLUE, RED]])
    assert len(seen) == trainer.steps
    for added in seen:
        np.testing.assert_allclose(added[[BLUE, RED]], expected, rtol=1e-4)
        assert added[GREEN] == -1e4


def test_rounds_of_a_member_of_few_labels_have_lower_rates_and_its_personal_adapter_has_not(
    trainer_on, start_of, client_data: ClientData, monkeypatch
) -> None:
    from securefl.training import personal, round_loop

    seen = []

    class Watched(round_loop.Optimiser):
        def __init__(self, trainable, *, rates, **rest) -> None:
            seen.append((rates.factors, rates.head))
            super().__init__(trainable, rates=rates, **rest)

    monkeypatch.setattr(round_loop, "Optimiser", Watched)
    monkeypatch.setattr(personal, "Optimiser", Watched)
    blues = [row for row, target in enumerate(client_data.train.targets) if target[0] == BLUE]
    others = [row for row, target in enumerate(client_data.train.targets) if target[0] != BLUE]
    rows = [*blues, others[0]]
    train = Examples(
        texts=tuple(client_data.train.texts[row] for row in rows), targets=client_data.train.targets[rows]
    )
    few, all_of_them = (trainer_on(data) for data in (replace(client_data, train=train), client_data))
    for one in (few, all_of_them):
        one.begin_heads(opening_of(one))
        one.train_round(1, start_of())
    few.train_personal(1)
    (low, low_head), (full, full_head), (personal_rate, _), *_ = seen
    assert low / full == pytest.approx(low_head / full_head)
    assert low < 0.5 * full
    assert personal_rate == few._section.learning_rate


@pytest.mark.parametrize(
    "section", [HeadSection(logit_adjustment=False), HeadSection(start="zeros", rows="together")]
)
def test_the_loss_is_plain_where_the_file_says_so(
    trainer_on, start_of, client_data: ClientData, monkeypatch, section: HeadSection
) -> None:
    trainer = trainer_on(client_data, section)
    if section.rows == "by-class":
        trainer.begin_heads(opening_of(trainer, section=section))
    seen = adjustments(trainer, monkeypatch)
    trainer.train_round(1, start_of())
    assert seen == [None] * trainer.steps


def test_the_personal_adapter_and_metrics_know_no_adjustment(
    trainer_on, start_of, without_green: ClientData, monkeypatch
) -> None:
    trainer = trainer_on(without_green)
    trainer.begin_heads(opening_of(trainer))
    trainer.train_round(1, start_of())
    before = trainer.measure("global")
    seen = adjustments(trainer, monkeypatch)
    trainer.train_personal(1)
    assert seen == [None] * trainer.steps
    assert trainer.measure("global").loss == before.loss


def test_a_row_that_stays_at_home_is_trained_and_never_sent(
    trainer_on, start_of, client_data: ClientData
) -> None:
    trainer = trainer_on(client_data)
    trainer.begin_heads(opening_of(trainer, shared=ALL_BUT_RED))
    trainer.install_global(start_of())
    first = heads_of(trainer)
    update = trainer.train_round(1, start_of()).update
    for values in update.heads.values():
        assert not values[RED].any()
        assert values[BLUE].any()
    # The next global adapter brings zeros for the class; the member's own row lies over them.
    trainer.install_global(start_of())
    second = heads_of(trainer)
    assert first[0][RED].any()
    assert np.abs(second[0][RED] - first[0][RED]).max() > 1e-4
    assert not second[0][BLUE].any()


@pytest.mark.parametrize("payload", ["basis", "core"])
def test_a_row_stays_at_home_where_the_update_is_trained_beside_the_global_adapter(
    trainer_on, start_of, plan_of, client_data: ClientData, payload: str
) -> None:
    trainer = trainer_on(client_data, payload=payload)
    trainer.begin_heads(opening_of(trainer, shared=ALL_BUT_RED))
    trainer.install_global(start_of())
    first = heads_of(trainer)[0][RED]
    update = trainer.train_round(1, start_of(), plan_of(payload).for_round(1).frozen).update
    trainer.install_global(start_of())
    assert not update.heads["classifier.weight"][RED].any()
    assert np.abs(heads_of(trainer)[0][RED] - first).max() > 1e-4


def test_a_round_that_is_trained_again_starts_from_the_same_rows(
    trainer_on, start_of, client_data: ClientData
) -> None:
    trainer = trainer_on(client_data)
    trainer.begin_heads(opening_of(trainer, shared=ALL_BUT_RED))
    once = trainer.train_round(1, start_of()).update
    own = trainer._head._home.rows["classifier.weight"][RED]
    again = trainer.train_round(1, start_of()).update
    for name, values in once.heads.items():
        np.testing.assert_array_equal(values, again.heads[name])
    np.testing.assert_array_equal(own, trainer._head._home.rows["classifier.weight"][RED])


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_row_that_stays_at_home_goes_back_with_the_round_that_is_kept(
    trainer_on, settings_of, start_of, client_data: ClientData, kept: int
) -> None:
    training = settings_of().training.model_copy(update={"early_stopping_rounds": 3 - kept})
    trainer = trainer_on(client_data, training=training)
    trainer.begin_heads(opening_of(trainer, shared=ALL_BUT_RED))
    trainer.install_global(start_of())
    rows = [[values[RED].copy() for values in heads_of(trainer)]]
    for number in range(1, 4):
        trainer.train_round(number, start_of())
        trainer.install_global(start_of())
        rows.append([values[RED].copy() for values in heads_of(trainer)])
    trainer.go_back_to(kept)
    trainer.install_global(start_of())
    for found, expected in zip(heads_of(trainer), rows[kept], strict=True):
        np.testing.assert_array_equal(found[RED], expected)
    assert np.abs(rows[kept][0] - rows[-1][0]).max() > 1e-4


def test_rows_at_home_come_back_with_a_restored_trainer_and_can_still_be_gone_back_to(
    trainer_on, settings_of, start_of, client_data: ClientData
) -> None:
    training = settings_of().training.model_copy(update={"early_stopping_rounds": 2})
    whole, fresh = (trainer_on(client_data, training=training) for _ in range(2))
    for trainer in (whole, fresh):
        trainer.begin_heads(opening_of(trainer, shared=ALL_BUT_RED))
    for number in (1, 2):
        whole.train_round(number, start_of())
        whole.install_global(start_of())
    fresh.restore(whole.kept())
    for found, expected in zip(heads_of(fresh), heads_of(whole), strict=True):
        np.testing.assert_array_equal(found[RED], expected[RED])
    updates = [trainer.train_round(3, start_of()).update for trainer in (whole, fresh)]
    for name, values in updates[0].heads.items():
        np.testing.assert_array_equal(values, updates[1].heads[name])
    for trainer in (whole, fresh):
        trainer.go_back_to(1)
        trainer.install_global(start_of())
    for found, expected in zip(heads_of(fresh), heads_of(whole), strict=True):
        np.testing.assert_array_equal(found[RED], expected[RED])


def test_rows_of_rounds_that_nobody_goes_back_to_are_not_kept(
    trainer_on, start_of, client_data: ClientData
) -> None:
    trainer = trainer_on(client_data)
    trainer.begin_heads(opening_of(trainer, shared=ALL_BUT_RED))
    for number in (1, 2, 3):
        trainer.train_round(number, start_of())
    assert list(trainer._head._starts) == [3]


def test_a_class_that_is_neither_shared_nor_held_has_no_logit_and_a_finite_loss(
    trainer_on, start_of, without_green: ClientData, tmp_path
) -> None:
    trainer = trainer_on(without_green)
    trainer.begin_heads(opening_of(trainer, shared=np.array([True, False, True])))
    trainer.train_round(1, start_of())
    trainer.install_global(start_of())
    weight, bias = heads_of(trainer)
    assert bias[GREEN] == -1e4
    assert not weight[GREEN].any()
    metric = trainer.measure("global")
    assert np.isfinite(metric.loss)
    green = np.concatenate(trainer._rows.test.targets) == GREEN
    assert green.any()
    assert not metric.scores[green].any()
    trainer.save_adapter("global", tmp_path)
    assert saved_bias(tmp_path)[GREEN] == -1e4


def saved_bias(folder) -> np.ndarray:
    from safetensors.numpy import load_file

    return load_file(folder / "head.safetensors")["bias"]


def test_the_chosen_starts_rate_factor_is_that_of_all_rounds(
    trainer_on, start_of, client_data: ClientData
) -> None:
    changes = []
    for factor in (1.0, 0.1):
        trainer = trainer_on(client_data)
        opening = opening_of(trainer)
        trainer.begin_heads(replace(opening, start=replace(opening.start, rate_factor=factor)))
        changes.append(np.abs(trainer.train_round(1, start_of()).update.heads["classifier.weight"]).max())
    assert 2 < changes[0] / changes[1] < 20


def test_a_trial_prefers_the_closed_form_where_features_tell_the_classes(
    trainer_on, client_data: ClientData
) -> None:
    trainer = trainer_on(client_data)
    candidates = [opening_of(trainer, start=name) for name in ("zeros", "closed-form")]
    zeros, closed = trainer.trial_losses(candidates)
    assert closed < zeros < np.log(3) + 0.1


def test_a_trial_counts_no_row_above_its_limit(trainer_on, client_data: ClientData) -> None:
    trainer = trainer_on(client_data)
    opening = opening_of(trainer)
    wrong = {
        name: -1e6 * np.ones(values.shape) * np.arange(3)[:, None]
        for name, values in opening.start.heads.items()
    }
    start = HeadStart("closed-form", 0.1, 1.0, adjusted=True, heads=wrong)
    [loss] = trainer.trial_losses([replace(opening, start=start)])
    assert loss <= 16


def test_a_trial_leaves_adapters_and_rows_as_they_were(trainer_on, client_data: ClientData) -> None:
    trainer = trainer_on(client_data)
    before = heads_of(trainer)
    candidates = [opening_of(trainer, shared=ALL_BUT_RED)]
    first, second = trainer.trial_losses(candidates), trainer.trial_losses(candidates)
    assert first == second
    assert all(np.array_equal(one, other) for one, other in zip(before, heads_of(trainer), strict=True))


def test_a_head_that_is_averaged_as_a_whole_has_no_rows_of_classes(
    trainer_on, client_data: ClientData
) -> None:
    trainer = trainer_on(client_data, HeadSection(start="zeros", rows="together"))
    for ask in (
        trainer.row_counts,
        trainer.feature_exponent,
        lambda: trainer.statistics(shared=EVERY, exponent=0),
        lambda: trainer.trial_losses([]),
    ):
        with pytest.raises(TrainingError, match="no rows of classes"):
            ask()
