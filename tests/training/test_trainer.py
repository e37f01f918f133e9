"""Rounds train and send what they say, on a tiny random BERT."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from securefl.adapters.frozen.basis import Side
from securefl.adapters.scaling import scaling_of
from securefl.adapters.state import GlobalState
from securefl.adapters.update import Adapter, MeanUpdate
from securefl.config.model import LoraTerms
from securefl.config.recipes.choices import Recipe
from securefl.errors import ConfigError, ModelError, TrainingError
from securefl.training.loops import Progress, evaluate
from securefl.training.tasks.classification.task import SequenceClassification
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow


def same_adapter(one, other) -> bool:
    weights = all(
        np.array_equal(one.weights[name].A, factors.A) and np.array_equal(one.weights[name].B, factors.B)
        for name, factors in other.weights.items()
    )
    return weights and all(np.array_equal(one.heads[name], head) for name, head in other.heads.items())


def test_a_dense_update_is_the_difference_of_the_products_after_and_before(trainer_of, start_of):
    trainer = trainer_of()
    trainer.train_round(1, start_of())
    moved = trainer.adapter("global")
    trained = trainer.train_round(2, moved)
    after = trainer.adapter("global")
    for name, factors in trained.update.weights.items():
        scaling = 8.0 / 4
        expected = scaling * (
            after.weights[name].B @ after.weights[name].A - moved.weights[name].B @ moved.weights[name].A
        )
        assert np.abs(expected).max() > 1e-4
        np.testing.assert_allclose(factors.product(), expected, atol=1e-14)
    for name, head in trained.update.heads.items():
        np.testing.assert_array_equal(head, after.heads[name] - moved.heads[name])


def test_a_late_round_moves_less_than_an_early_one_from_the_same_start(trainer_of, start_of, settings_of):
    def moved(scheduler: str, round_number: int) -> float:
        training = settings_of().training.model_copy(update={"lr_scheduler_type": scheduler})
        trainer = trainer_of(training=training, rounds=20)
        update = trainer.train_round(round_number, start_of()).update
        return sum(float(np.linalg.norm(factors.product())) for factors in update.weights.values())

    assert moved("cosine", 20) < 0.2 * moved("cosine", 1)
    assert moved("constant", 20) > 0.5 * moved("constant", 1)


@pytest.mark.parametrize(
    "rule", [{"use_rslora": False}, {"use_rslora": True}, {"use_rslora": False, "one_scaling": True, "r": 7}]
)
@pytest.mark.parametrize("name", ["global", "personal"])
def test_the_model_scales_an_adapter_as_the_aggregation_does(trainer_of, name, rule):
    lora = LoraTerms(lora_alpha=6, **rule)
    trainer = trainer_of(rank=3, lora=lora, personal_rank=5)
    assert trainer._bank.scaling(name) == scaling_of(lora, trainer._bank.rank(name))


def test_a_start_is_installed_rounded_to_float32_and_comes_back_exactly(trainer_of, start_of):
    trainer = trainer_of()
    start = start_of()
    trainer.install_global(start)
    back = trainer.adapter("global")
    for name, factors in start.weights.items():
        np.testing.assert_array_equal(back.weights[name].A, factors.A.astype(np.float32))
        np.testing.assert_array_equal(back.weights[name].B, factors.B.astype(np.float32))


@pytest.mark.parametrize(("round_number", "side"), [(1, Side.LEFT), (2, Side.RIGHT)])
def test_a_basis_update_is_the_trained_factor_against_the_untouched_frozen_one(
    trainer_of, start_of, plan_of, round_number, side
):
    basis = plan_of("basis").for_round(round_number).frozen
    trainer = trainer_of(payload="basis", rank=8)
    update = trainer.train_round(round_number, start_of(8), basis).update
    for name, factors in update.weights.items():
        frozen, trained = (
            (factors.right, factors.left) if side is Side.LEFT else (factors.left, factors.right)
        )
        np.testing.assert_array_equal(frozen, basis.cut(name, 8))
        assert np.abs(trained).max() > 1e-4
        held = trainer._bank.adapter("local-update").weights[name]
        kept, moved = (held.A, held.B) if side is Side.LEFT else (held.B, held.A)
        # The model's own copy of the frozen factor must not have moved either; alpha is 8, R is 4.
        np.testing.assert_array_equal(kept, basis.cut(name, 8).astype(np.float32))
        np.testing.assert_array_equal(trained, 8 / 4 * moved)


@pytest.mark.parametrize("payload", ["basis", "state", "core"])
def test_a_frozen_factors_round_leaves_the_global_adapter_it_starts_from_alone(
    trainer_of, start_of, plan_of, payload
):
    trainer = trainer_of(payload=payload)
    trainer.install_global(start_of())
    before = trainer.adapter("global")
    trainer.train_round(1, start_of(), plan_of(payload).for_round(1).frozen)
    assert same_adapter(trainer.adapter("global"), before)


def test_a_basis_round_computes_with_the_global_adapter_switched_on(trainer_of, start_of, plan_of):
    moved = trainer_of()
    moved.train_round(1, start_of())
    warm = moved.adapter("global")
    # The same head on an adapter of zeros: only the low-rank factors can make the difference.
    cold = Adapter(weights=start_of().weights, heads=warm.heads)
    basis = plan_of("basis").for_round(1).frozen
    losses = [trainer_of(payload="basis").train_round(1, start, basis).loss for start in (warm, cold)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("rank", [2, 8])
def test_a_core_update_is_a_trained_core_between_the_frames_untouched_factors(
    trainer_of, start_of, plan_of, rank
):
    bases = plan_of("core").for_round(1).frozen
    update = trainer_of(payload="core", rank=rank).train_round(1, start_of(rank), bases).update
    for name, factors in update.weights.items():
        pair = bases.cut(name, rank)
        np.testing.assert_array_equal(factors.right, pair.right)
        core = pair.left.T @ factors.left
        np.testing.assert_allclose(pair.left @ core, factors.left, atol=1e-12)
        assert np.abs(core).max() > 1e-4


def test_a_core_round_computes_with_what_its_update_says(trainer_of, start_of, plan_of):
    # One client alone: its update, applied as the mean, must be the model that it trained.
    bases = plan_of("core").for_round(1).frozen
    trainer = trainer_of(payload="core")
    update = trainer.train_round(1, start_of(), bases).update
    model = trainer._bank.use(("global", "local-update"), head="local-update")
    rows, compute = trainer._rows.test, trainer._compute
    metric = trainer._settings.task.metric
    trained = evaluate(model, rows, metric, batch_size=8, compute=compute)
    mean = MeanUpdate(weights=update.weights, heads=update.heads)
    state = GlobalState.start(trainer.layout, seed=1).advanced(mean)
    trainer.install_global(state.redistributed(4, scaling=8 / 4))
    assert trainer.measure("global").loss == pytest.approx(trained.loss, abs=1e-5)


def test_a_surplus_of_rank_beyond_the_shared_one_goes_to_the_personal_adapter(trainer_of, plan_of):
    shared = plan_of("basis").ranks.shared_rank
    trainer = trainer_of(payload="basis", rank=16)
    assert (
        trainer.adapter("personal").weights["encoder.layer.0.attention.self.query"].A.shape[0] == 32 - shared
    )


def test_global_training_does_not_touch_the_personal_adapter(trainer_of, start_of):
    trainer = trainer_of()
    trainer.train_personal(1)
    before = trainer.adapter("personal")
    metric = trainer.measure("personal")
    trainer.train_round(1, start_of())
    trainer.install_global(start_of())
    assert same_adapter(trainer.adapter("personal"), before)
    assert trainer.measure("personal") == metric


def test_personal_training_does_not_touch_the_global_adapter(trainer_of, start_of):
    trainer = trainer_of()
    trainer.train_round(1, start_of())
    before = trainer.adapter("global")
    trainer.train_personal(1)
    assert same_adapter(trainer.adapter("global"), before)


def test_the_same_seed_gives_bit_identical_updates(trainer_of, start_of):
    one, other = (trainer_of().train_round(1, start_of()) for _ in range(2))
    assert one.loss == other.loss
    for name, factors in one.update.weights.items():
        np.testing.assert_array_equal(factors.left, other.update.weights[name].left)
        np.testing.assert_array_equal(factors.right, other.update.weights[name].right)


def test_a_round_does_not_depend_on_what_was_trained_before_it(trainer_of, start_of):
    fresh, used = trainer_of(), trainer_of()
    used.train_personal(1)
    used.baseline()
    used.train_round(1, start_of())
    one, other = fresh.train_round(2, start_of()), used.train_round(2, start_of())
    for name, factors in one.update.weights.items():
        np.testing.assert_array_equal(factors.left, other.update.weights[name].left)


def test_personal_training_does_not_depend_on_the_global_adapter(trainer_of, start_of):
    fresh, used = trainer_of(), trainer_of()
    used.train_round(1, start_of())
    assert fresh.train_personal(1) == used.train_personal(1)
    assert same_adapter(fresh.adapter("personal"), used.adapter("personal"))


def test_another_seed_gives_another_update(trainer_of, start_of):
    one, other = trainer_of(), trainer_of(seed=12)
    assert one.train_round(1, start_of()).loss != other.train_round(1, start_of()).loss


def test_lora_dropout_is_drawn_anew_from_the_seed_every_round(trainer_of, settings_of, start_of):
    lora = settings_of().lora.model_copy(update={"lora_dropout": 0.3})
    fresh, used, plain = trainer_of(lora=lora), trainer_of(lora=lora), trainer_of()
    used.train_personal(1)
    losses = [trainer.train_round(1, start_of()).loss for trainer in (fresh, used, plain)]
    assert losses[0] == losses[1] != losses[2]


def test_every_round_goes_through_the_rows_in_another_order(trainer_of, start_of):
    one, other = (trainer_of().train_round(round_number, start_of()) for round_number in (1, 2))
    assert one.loss != other.loss


def test_dropout_ends_with_training(trainer_of, settings_of, start_of):
    lora = settings_of().lora.model_copy(update={"lora_dropout": 0.5})
    trainer, plain = trainer_of(lora=lora), trainer_of()
    trainer.train_round(1, start_of())
    plain.install_global(trainer.adapter("global"))
    assert trainer.measure("global") == plain.measure("global")


def test_metrics_of_bf16_training_are_float32_figures(trainer_of, settings_of, start_of):
    training = settings_of().training.model_copy(update={"precision": "bf16"})
    blurred, plain = trainer_of(training=training), trainer_of()
    blurred.train_round(1, start_of())
    plain.install_global(blurred.adapter("global"))
    assert blurred.precision == "bf16"
    assert blurred.measure("global").loss == pytest.approx(plain.measure("global").loss, rel=1e-6)


def test_both_adapters_are_trained_for_the_same_number_of_steps(settings_of, client_data, start_of):
    seen: list[Progress] = []
    trainer = LocalTrainer(settings_of(), client_data, step_sink=seen.append)
    trainer.train_round(1, start_of())
    trainer.train_personal(1)
    counts = {what: sum(step.what == what for step in seen) for what in ("global", "personal")}
    assert counts == {"global": trainer.steps, "personal": trainer.steps}


def test_training_learns_the_little_task(trainer_of, start_of):
    trainer = trainer_of(rank=8)
    start = start_of(8)
    for round_number in range(1, 9):
        trainer.train_round(round_number, start)
        start = trainer.adapter("global")
    assert trainer.measure("global").value > 0.6  # a third by chance


def test_a_head_of_zeros_guesses_the_first_label_everywhere(trainer_of, start_of, client_data):
    trainer = trainer_of()
    trainer.install_global(start_of())
    metric = trainer.measure("global")
    assert metric.value == float((client_data.test.targets == 0).mean())
    assert metric.loss == pytest.approx(math.log(3))


def test_a_start_of_another_rank_is_refused(trainer_of, start_of):
    with pytest.raises(ModelError, match="cannot be installed"):
        trainer_of(rank=4).train_round(1, start_of(2))


def test_a_recipe_without_a_personal_adapter_has_none_to_train_or_fuse(trainer_of):
    trainer = trainer_of(recipe=Recipe(name="default", personal="none"))
    for call in (lambda: trainer.train_personal(1), trainer.fuse, lambda: trainer.measure("personal")):
        with pytest.raises(TrainingError, match="there is no personal adapter"):
            call()


def test_a_fused_adapter_exists_only_after_fusion(trainer_of):
    with pytest.raises(TrainingError, match="call fuse first"):
        trainer_of().measure("fused")


@pytest.mark.parametrize(
    ("payload", "other"),
    [
        *(("dense", "basis"), ("sketch", "core"), ("basis", "core"), ("core", "basis"), ("core", "dense")),
        *(("basis", "state"), ("state", "basis"), ("state", "dense")),
    ],
)
def test_a_round_with_another_payloads_basis_is_refused(trainer_of, start_of, plan_of, payload, other):
    with pytest.raises(TrainingError, match="do not fit"):
        trainer_of(payload=payload).train_round(1, start_of(), plan_of(other).for_round(1).frozen)


def test_a_sketch_round_trains_as_a_dense_one(trainer_of, start_of):
    one, other = (trainer_of(payload=payload).train_round(1, start_of()) for payload in ("dense", "sketch"))
    assert one.loss == other.loss


def test_texts_longer_than_the_model_can_read_are_refused_before_its_weights_are_read(
    trainer_of, monkeypatch
):
    monkeypatch.setattr(
        SequenceClassification, "model", lambda *_, **__: pytest.fail("the weights were read")
    )
    with pytest.raises(ConfigError, match="max_length 64 is more than the model's 48 tokens"):
        trainer_of(max_length=64)


def test_epochs_may_be_fractions(trainer_of, settings_of):
    training = settings_of().training
    whole = trainer_of().steps
    half = trainer_of(training=training.model_copy(update={"num_train_epochs": 0.5}))
    assert half.steps == round(whole / 2)
    assert replace(settings_of(), training=training).training.num_train_epochs == 1.0


def test_the_probe_measures_the_encoder_without_any_adapter(trainer_of, start_of):
    fresh, trained = trainer_of(), trainer_of()
    trained.train_round(1, start_of())
    trained.train_personal(1)
    assert fresh.baseline() == trained.baseline()


def test_the_probe_is_fitted_once_for_each_part(settings_of, client_data, start_of):
    told = []
    trainer = LocalTrainer(settings_of(), client_data, step_sink=lambda progress: told.append(progress.what))
    test, validation = trainer.baseline(), trainer.baseline(part="validation")
    read = told.count("probe")
    trainer.train_round(1, start_of())
    assert trainer.baseline() is test
    assert trainer.baseline(part="validation") is validation
    assert told.count("probe") == read > 0
    assert len(test.scores) != len(validation.scores)


def test_a_learner_gives_the_update_of_its_round(trainer_of, start_of):
    learnt, trained = trainer_of().learn(1, start_of()), trainer_of().train_round(1, start_of()).update
    for name, factors in trained.weights.items():
        np.testing.assert_array_equal(learnt.weights[name].left, factors.left)
    for name, head in trained.heads.items():
        np.testing.assert_array_equal(learnt.heads[name], head)


def test_a_learner_keeps_the_loss_of_its_last_round(trainer_of, start_of):
    learner = trainer_of()
    before = learner.loss
    learner.learn(1, start_of())
    assert (before, learner.loss) == (0.0, trainer_of().train_round(1, start_of()).loss)


def test_a_learner_evaluates_the_adapter_that_it_is_given(trainer_of, start_of):
    trained = trainer_of()
    trained.train_round(1, start_of())
    fresh, moved = trainer_of(), trained.adapter("global")
    metric = trained.measure("global", part="validation")
    figures = fresh.evaluate(moved)
    assert figures == {"accuracy": metric.value, "loss": metric.loss, "samples": metric.samples}
    assert same_adapter(fresh.adapter("global"), moved)


@pytest.mark.parametrize("payload", ["dense", "basis"])
def test_fine_tuning_goes_on_from_the_global_adapter_and_leaves_it_as_it_is(trainer_of, start_of, payload):
    trainer = trainer_of(payload=payload)
    trainer.install_global(start_of(4))
    before = {which: trainer.adapter(which) for which in ("global", "personal")}
    trainer.fine_tune()
    after = trainer.adapter("fine-tuned")
    for which, adapter in before.items():
        for name, factors in trainer.adapter(which).weights.items():
            np.testing.assert_array_equal(factors.A, adapter.weights[name].A)
            np.testing.assert_array_equal(factors.B, adapter.weights[name].B)
    for name, factors in before["global"].weights.items():
        assert (after.weights[name].A != factors.A).any()
        assert (after.weights[name].B != factors.B).any()
    assert any((after.heads[name] != head).any() for name, head in before["global"].heads.items())


def test_fine_tuning_reads_every_row_once_whatever_the_epochs_of_a_round(settings_of, client_data):
    steps = []
    training = settings_of().training.model_copy(update={"num_train_epochs": 3.0})
    trainer = LocalTrainer(settings_of(training=training), client_data, step_sink=steps.append)
    trainer.fine_tune()
    assert {step.what for step in steps} == {"fine-tuned"}
    assert len(steps) == -(-trainer.samples // training.per_device_train_batch_size)


def test_fine_tuning_anew_starts_from_the_global_adapter_of_then(trainer_of, start_of):
    once, twice = trainer_of(), trainer_of()
    for trainer in (once, twice):
        trainer.install_global(start_of(4))
    once.fine_tune()
    twice.fine_tune()
    twice.fine_tune()
    for name, factors in once.adapter("fine-tuned").weights.items():
        np.testing.assert_array_equal(twice.adapter("fine-tuned").weights[name].B, factors.B)


def test_there_is_no_fine_tuned_adapter_before_fine_tuning(trainer_of):
    with pytest.raises(TrainingError, match="call fine_tune first"):
        trainer_of().measure("fine-tuned")
