"""Descent by the noise's deviation: linear in the gradient, and the one that a federation's file names."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from securefl.errors import TrainingError
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.adapter_bank import Trainable
from securefl.training.dp_sgd.noise_scaled_sgd import NoiseScaledSgd
from securefl.training.schedule import Rates

RATES = Rates(0.5, 2.0)
RELEASE = SampledTraining(noise_multiplier=0.5, clip=1e-3, clipping="flat", sampling_probability=0.2, steps=4)


def made(*, decay: float = 0.0, deviation: float = 4.0) -> tuple[NoiseScaledSgd, nn.Parameter, nn.Parameter]:
    factor, head = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(4))
    trainable = Trainable({"factor": factor}, {"head": head})
    return NoiseScaledSgd(trainable, rates=RATES, weight_decay=decay, deviation=deviation), factor, head


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_a_step_is_the_gradient_by_the_deviation_times_the_rate(share: float) -> None:
    optimiser, factor, head = made()
    factor.grad, head.grad = torch.full((2, 3), -2.0), torch.tensor([4.0, -4.0, 0.0, 1.0])
    optimiser.step(share=share)
    np.testing.assert_allclose(factor.detach().numpy(), 1 + share * 0.5 * 2 / 4)
    np.testing.assert_allclose(head.detach().numpy(), 1 - share * 2.0 * np.array([1.0, -1.0, 0.0, 0.25]))


def test_where_the_gradient_is_longer_than_its_noise_a_step_is_as_long_as_the_rate() -> None:
    optimiser, factor, head = made()
    factor.grad, head.grad = torch.full((2, 3), 800.0), torch.full((4,), 2.0)
    optimiser.step(share=1.0)
    np.testing.assert_allclose(factor.detach().numpy(), 1 - 0.5)
    np.testing.assert_allclose(
        head.detach().numpy(), 1 - 2.0 * 2 / 4, err_msg="each kind has a scale of its own"
    )


def test_weight_decay_is_apart_from_the_gradient() -> None:
    optimiser, factor, head = made(decay=0.1)
    factor.grad, head.grad = torch.zeros(2, 3), torch.zeros(4)
    optimiser.step(share=1.0)
    np.testing.assert_allclose(factor.detach().numpy(), 1 - 0.5 * 0.1)
    np.testing.assert_allclose(head.detach().numpy(), 1 - 2.0 * 0.1)


def test_the_sum_of_two_gradients_moves_as_far_as_both_of_them() -> None:
    """Which AdamW's steps do not: so members' noise is averaged as sums of it are."""
    ends = []
    for gradients in ([3.0, -1.0], [2.0, 0.0]):
        optimiser, factor, _ = made()
        for gradient in gradients:
            factor.grad = torch.full((2, 3), gradient)
            optimiser.step(share=1.0)
            optimiser.forget()
        ends.append(factor.detach().numpy())
    np.testing.assert_allclose(*ends)


@pytest.mark.slow
@pytest.mark.parametrize("multiplier", [0.5, 8.0])
def test_noise_moves_a_parameter_by_its_rate_at_every_noise_multiplier(
    settings_of, client_data, start_of, known_noise, multiplier: float
) -> None:
    from securefl.training.trainer import LocalTrainer

    known_noise()
    release = replace(RELEASE, noise_multiplier=multiplier)
    settings = settings_of(privacy=release, private_descent="sgd")
    trainer = LocalTrainer(settings, client_data, charge=lambda *charge: None)
    (head, *_) = trainer.train_round(1, start_of()).update.heads.values()
    rate, steps = settings.training.head_learning_rate, release.steps
    assert np.std(head) == pytest.approx(rate * math.sqrt(steps), rel=0.35)


@pytest.mark.slow
@pytest.mark.parametrize(("descent", "descends"), [("sgd", True), ("adamw", False)])
def test_private_rounds_descend_as_the_federation_file_says(
    settings_of, client_data, start_of, monkeypatch, descent: str, descends: bool
) -> None:
    from securefl.training.trainer import LocalTrainer

    steps: list[float] = []
    monkeypatch.setattr(NoiseScaledSgd, "step", lambda self, *, share: steps.append(share))
    trainer = LocalTrainer(
        settings_of(privacy=RELEASE, private_descent=descent), client_data, charge=lambda *charge: None
    )
    if descends:
        with pytest.raises(TrainingError, match="does not move"):
            trainer.train_round(1, start_of())
    else:
        trainer.train_round(1, start_of())
    assert bool(steps) is descends
