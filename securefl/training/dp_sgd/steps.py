"""The steps of one round of DP-SGD.

The rule kept here: what moves the parameters is the noised sum by the *expected* number of rows; the number that was
drawn divides nothing and is told to nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.sampled_training import SampledTraining
from securefl.training.adapter_bank import Trainable
from securefl.training.devices import Compute
from securefl.training.dp_sgd.fine_noise import FineNoise
from securefl.training.dp_sgd.row_clipping import clipped_sums
from securefl.training.dp_sgd.sampling import poisson_rows
from securefl.training.dp_sgd.taps import Taps
from securefl.training.liveness import check_loss
from securefl.training.loops import Progress, StepSink
from securefl.training.optimiser import Descent
from securefl.training.rows.tokens import Batch, Tokenised
from securefl.training.tasks.model import TaskModel

PHYSICAL_ROWS: Final = 128
"""Rows that are in memory at a time where a member says nothing else; a step's batch may be several times as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSteps:
    """DP-SGD on one member's rows.

    Attributes:
        model: With its adapters in use, as the round trains it.
        trainable: What is trained.
        rows: The member's training rows.
        release: Sampling, clip and noise.
        compute: Device and precision.
        physical_rows: Most rows in memory at a time.
        stream: Randomness of sampling and noise.
    """

    model: TaskModel
    trainable: Trainable
    rows: Tokenised = field(repr=False)
    release: SampledTraining
    compute: Compute
    physical_rows: int
    stream: NoiseStream

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """Trained parameters by name: factors, then the head."""
        return self.trainable.factors | self.trainable.head

    @property
    def expected_rows(self) -> float:
        """Expected number of rows in a step."""
        return self.release.sampling_probability * len(self.rows)

    @property
    def noise_deviation(self) -> float:
        """Standard deviation of the noise in one coordinate of a step's gradients."""
        return self.release.noise_multiplier * self.release.clip / self.expected_rows

    def run(
        self,
        optimiser: Descent,
        *,
        share_of: Callable[[int], float],
        step_sink: StepSink,
        penalty: Callable[[], Tensor] | None = None,
    ) -> float:
        """Take the release's steps, and give the mean loss of the rows that were drawn, nats; 0 if none was.

        Args:
            optimiser: Of what is trained; it limits no gradient of its own.
            share_of: From the number of steps done to the share of the learning rates in the next one.
            step_sink: Takes the progress.
            penalty: What depends on the parameters alone and is added to every loss.

        Guarantee: the parameters after each step are (z, q)-subsampled-Gaussian releases of the rows, as
        ``SampledTraining.event`` says, for adding or removing a row; the assumptions are those of ``clipped_sums``,
        ``FineNoise.added`` and ``poisson_rows``. The loss that is given back has no noise: it must stay with the
        member.

        Raises:
            TrainingError: if a value is not finite, or a parameter has no gradient of single rows.
        """
        losses: list[float] = []
        with Taps(self.model, self.parameters) as taps:
            for step in range(1, self.release.steps + 1):
                places = poisson_rows(len(self.rows), self.release.sampling_probability, self.stream)
                found = self._step(taps, places, optimiser, step=step)
                if penalty is not None:
                    torch.autograd.backward(penalty())
                optimiser.step(share=share_of(step - 1))
                losses.extend(found)
                mean = math.fsum(found) / len(found) if found else None
                step_sink(Progress("global", step, self.release.steps, mean))
        return math.fsum(losses) / len(losses) if losses else 0.0

    def _step(
        self,
        taps: Taps,
        places: np.ndarray[tuple[int], np.dtype[np.int64]],
        optimiser: Descent,
        *,
        step: int,
    ) -> list[float]:
        """Write a step's gradients, and give the losses of its rows."""
        optimiser.forget()
        sums, losses = self.summed(taps, self.parts(places))
        for loss in losses:
            check_loss(loss, None, rates=optimiser.rates, what="global", step=step)
        for name, gradient in self.noised(sums).items():
            self.parameters[name].grad = gradient
        return losses

    def parts(self, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Batch]:
        """A step's rows, by length, in parts that fit into the memory; none where no row was drawn."""
        if not len(places):
            return []
        ordered = places[np.argsort(self.rows.lengths[places], kind="stable")]
        return self.rows.parts(ordered, most=self.physical_rows, device=self.compute.device)

    def summed(self, taps: Taps, parts: Iterable[Batch]) -> tuple[dict[str, Tensor], list[float]]:
        """Sum of the rows' clipped gradients by name, float64, and the rows' losses."""
        sums = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in self.parameters.items()}
        losses: list[float] = []
        for part in parts:
            with self.compute.casting(enabled=True):
                of_rows = self.model.row_losses(part)
            gradients = taps.gradients(of_rows)
            clipped = clipped_sums(gradients, clip=self.release.clip, clipping=self.release.clipping)
            for name, value in clipped.items():
                sums[name] += value
            losses.extend(of_rows.detach().float().tolist())
        return sums, losses

    def noised(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sums with noise, by the expected number of rows, as gradients."""
        noise = FineNoise(self.release.noise_multiplier * self.release.clip)
        return {
            name: torch.from_numpy(
                noise.added(value.flatten().cpu().numpy(), self.stream) / self.expected_rows
            )
            .reshape(value.shape)
            .to(device=self.parameters[name].device, dtype=self.parameters[name].dtype)
            for name, value in sums.items()
        }
