"""Rounds that begin from the base model's own weights: every member finds the same directions, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from securefl.adapters.leading import leading_pair
from securefl.config.training import TrainingSection
from securefl.errors import TrainingError

if TYPE_CHECKING:
    from securefl.training.trainer import LocalTrainer


def test_directions_are_those_of_the_adapted_weights(
    trainer_of: Callable[..., LocalTrainer], tiny_bert: str
) -> None:
    from transformers import AutoModel

    found = trainer_of(payload="state", principal_rank=4).principal_directions(4)
    name = "encoder.layer.1.attention.self.value"
    weight = (
        AutoModel.from_pretrained(tiny_bert).get_submodule(name).weight.detach().numpy().astype(np.float64)
    )
    np.testing.assert_array_equal(found[name].A, leading_pair(weight, rank=4).A)
    _, _, vt = np.linalg.svd(weight)
    assert np.linalg.norm(weight @ found[name].A.T) >= 0.999 * np.linalg.norm(weight @ vt[:4].T)
    assert len(found) == 4


def test_a_member_that_holds_its_base_in_fewer_bits_finds_the_same_directions(
    trainer_of: Callable[..., LocalTrainer],
) -> None:
    narrow = TrainingSection(device="cpu", precision="bf16", base_precision="bf16")
    one = trainer_of(payload="state", principal_rank=2).principal_directions(2)
    other = trainer_of(payload="state", principal_rank=2, training=narrow).principal_directions(2)
    for name, pair in one.items():
        np.testing.assert_array_equal(pair.A, other[name].A)
        np.testing.assert_array_equal(pair.B, other[name].B)


def test_directions_that_nobody_asked_for_at_loading_are_refused(
    trainer_of: Callable[..., LocalTrainer],
) -> None:
    with pytest.raises(
        TrainingError, match="3 directions of each weight are wanted, and the model was loaded for 0"
    ):
        trainer_of(payload="state").principal_directions(3)
