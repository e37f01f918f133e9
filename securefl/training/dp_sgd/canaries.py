"""The mechanism of private training on canaries: rows whose gradients are known, in or out by coins.

The rule kept here: the rounds are those that members train with (``private_rounds.PrivateRounds``): their rehearsal,
charge, sampling, gradients of single rows, clipping and noise. Each canary has a coordinate of its own in each of three
tensors (two factors and a head, as an adapter has them), along which its gradient is far above the clip; so nothing but
the mechanism's noise is in an attacker's way, and canaries do not disturb each other. On the coordinates of those that
are out there is noise alone, which is looked at tensor by tensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from securefl.config.privacy import PrivateDescent
from securefl.config.training import TrainingSection
from securefl.privacy.noise_level import NoiseLevels
from securefl.privacy.noise_stream import SYSTEM, Entropy, NoiseStream
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.adapter_bank import Trainable
from securefl.training.devices import Compute
from securefl.training.dp_sgd.private_rounds import PrivateRounds
from securefl.training.dp_sgd.row_clipping import MARGIN
from securefl.training.loops import Progress, StepSink
from securefl.training.rows.tokens import Batch, Tokenised
from securefl.training.schedule import Rates
from securefl.training.tasks.model import TaskModel

LOUDNESS: Final = 10.0
"""Norm of a canary's gradient before it is clipped, by the clip."""
_FACTORS: Final = ("first.weight", "second.weight")
_HEAD: Final = "head.weight"
_TENSORS: Final = (*_FACTORS, _HEAD)
_RATES: Final = Rates(1e-3, 1e-3)
_PARTS: Final = 4
"""Parts in the memory, one after the other, that a step's rows come in."""


@dataclass(frozen=True, slots=True)
class CanaryTraining:
    """A training on canaries, as an attacker saw it.

    Attributes:
        included: (m,) true for canaries that were among the rows.
        scores: (m,) logarithm of the likelihood ratio of in against out, of everything that was released.
        drawn: (steps,) rows of each step, which nobody outside is told.
        charged: What was charged, in order.
        unpaid: Steps that were taken before their charge, or after the last one that it pays for.
        noise: Levels of the noise by tensor, and of what differs between tensors, steps and rounds.
    """

    included: NDArray[np.bool_]
    scores: NDArray[np.float64]
    drawn: NDArray[np.int64]
    charged: tuple[SampledTraining, ...]
    unpaid: int
    noise: NoiseLevels

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
    model = _CanaryModel(canaries, strength=LOUDNESS * release.clip / math.sqrt(len(_TENSORS)))
    weights = dict(model.named_parameters())
    trainable = Trainable({name: weights[name] for name in _FACTORS}, {_HEAD: weights[_HEAD]})
    expected = release.sampling_probability * int(included.sum())
    attacker = _Attacker(model, trainable, release, expected=expected, outside=~included)
    loop = _CanaryLoop(
        # Private rounds ask a model for nothing but the losses of its rows.
        canaries=cast("TaskModel", model),
        rows=_rows_of(included),
        section=TrainingSection(micro_batch_size=max(1, int(expected) // _PARTS)),
        rounds=rounds,
        step_sink=attacker.step,
        compute=Compute(torch.device("cpu"), None, "eager"),
    )
    private = PrivateRounds(loop, release, charge=attacker.charge, entropy=entropy)
    for number in range(1, rounds + 1):
        private.fit(number, lambda: trainable, used=("canaries",), rates=_RATES)
    return CanaryTraining(
        included=included,
        scores=attacker.scores,
        drawn=np.array(attacker.drawn, dtype=np.int64),
        charged=tuple(attacker.charged),
        unpaid=attacker.unpaid,
        noise=attacker.noise,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _CanaryLoop:
    """A ``PrivateLoop`` over canaries."""

    canaries: TaskModel
    rows: Tokenised
    section: TrainingSection
    rounds: int
    step_sink: StepSink
    compute: Compute
    private_descent: PrivateDescent = "sgd"

    def model(self, used: tuple[str, ...]) -> TaskModel:
        """The canaries."""
        return self.canaries


class _CanaryModel(nn.Module):
    """One weight a canary in each tensor; the loss of a canary is the sum of its weights times their strength."""

    def __init__(self, canaries: int, *, strength: float) -> None:
        super().__init__()
        self.first, self.second, self.head = (nn.Linear(canaries, 1, bias=False) for _ in _TENSORS)
        for weight in self.parameters():
            nn.init.zeros_(weight)
        self._strength = strength
        self.seen = 0

    def row_losses(self, batch: Batch) -> Tensor:
        """Loss (rows,) of each canary."""
        self.seen += len(batch.input_ids)
        width = self.head.in_features
        one_hot = nn.functional.one_hot(batch.input_ids[:, 0], width).to(torch.float32)
        losses: Tensor = self._strength * (self.first(one_hot) + self.second(one_hot) + self.head(one_hot))
        return losses[:, 0]


def _rows_of(included: NDArray[np.bool_]) -> Tokenised:
    ids = tuple(np.array([number], dtype=np.int64) for number in np.flatnonzero(included))
    return Tokenised(ids=ids, types=None, targets=tuple(np.zeros(1, dtype=np.int64) for _ in ids), pad_id=0)


class _Attacker:
    """Scores every canary by the gradients that each step was taken along; parameters do not change a gradient here.

    With c the clip and s the noise's deviation, a step's sum along a canary's direction is N(0, s^2) without it, and
    with it the same or, with probability q, N(c, s^2).

    Args:
        model: The canaries.
        trainable: The tensors.
        release: What was charged.
        expected: Expected rows of a step, by which the sums were divided.
        outside: (m,) true for canaries that are out.
    """

    def __init__(
        self,
        model: _CanaryModel,
        trainable: Trainable,
        release: SampledTraining,
        *,
        expected: float,
        outside: NDArray[np.bool_],
    ) -> None:
        self._model = model
        self._weights = trainable.factors | trainable.head
        self._release, self._expected, self._outside = release, expected, outside
        self.scores = np.zeros(outside.size)
        self.drawn: list[int] = []
        self.charged: list[SampledTraining] = []
        self.unpaid = self._paid = 0
        self.noise = NoiseLevels()
        self._step: NDArray[np.float64] | None = None
        self._round: NDArray[np.float64] | None = None
        self._begins = False

    def charge(self, round_number: int, release: SampledTraining) -> None:
        """A round's charge; what the model has seen in the rehearsal before it is of no step."""
        self.charged.append(release)
        self._paid, self._begins, self._model.seen = release.steps, True, 0

    def step(self, _: Progress) -> None:
        """Score a step."""
        self._paid -= 1
        self.unpaid += self._paid < 0
        released = np.stack([self._released(weight) for weight in self._weights.values()])
        self.scores += _evidence(released.sum(axis=0) / math.sqrt(len(released)), self._release)
        self._look_at(
            released[:, self._outside] / (self._release.noise_multiplier * self._release.clip),
        )
        self.drawn.append(self._model.seen)
        self._model.seen = 0

    def _released(self, weight: nn.Parameter) -> NDArray[np.float64]:
        """Sum (m,) that a step released of one tensor."""
        if weight.grad is None:
            return np.zeros(self._outside.size)
        released: NDArray[np.float64] = weight.grad.detach().double().numpy().reshape(-1) * self._expected
        return released

    def _look_at(self, noise: NDArray[np.float64]) -> None:
        """Take up noise (tensors, k), by its deviation."""
        for name, values in zip(self._weights, noise, strict=True):
            self.noise.see(f"the tensor '{name}'", values)
        for (one, first), (other, second) in pairwise(zip(self._weights, noise, strict=True)):
            self.noise.see(f"the difference of '{one}' and '{other}'", (first - second) / math.sqrt(2))
        self._step = self._beside(self._step, noise, "the difference of two steps")
        if self._begins:
            self._round = self._beside(self._round, noise, "the difference of two rounds")
        self._begins = False

    def _beside(
        self, before: NDArray[np.float64] | None, noise: NDArray[np.float64], place: str
    ) -> NDArray[np.float64] | None:
        """Look at a pair of noises, and forget both, so that pairs are independent; else keep the first of a pair."""
        if before is None:
            return noise
        self.noise.see(place, (noise - before).ravel() / math.sqrt(2))
        return None


def _evidence(released: NDArray[np.float64], release: SampledTraining) -> NDArray[np.float64]:
    """Logarithm (m,) of a step's likelihood ratio; the gradient's sign is that of the loss, upwards."""
    clip, q = release.clip * (1 - MARGIN), release.sampling_probability
    deviation = release.noise_multiplier * release.clip
    there = (released * clip - clip * clip / 2) / deviation**2
    if q >= 1:
        return there
    return np.logaddexp(math.log1p(-q), math.log(q) + there)
