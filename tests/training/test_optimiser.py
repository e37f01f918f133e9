"""Gradients are clipped by their global norm, and rates follow the schedule's share."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from securefl.training.adapter_bank import Trainable
from securefl.training.optimiser import Optimiser
from securefl.training.schedule import Rates

pytestmark = pytest.mark.slow


def two_parameters() -> Trainable:
    return Trainable(
        {"A": nn.Parameter(torch.zeros(3))},
        {"head": nn.Parameter(torch.zeros(4))},
    )


def stepped(
    *, share: float = 1.0, max_grad_norm: float = 0.0, slope: float = 1.0
) -> tuple[Trainable, Optimiser]:
    trainable = two_parameters()
    optimiser = Optimiser(trainable, rates=Rates(0.1, 0.4), weight_decay=0.0, max_grad_norm=max_grad_norm)
    loss = slope * (trainable.factors["A"].sum() + 2 * trainable.head["head"].sum())
    torch.autograd.backward(loss)
    optimiser.step(share=share)
    return trainable, optimiser


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_factors_and_head_move_by_their_own_rates_times_the_share(share) -> None:
    # AdamW's first step is the rate itself, whatever the gradient.
    trainable, _ = stepped(share=share)
    assert trainable.factors["A"].tolist() == pytest.approx([-0.1 * share] * 3)
    assert trainable.head["head"].tolist() == pytest.approx([-0.4 * share] * 4)


def test_a_long_gradient_is_scaled_to_the_limit_over_all_parameters_together() -> None:
    trainable, optimiser = stepped(max_grad_norm=1.0, slope=100.0)
    norm = math.sqrt(3 * 1 + 4 * 4)
    # The first moment is a tenth of the gradient that AdamW was given.
    assert optimiser.first_moment(trainable.factors["A"]).tolist() == pytest.approx([0.1 / norm] * 3)
    assert optimiser.first_moment(trainable.head["head"]).tolist() == pytest.approx([0.2 / norm] * 4)


@pytest.mark.parametrize(("limit", "slope"), [(0.0, 100.0), (1000.0, 100.0)])
def test_no_limit_and_a_limit_that_is_not_reached_leave_the_gradient_alone(limit, slope) -> None:
    trainable, optimiser = stepped(max_grad_norm=limit, slope=slope)
    assert optimiser.first_moment(trainable.factors["A"]).tolist() == pytest.approx([0.1 * slope] * 3)


def test_a_parameter_without_a_gradient_has_no_first_moment() -> None:
    trainable = two_parameters()
    optimiser = Optimiser(trainable, rates=Rates(0.1, 0.1), weight_decay=0.0, max_grad_norm=1.0)
    torch.autograd.backward(trainable.factors["A"].sum())
    optimiser.step(share=1.0)
    assert optimiser.first_moment(trainable.head["head"]) is None
