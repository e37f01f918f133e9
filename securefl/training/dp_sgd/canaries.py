"""The mechanism of private training on canaries: rows whose gradients are known, in or out by coins.

The rule kept here: the steps are those that members train with (``steps.PrivateSteps``): their sampling, gradients of
single rows, clipping and noise. Each canary has a coordinate of its own, along which its gradient is far above the
clip; so nothing but the mechanism's noise is in an attacker's way, and canaries do not disturb each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from securefl.privacy.noise_stream import SYSTEM, Entropy, NoiseStream
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.adapter_bank import Trainable
from securefl.training.devices import Compute
from securefl.training.dp_sgd.row_clipping import MARGIN
from securefl.training.dp_sgd.steps import PHYSICAL_ROWS, PrivateSteps
from securefl.training.loops import Progress
from securefl.training.optimiser import Optimiser
from securefl.training.rows.tokens import Batch, Tokenised
from securefl.training.schedule import Rates
from securefl.training.tasks.model import TaskModel

LOUDNESS: Final = 10.0
"""Norm of a canary's gradient before it is clipped, by the clip."""
_ONE_TENSOR: Final = "canaries.weight"


@dataclass(frozen=True, slots=True)
class CanaryTraining:
    """A training on canaries, as an attacker saw it.

    Attributes:
        included: (m,) true for canaries that were among the rows.
        scores: (m,) logarithm of the likelihood ratio of in against out, of everything that was released.
        drawn: (steps,) rows of each step, which nobody outside is told.
    """

    included: NDArray[np.bool_]
    scores: NDArray[np.float64]
    drawn: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Number of canaries that were in."""
        return int(self.included.sum())


def train_on_canaries(
    release: SampledTraining, *, canaries: int, rounds: int = 1, entropy: Entropy = SYSTEM
) -> CanaryTraining:
    """Train on canaries, and score each by what the steps released.

    Args:
        release: Sampling, clip and noise of a round; the scores are those of an attacker who knows it.
        canaries: m.
        rounds: Rounds of it.
        entropy: Where coins, noise and sampling come from; another one than the operating system's is for tests.
    """
    stream = NoiseStream(entropy)
    included = stream.fractions(canaries) < 0.5
    if not included.any():
        included[0] = True
    model = _CanaryModel(canaries, strength=LOUDNESS * release.clip)
    trainable = Trainable({_ONE_TENSOR: cast("nn.Parameter", model.canaries.weight)}, {})
    attacker = _Attacker(trainable, release, expected=release.sampling_probability * int(included.sum()))
    for _ in range(rounds):
        steps = PrivateSteps(
            # Steps ask a model for nothing but the losses of its rows.
            model=cast("TaskModel", model),
            trainable=trainable,
            rows=_rows_of(included),
            release=release,
            compute=Compute(torch.device("cpu"), None, "eager"),
            physical_rows=PHYSICAL_ROWS,
            stream=stream,
        )
        attacker.watch(steps, model)
    return CanaryTraining(included, attacker.scores, np.array(attacker.drawn, dtype=np.int64))


class _CanaryModel(nn.Module):
    """One weight a canary; the loss of a canary is its weight times its strength."""

    def __init__(self, canaries: int, *, strength: float) -> None:
        super().__init__()
        self.canaries = nn.Linear(canaries, 1, bias=False)
        nn.init.zeros_(self.canaries.weight)
        self._strength = strength
        self.seen = 0

    def row_losses(self, batch: Batch) -> Tensor:
        """Loss (rows,) of each canary."""
        self.seen += len(batch.input_ids)
        width = self.canaries.in_features
        one_hot = nn.functional.one_hot(batch.input_ids[:, 0], width).to(torch.float32)
        losses: Tensor = self._strength * self.canaries(one_hot)[:, 0]
        return losses


def _rows_of(included: NDArray[np.bool_]) -> Tokenised:
    ids = tuple(np.array([number], dtype=np.int64) for number in np.flatnonzero(included))
    return Tokenised(ids=ids, types=None, targets=tuple(np.zeros(1, dtype=np.int64) for _ in ids), pad_id=0)


class _Attacker(Optimiser):
    """An optimiser that moves nothing, and scores every canary by the gradients that it is given.

    With c the clip and s the noise's deviation, a step's sum on a canary's coordinate is N(0, s^2) without it, and with
    it the same or, with probability q, N(c, s^2).
    """

    def __init__(self, trainable: Trainable, release: SampledTraining, *, expected: float) -> None:
        super().__init__(trainable, rates=Rates(0.0, 0.0), weight_decay=0.0, max_grad_norm=0.0)
        (self._weight,) = trainable.factors.values()
        self._release, self._expected = release, expected
        self.scores = np.zeros(self._weight.numel())
        self.drawn: list[int] = []
        self._model: _CanaryModel | None = None

    def watch(self, steps: PrivateSteps, model: _CanaryModel) -> None:
        """Let the steps run."""
        self._model = model
        steps.run(self, share_of=lambda step: 0.0, step_sink=_unheard)

    def step(self, *, share: float) -> None:
        """Score a step."""
        assert self._weight.grad is not None
        assert self._model is not None
        released = self._weight.grad.detach().double().numpy().reshape(-1) * self._expected
        self.scores += _evidence(released, self._release)
        self.drawn.append(self._model.seen)
        self._model.seen = 0


def _evidence(released: NDArray[np.float64], release: SampledTraining) -> NDArray[np.float64]:
    """Logarithm (m,) of a step's likelihood ratio; the gradient's sign is that of the loss, upwards."""
    clip, q = release.clip * (1 - MARGIN), release.sampling_probability
    deviation = release.noise_multiplier * release.clip
    there = (released * clip - clip * clip / 2) / deviation**2
    if q >= 1:
        return there
    return np.logaddexp(math.log1p(-q), math.log(q) + there)


def _unheard(_: Progress) -> None:
    """A step sink for whoever watches something else."""
