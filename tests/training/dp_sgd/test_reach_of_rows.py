"""Reach of a row: its part of a step's sum is its own and no longer than the clip, and nothing else of it is sent.

Rounds run through the trainer, as members run them, with known noise that leaves the sums out. So parameters are the
same whatever the rows are, two sums of a step differ by the rows alone, and an update that still depends on rows got it
around the noise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from securefl.privacy.sampled_training import Clipping, SampledTraining
from securefl.training.dp_sgd import steps as private_steps
from securefl.training.dp_sgd.fine_noise import FineNoise
from securefl.training.rows.examples import ClientData, Examples

pytestmark = pytest.mark.slow

RELEASE = SampledTraining(noise_multiplier=0.5, clip=1.0, clipping="flat", sampling_probability=1.0, steps=3)
Rows = Sequence[int]


@dataclass(slots=True)
class Watched:
    """What rounds asked the mechanism for, in the order of time.

    Attributes:
        sums: Sums that noise was asked for, one a tensor and step.
        deviations: Of that noise.
        draws: Numbers of rows and probabilities of the samples.
        charges: Numbers of sums that had been noised when a round was charged, and the charge.
    """

    sums: list[NDArray[np.float64]] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)
    draws: list[tuple[int, float]] = field(default_factory=list)
    charges: list[tuple[int, SampledTraining]] = field(default_factory=list)

    def charge(self, number: int, release: SampledTraining) -> None:
        """Grant a round."""
        self.charges.append((len(self.sums), release))

    def steps(self, tensors: int) -> Iterator[NDArray[np.float64]]:
        """Whole sums of the steps of a round, without those of its rehearsal."""
        for start in range(tensors, len(self.sums), tensors):
            yield np.concatenate(self.sums[start : start + tensors])


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """Begin to watch, and to give every noised sum of a place and time the same noise, whatever the sum is.

    After so many sums the noise is none.
    """
    draw = private_steps.poisson_rows

    def begin(*, quiet_after: int | None = None) -> Watched:
        seen = Watched()

        def added(self: FineNoise, sums: NDArray[np.float64], stream: object) -> NDArray[np.float64]:
            fixed = np.random.default_rng(len(seen.sums)).standard_normal(sums.size)
            seen.sums.append(sums.copy())
            seen.deviations.append(self.deviation)
            quiet = quiet_after is not None and len(seen.sums) > quiet_after
            return 0.0 * fixed if quiet else self.deviation * fixed

        def drawn(rows: int, probability: float, stream: object) -> NDArray[np.int64]:
            seen.draws.append((rows, probability))
            return draw(rows, probability, stream)  # type: ignore[arg-type]

        monkeypatch.setattr(FineNoise, "added", added)
        monkeypatch.setattr(private_steps, "poisson_rows", drawn)
        return seen

    return begin


def taken(examples: Examples, rows: Rows) -> Examples:
    """These rows."""
    return replace(
        examples, texts=tuple(examples.texts[row] for row in rows), targets=examples.targets[list(rows)]
    )


@pytest.fixture
def trained(settings_of, client_data):
    """A private trainer of these of the client's training rows."""
    from securefl.training.trainer import LocalTrainer

    def trainer(rows: Rows, seen: Watched, release: SampledTraining, **fields: object) -> LocalTrainer:
        training = settings_of().training.model_copy(update={"micro_batch_size": 16, "weight_decay": 0.0})
        data = replace(client_data, train=taken(client_data.train, rows))
        return LocalTrainer(
            settings_of(privacy=release, training=training, **fields), data, charge=seen.charge
        )

    return trainer


def two_data_sets(data: ClientData) -> tuple[list[int], list[int], int]:
    """Rows of all labels, as many of others that lack a label, and one row that is in neither."""
    labels = data.train.targets[:, 0].tolist()
    rare = Counter(labels).most_common()[-1][0]
    one = labels.index(rare)
    others = [row for row, label in enumerate(labels) if label != rare][-40:]
    mixed = [row for row in range(len(labels)) if row != one and row not in others][:40]
    assert rare in {labels[row] for row in mixed}
    return mixed, others, one


@pytest.mark.parametrize("clip", [1e-3, 1e3], ids=["clipped", "whole"])
@pytest.mark.parametrize("clipping", ["flat", "per-layer"])
def test_a_rows_part_of_every_sum_is_the_same_beside_any_other_rows_and_within_the_clip(
    clip: float, clipping: Clipping, trained, watched, client_data, start_of
) -> None:
    release = replace(RELEASE, clip=clip, clipping=clipping)
    mixed, others, one = two_data_sets(client_data)
    tensors = 2 * len(start_of().weights) + len(start_of().heads)

    def sums(rows: Rows) -> list[NDArray[np.float64]]:
        seen = watched()
        trainer = trained(rows, seen, release)
        # Of the same rows and without noise, so that nothing of it may be in the shared adapter's gradients.
        trainer.train_personal(1)
        trainer.train_round(1, start_of())
        return list(seen.steps(tensors))

    # At the end and in the middle, so that rows behind it have other places.
    parts = [
        [there - without for there, without in zip(sums(with_it), sums(rows), strict=True)]
        for with_it, rows in (([*mixed, one], mixed), ([*others[:7], one, *others[7:-9]], others[:-9]))
    ]
    assert len(parts[0]) == release.steps
    for beside_some, beside_others in zip(*parts, strict=True):
        length = float(np.linalg.norm(beside_some))
        assert 0 < length <= clip
        # Where every row is longer than the clip, its part has all of it.
        assert clip > 1 or clipping == "per-layer" or length > 0.99 * clip
        np.testing.assert_allclose(beside_others, beside_some, atol=2e-3 * length)


@pytest.mark.parametrize("descent", ["sgd", "adamw"])
def test_nothing_of_the_rows_but_the_noised_sums_reaches_what_rounds_send(
    descent: str, trained, watched, client_data, start_of
) -> None:
    """Neither labels nor losses, nor how many rows were drawn or whether any was, nor a personal adapter of theirs."""
    release = replace(RELEASE, sampling_probability=0.02, steps=8)
    mixed, others, _ = two_data_sets(client_data)
    sent = []
    for rows in (mixed, others):
        seen = watched()
        trainer = trained(rows, seen, release, private_descent=descent)
        updates = []
        for number in (1, 2):
            updates.append(trainer.learn(number, start_of()))
            trainer.train_personal(number)
        sent.append(updates)
    for one, other in zip(*sent, strict=True):
        for name, factors in one.weights.items():
            np.testing.assert_array_equal(factors.left, other.weights[name].left)
            np.testing.assert_array_equal(factors.right, other.weights[name].right)
        for name, values in one.heads.items():
            np.testing.assert_array_equal(values, other.heads[name])


def test_a_round_samples_noises_and_steps_as_it_was_charged_for(
    trained, watched, client_data, start_of
) -> None:
    release = replace(RELEASE, sampling_probability=0.3, steps=5, clip=0.7)
    tensors = 2 * len(start_of().weights) + len(start_of().heads)
    seen = watched()
    trainer = trained(two_data_sets(client_data)[0], seen, release)
    for number in (1, 2):
        trainer.learn(number, start_of())
    # The rehearsal noises one sum, comes first, and draws no sample.
    in_a_round = tensors * (1 + release.steps)
    assert seen.charges == [(tensors, release), (in_a_round + tensors, release)]
    assert len(seen.sums) == 2 * in_a_round
    assert set(seen.deviations) == {release.noise_multiplier * release.clip}
    assert seen.draws == [(trainer.samples, release.sampling_probability)] * (2 * release.steps)


@pytest.mark.parametrize("descent", ["sgd", "adamw"])
def test_nothing_of_a_rehearsal_which_nobody_charged_moves_a_parameter(
    descent: str, trained, watched, client_data, start_of
) -> None:
    """Its few rows would be in the moments of an optimiser that the steps go on with."""
    start = start_of()
    tensors = 2 * len(start.weights) + len(start.heads)
    seen = watched(quiet_after=tensors)
    trainer = trained(two_data_sets(client_data)[0], seen, RELEASE, private_descent=descent)
    trainer.train_round(1, start)
    assert len(seen.sums) == tensors * (1 + RELEASE.steps)
    for name, factors in trainer.adapter("global").weights.items():
        np.testing.assert_array_equal(factors.A, start.weights[name].A.astype(np.float32))
        np.testing.assert_array_equal(factors.B, start.weights[name].B)
    assert not any(values.any() for values in trainer.adapter("global").heads.values())
