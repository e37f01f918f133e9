"""A batch in parts has the loss and the gradients of the whole batch, whatever its loss is a mean of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.next_token import LanguageTask

from securefl.adapters.state import GlobalState
from securefl.training.rows.tokens import IGNORED, Tokenised
from securefl.training.trainer import LocalTrainer

pytestmark = pytest.mark.slow


def trained(settings, data, *, rows: int | None) -> LocalTrainer:
    """After a round whose batches of 8 rows are in memory so many rows at a time."""
    own = {"micro_batch_size": rows, "num_train_epochs": 0.25}
    trainer = LocalTrainer(settings(training=settings.training.model_copy(update=own)), data)
    start = GlobalState.start(trainer.layout, seed=1).redistributed(4, scaling=2.0)
    trainer.learn(1, start)
    return trainer


class Settings:
    def __init__(self, made, **fields: object) -> None:
        self._made, self._fields = made, fields
        self.training = made().training

    def __call__(self, **fields: object):
        return self._made(**self._fields, **fields)


@pytest.mark.parametrize("task", [{}, {"task": LanguageTask()}], ids=["rows", "tokens"])
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_a_round_in_parts_is_the_round_of_whole_batches(settings_of, client_data, task, rows) -> None:
    settings = Settings(settings_of, **task)
    whole, parts = (trained(settings, client_data, rows=most) for most in (None, rows))
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)
    for name, factors in whole.adapter("global").weights.items():
        assert np.abs(factors.B).max() > 1e-3
        np.testing.assert_allclose(parts.adapter("global").weights[name].B, factors.B, rtol=0, atol=2e-5)


def unequal(rows: int = 6) -> Tokenised:
    """Rows of 2 to 12 tokens; what counts of them is less, and nothing of the third."""
    draw = np.random.default_rng(3)
    ids = tuple(draw.integers(5, 30, 2 + 2 * number) for number in range(rows))
    targets = [np.append(row[1:], IGNORED) for row in ids]
    targets[2][:] = IGNORED
    targets[5][:9] = IGNORED
    return Tokenised(ids=ids, types=None, targets=tuple(targets), pad_id=0)


def test_parts_count_by_the_tokens_of_their_loss_and_not_by_their_rows(trainer_of) -> None:
    from securefl.training.loops import _gradients

    trainer = trainer_of(task=LanguageTask())
    rows, places = unequal(), np.arange(6)
    found = {}
    for most in (None, 1, 4):
        model = trainer._bank.use(("global",), head="global")
        parameters = trainer._bank.train("global", None).factors
        for parameter in parameters.values():
            parameter.grad = None
        loss = _gradients(
            model,
            rows.parts(places, most=most, device=torch.device("cpu")),
            compute=trainer._compute,
            checked=lambda loss: loss,
        )
        found[most] = loss, {name: value.grad for name, value in parameters.items()}
    whole, gradients = found.pop(None)
    assert math.isfinite(whole)
    for loss, parts in found.values():
        assert loss == pytest.approx(whole, rel=1e-6)
        for name, gradient in gradients.items():
            torch.testing.assert_close(parts[name], gradient, rtol=1e-4, atol=1e-7)


def test_no_part_has_more_rows_than_its_member_allows(trainer_of, settings_of, start_of, monkeypatch) -> None:
    training = settings_of().training.model_copy(update={"micro_batch_size": 3})
    trainer = trainer_of(training=training)
    seen = []
    loss = type(trainer._bank.model).loss
    monkeypatch.setattr(
        type(trainer._bank.model),
        "loss",
        lambda model, batch: (seen.append(len(batch.input_ids)), loss(model, batch))[1],
    )
    trainer.learn(1, start_of())
    trainer.train_personal(1)
    trainer.sensitivity(1)
    assert set(seen) == {1, 2, 3} or set(seen) == {2, 3}


def test_each_part_is_padded_to_its_own_longest_text() -> None:
    parts = unequal().parts(np.arange(6), most=4, device=torch.device("cpu"))
    assert [tuple(part.input_ids.shape) for part in parts] == [(4, 8), (2, 12)]
