"""A limit that SECURITY.md names: under unit ``example`` an update's length tells the number of its steps, so of rows.

The guarantee is for a known number of rows: noise, samples and steps follow from it. With noise alone, each step moves
every value by the same deviation, so the squared length of an update counts the steps.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("dp_accounting")

from securefl.config.privacy import ExamplePrivacySection
from securefl.config.training import TrainingSection
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.adapter_bank import Trainable
from securefl.training.dp_sgd.fine_noise import FineNoise
from securefl.training.dp_sgd.member_plan import member_plan
from securefl.training.dp_sgd.noise_scaled_sgd import NoiseScaledSgd
from securefl.training.schedule import Rates

pytestmark = pytest.mark.slow

BATCH, VALUES, RATE, TRIALS = 16, 4000, 1e-2, 20
TRAINING = TrainingSection(per_device_train_batch_size=BATCH, num_train_epochs=1)
PROMISE = ExamplePrivacySection(unit="example", target_epsilon=8.0, accountant="rdp")


def release_of(rows: int) -> SampledTraining:
    release = member_plan(PROMISE, TRAINING, rows=rows, rounds=1).release
    assert isinstance(release, SampledTraining)
    return release


def guessed_steps(release: SampledTraining) -> int:
    """The steps of a round in which no row has a gradient, as its update tells them."""
    expected = BATCH
    deviation = release.noise_multiplier * release.clip / expected
    weight, stream = nn.Parameter(torch.zeros(VALUES)), NoiseStream()
    descent = NoiseScaledSgd(
        Trainable({"weight": weight}, {}), rates=Rates(RATE, RATE), weight_decay=0.0, deviation=deviation
    )
    for _ in range(release.steps):
        weight.grad = torch.from_numpy(FineNoise(deviation).added(np.zeros(VALUES), stream)).float()
        descent.step(share=1.0)
    return round(float(weight.detach().square().sum()) / (VALUES * RATE**2))


def test_one_row_that_fills_another_batch_is_seen_in_the_length_of_an_update() -> None:
    for rows in (2 * BATCH, 2 * BATCH + 1):
        release = release_of(rows)
        assert release.steps == math.ceil(rows / BATCH)
        assert [guessed_steps(release) for _ in range(TRIALS)] == [release.steps] * TRIALS
