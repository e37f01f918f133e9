"""A client's fused adapter: what the search chose, installed as an ordinary adapter; the plain mean of few rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from securefl.adapters.fusion import Fusible, fuse
from securefl.config.cohort import CohortSection
from securefl.config.data import DataSection
from securefl.config.personal import PersonalSection
from securefl.config.recipes.choices import LEAST_SEARCH_ROWS, FusionSection, Recipe
from securefl.training import fusion as fusion_module
from securefl.training import search as search_module
from securefl.training.fusion import PASSES
from securefl.training.rows.client_data import load_client_data
from securefl.training.scales import CLOSED_BIAS, CLOSED_FROM, HeadScales
from securefl.training.search import NestedCheck
from securefl.training.tasks.classification.rows import LabelledRows
from securefl.training.trainer import LocalTrainer
from securefl.training.trials import Candidate, HeadTrials

pytestmark = pytest.mark.slow

SEED = 11
LABELS = ("blue", "green", "red")


@pytest.fixture(scope="module")
def half_held(rows_file):
    """A client of whose rows half are validation rows, more than a search needs."""
    data = DataSection(train=str(rows_file), validation_fraction=0.5)
    task = LabelledRows(data, LABELS)
    held = load_client_data(data, CohortSection(), member="client-1", task=task, seed=SEED)
    assert len(held.validation) > LEAST_SEARCH_ROWS
    return held


@pytest.fixture(scope="module")
def trainer_of(settings_of, half_held):
    """A fresh trainer on these rows; keyword arguments as for ``settings_of``."""
    return lambda **fields: LocalTrainer(settings_of(**fields), half_held)


@pytest.fixture(scope="module")
def trained(trainer_of):
    """A trainer both of whose adapters have learnt a little, in different ways."""
    trainer = trainer_of(rank=4)
    start = trainer.adapter("global")
    trainer.train_round(1, start)
    trainer.train_personal(1)
    trainer.train_personal(2)
    return trainer


def only(candidate, monkeypatch):
    """Make every search choose this."""
    monkeypatch.setattr(HeadTrials, "candidates", lambda self, rows: [candidate])
    monkeypatch.setattr(
        search_module, "better_alone", lambda trials, rows: (candidate, trials.metric(candidate, rows))
    )


def test_a_client_whose_global_adapter_is_useless_loses_nothing_by_it(trainer_of, start_of):
    trainer = trainer_of(rank=8)
    for round_number in range(1, 5):
        trainer.train_personal(round_number)
    trainer.install_global(start_of(8))
    trainer.fuse()
    fused, personal = (trainer.measure(which, part="validation") for which in ("fused", "personal"))
    assert fused.value >= personal.value
    assert fused.loss <= personal.loss + 1e-6


def test_fusion_in_product_space_has_the_ranks_of_both(trained):
    result = trained.fuse()
    assert (result.rank, result.space) == (8, "product")


def test_the_reported_loss_is_that_of_the_installed_adapter_on_the_rows_of_the_search(trained):
    result = trained.fuse()
    assert result.samples == len(trained._rows.validation)
    assert trained.measure("fused", part="validation").loss == pytest.approx(result.loss, abs=1e-6)


def test_the_same_rows_give_the_same_result(trained):
    assert trained.fuse() == trained.fuse()


@pytest.mark.parametrize("space", ["product", "factor"])
def test_fitted_scales_make_an_ordinary_adapter_of_the_formula(trainer_of, trained, space, monkeypatch):
    trainer = trainer_of(rank=4, fusion=FusionSection(space=space))
    for which in ("global", "personal"):
        trainer._bank.install(which, trained.adapter(which))
    only(Candidate((0.75, 0.5), HeadScales(0.6, 1.2, 0.3)), monkeypatch)
    result = trainer.fuse()
    assert (result.w_global, result.w_personal, result.scales) == (0.75, 0.5, HeadScales(0.6, 1.2, 0.3))
    parts = [
        Fusible(trainer.adapter(which), trainer._bank.scaling(which)) for which in ("global", "personal")
    ]
    expected, fused = fuse(*parts, weights=(0.75, 0.5), space=space), trainer.adapter("fused")
    for name, factors in expected.weights.items():
        np.testing.assert_allclose(fused.weights[name].A, factors.A, rtol=1e-6)
        np.testing.assert_allclose(fused.weights[name].B, factors.B, rtol=1e-6)
    counts = np.bincount(np.concatenate(trainer._rows.train.targets), minlength=3)
    shares = np.log((counts + 0.5) / (counts + 0.5).sum())
    shared, own = (part.adapter.heads for part in parts)
    np.testing.assert_allclose(
        fused.heads["classifier.weight"],
        0.6 * shared["classifier.weight"] + 1.2 * own["classifier.weight"],
        rtol=1e-5,
        atol=1e-7,
    )
    np.testing.assert_allclose(
        fused.heads["classifier.bias"][:, 0],
        (0.6 * shared["classifier.bias"] + 1.2 * own["classifier.bias"])[:, 0] + 0.3 * shares,
        rtol=1e-5,
        atol=1e-7,
    )


def test_scales_that_the_rows_ask_for_are_found_and_installed(trainer_of, trained):
    """The personal head times minus a tenth is of use again once its scale is negative."""
    trainer = trainer_of(rank=4)
    own = trained.adapter("personal")
    trainer._bank.install(
        "personal", replace(own, heads={name: -0.1 * head for name, head in own.heads.items()})
    )
    result = trainer.fuse()
    assert result.scales is not None
    assert result.scales.h_personal < 0
    fused, *alone = (trainer.measure(which, part="validation") for which in ("fused", "global", "personal"))
    assert fused.value >= max(metric.value for metric in alone)
    assert fused.loss < min(metric.loss for metric in alone)


def test_a_class_that_the_global_head_has_closed_is_closed_in_a_mixture(trainer_of, trained, monkeypatch):
    trainer = trainer_of(rank=4)
    shared = trained.adapter("global")
    shared.heads["classifier.bias"][1] = CLOSED_BIAS
    trainer._bank.install("global", shared)
    trainer._bank.install("personal", trained.adapter("personal"))
    for candidate in (Candidate((0.25, 0.75)), Candidate((0.0, 1.0), HeadScales(-0.2, 1.0, 0.1))):
        with monkeypatch.context() as patch:
            only(candidate, patch)
            trainer.fuse()
        assert trainer.adapter("fused").heads["classifier.bias"][1, 0] <= CLOSED_FROM


def reads_of(trainer, monkeypatch):
    """Rows of every pass over them, and the result."""
    seen = []
    collected = fusion_module.collected

    def read(of, rows, **how):
        seen.append(rows)
        return collected(of, rows, **how)

    monkeypatch.setattr(fusion_module, "collected", read)
    return trainer.fuse(), seen


def test_every_pair_of_weights_reads_the_same_few_validation_rows_once(trainer_of, monkeypatch):
    trainer = trainer_of(fusion=FusionSection(max_samples=LEAST_SEARCH_ROWS))
    held = [tuple(row) for row in trainer._rows.validation.ids]
    assert len(held) > LEAST_SEARCH_ROWS
    result, seen = reads_of(trainer, monkeypatch)
    assert (result.samples, len(seen)) == (LEAST_SEARCH_ROWS, PASSES)
    assert all(rows is seen[0] for rows in seen)
    places = [held.index(tuple(row)) for row in seen[0].ids]
    assert places == sorted(set(places))
    assert [row.tolist() for row in seen[0].targets] == [
        trainer._rows.validation.targets[place].tolist() for place in places
    ]


def test_another_seed_draws_other_rows_for_the_search(trainer_of, monkeypatch):
    fusion = FusionSection(max_samples=LEAST_SEARCH_ROWS)
    drawn = [reads_of(trainer_of(fusion=fusion, seed=seed), monkeypatch)[1][0].ids for seed in (1, 1, 2)]
    first, again, other = ([tuple(row) for row in rows] for rows in drawn)
    assert first == again != other


def with_rows(trainer, count):
    """The trainer with so many validation rows."""
    held = trainer._rows.validation
    few = replace(trainer._rows, validation=held.taken(np.arange(count)))
    trainer._finish = replace(trainer._finish, rows=few)
    trainer._measuring._rows = few
    return trainer


def test_thirty_rows_are_searched(trainer_of, monkeypatch):
    trainer = with_rows(trainer_of(), LEAST_SEARCH_ROWS)
    result, seen = reads_of(trainer, monkeypatch)
    assert len(seen) == PASSES
    assert isinstance(result.nested, NestedCheck)
    assert result.nested.samples == LEAST_SEARCH_ROWS


@pytest.mark.parametrize("count", [1, LEAST_SEARCH_ROWS - 1])
def test_fewer_rows_give_the_plain_mean_and_no_search(trainer_of, trained, monkeypatch, count):
    trainer = with_rows(trainer_of(rank=4), count)
    for which in ("global", "personal"):
        trainer._bank.install(which, trained.adapter(which))
    result, seen = reads_of(trainer, monkeypatch)
    assert (result.w_global, result.w_personal, result.scales, result.nested) == (0.5, 0.5, None, None)
    assert (result.candidates, result.samples, len(seen)) == (1, count, 1)
    shared, own, fused = (trainer.adapter(which).heads for which in ("global", "personal", "fused"))
    np.testing.assert_allclose(
        fused["classifier.weight"], (shared["classifier.weight"] + own["classifier.weight"]) / 2, rtol=1e-6
    )
    assert trainer.measure("fused", part="validation").loss == pytest.approx(result.loss, abs=1e-6)


def test_the_progress_of_a_search_ends_at_its_last_pass(settings_of, half_held):
    steps = []
    trainer = LocalTrainer(settings_of(), half_held, step_sink=steps.append)
    trainer.fuse()
    assert [step.fraction for step in steps if step.what == "fuse"] == [
        n / PASSES for n in range(1, PASSES + 1)
    ]


def with_both(trainer, trained):
    """The trainer with the adapters of another one."""
    for which in ("global", "personal"):
        trainer._bank.install(which, trained.adapter(which))
    return trainer


@pytest.mark.parametrize("space", ["product", "factor"])
def test_a_few_shot_search_leaves_the_best_weights_that_it_tried(trainer_of, trained, monkeypatch, space):
    fusion = FusionSection(finish="few-shot", space=space, few_shot_budget=12)
    trainer = with_both(trainer_of(rank=4, fusion=fusion), trained)
    result, seen = reads_of(trainer, monkeypatch)
    assert (result.candidates, result.space, result.scales, result.nested) == (12, space, None, None)
    # Once a candidate, and once more the one that is used.
    assert len(seen) == result.candidates + 1
    weights = (result.w_global, result.w_personal)
    assert weights != (0.0, 0.0)
    parts = [Fusible(trainer.adapter(name), trainer._bank.scaling(name)) for name in ("global", "personal")]
    expected, fused = fuse(*parts, weights=weights, space=space), trainer.adapter("fused")
    for name, factors in expected.weights.items():
        np.testing.assert_allclose(
            fused.weights[name].B @ fused.weights[name].A, factors.B @ factors.A, atol=1e-6
        )
    for name, head in expected.heads.items():
        np.testing.assert_allclose(fused.heads[name], head, atol=1e-6)


def test_a_few_shot_search_reads_five_mini_batches_of_validation_rows(
    trainer_of, settings_of, trained, monkeypatch
):
    training = settings_of().training.model_copy(update={"per_device_train_batch_size": 4})
    fusion = FusionSection(finish="few-shot", few_shot_budget=5)
    trainer = with_both(trainer_of(rank=4, fusion=fusion, training=training), trained)
    result, seen = reads_of(trainer, monkeypatch)
    assert result.samples == 20
    assert {len(rows) for rows in seen} == {20}


def test_a_few_shot_search_needs_no_more_rows_than_there_are(trainer_of, trained):
    fusion = FusionSection(finish="few-shot", few_shot_budget=5)
    result = with_rows(with_both(trainer_of(rank=4, fusion=fusion), trained), 12).fuse()
    assert (result.samples, result.plain_mean) == (12, False)


def test_no_weights_of_a_few_shot_search_open_a_class_that_is_closed(trainer_of, trained):
    shared = trained.adapter("global")
    shared.heads["classifier.bias"][1] = CLOSED_BIAS
    fusion = FusionSection(finish="few-shot", few_shot_budget=5)
    trainer = with_both(trainer_of(rank=4, fusion=fusion), trained)
    trainer._bank.install("global", shared)
    seen = []
    install = trainer._bank.install

    def watched(name, adapter):
        if name == "fused":
            seen.append(adapter.heads["classifier.bias"][1, 0])
        install(name, adapter)

    trainer._bank.install = watched
    trainer.fuse()
    # The first candidate has no head at all: both weights are zero.
    assert len(seen) == 6
    assert all(bias <= CLOSED_FROM for bias in seen)


def test_the_progress_of_a_few_shot_search_ends_at_its_budget(settings_of, half_held):
    steps = []
    fusion = FusionSection(finish="few-shot", few_shot_budget=6)
    LocalTrainer(settings_of(fusion=fusion), half_held, step_sink=steps.append).fuse()
    assert [step.fraction for step in steps if step.what == "fuse"][-1] == 1.0


def tuned_after_a_round(trainer_of, *, steps: int, rate: float):
    trainer = trainer_of(
        recipe=Recipe(name="products", personal="none"),
        fusion=FusionSection(finish="fine-tune", fine_tune_steps=steps),
        personal=PersonalSection(learning_rate=rate, head_learning_rate=rate, rate_scales=(1.0,)),
    )
    trainer.train_round(1, trainer.adapter("global"))
    assert trainer.fuse() is None
    return trainer


def test_a_client_is_served_by_the_global_adapter_trained_on_its_own_rows(trainer_of):
    trainer = tuned_after_a_round(trainer_of, steps=40, rate=1e-2)
    fused, shared = (trainer.measure(which, part="validation") for which in ("fused", "global"))
    assert fused.merit > shared.merit
    assert trainer.adapter("fused").digest == trainer.adapter("fine-tuned").digest


def test_training_that_the_validation_rows_do_not_prefer_leaves_the_global_adapter(trainer_of):
    trainer = tuned_after_a_round(trainer_of, steps=1, rate=1e3)
    assert trainer.adapter("fused").digest == trainer.adapter("global").digest
    assert trainer.adapter("fine-tuned").digest != trainer.adapter("global").digest


def test_so_many_steps_are_trained_as_the_file_says(trainer_of):
    one, other = (tuned_after_a_round(trainer_of, steps=steps, rate=1e-3) for steps in (1, 2))
    moved = [
        np.abs(
            trainer.adapter("fine-tuned").heads["classifier.bias"]
            - trainer.adapter("global").heads["classifier.bias"]
        ).max()
        for trainer in (one, other)
    ]
    # AdamW moves a value by about its rate in each step.
    assert moved[0] == pytest.approx(1e-3, rel=0.05)
    assert moved[1] > moved[0]
