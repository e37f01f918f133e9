"""Outer steps: from the cohort's mean update to the change of the global state, at every member alike.

The rule kept here: a step is a function of the means so far and of the federation file, computed after decryption; so
the server learns nothing of it, and all members take the same one.

With d the round's mean, from which the state moves by ``step``:

``sgd``       step = lr d; plain averaging at lr = 1
``nesterov``  v = mu v + d; step = lr (d + mu v): Nesterov's momentum in the form of DiLoCo (arXiv 2311.08105) and
              FDLoRA (arXiv 2406.07925)
``adam``      m = b1 m + (1 - b1) d; v = b2 v + (1 - b2) d^2, from v = epsilon^2; step = lr m / (sqrt(v) + epsilon):
              FedAdam (arXiv 2003.00295, algorithm 2)

A weight's d is a whole matrix, a product of factors, or, where one factor of a shared adapter is trained against the
learned other one, that factor alone: then each side has a momentum of its own, and single numbers are added and
multiplied, whose bits no machine's library changes. The momentum of a product stays one, of bounded rank
(``Decomposition.limited``). Adam divides coordinate by coordinate, which a product has not:
``config.outer.NO_COORDINATES``.

    >>> from securefl.config.outer import NesterovSection
    >>> outer = outer_of(NesterovSection(name="nesterov", momentum=0.5), kept_rank=None)
    >>> mean = MeanUpdate(weights={}, heads={"head": np.ones((1, 1))})
    >>> first, outer = outer.step(mean)
    >>> second, outer = outer.step(mean)
    >>> float(first.heads["head"][0, 0]), float(second.heads["head"][0, 0])
    (1.5, 1.75)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, assert_never

import numpy as np

from securefl.adapters.frozen.basis import Side
from securefl.adapters.linalg import Decomposition, decompose
from securefl.adapters.update import Factors, Matrix, MeanUpdate
from securefl.config.outer import AdamSection, NesterovSection, Outer, SgdSection
from securefl.errors import ConfigError

Key = tuple[str, Side | None]
"""A tensor's name, and the side of the factor that stands for it; None for the whole tensor."""
Moment = Matrix | Decomposition


class OuterStep(Protocol):
    """One rule with what it remembers of earlier rounds; immutable."""

    def step(self, mean: MeanUpdate, *, learned: Side | None = None) -> tuple[MeanUpdate, OuterStep]:
        """Take the next round's mean.

        Args:
            mean: Decoded.
            learned: The side that holds the coordinates of every weight, where the other factor is a learned one that
                the round left as it is; None where a weight moves as a whole.

        Returns:
            The change of the state, in the form of the mean, and the rule for the round after.
        """
        ...


def outer_of(section: Outer, *, kept_rank: int | None, seeded: bool = False) -> OuterStep:
    """The rule of a federation before its first round.

    Args:
        section: ``[outer]``.
        kept_rank: Most directions of a product that a momentum keeps; None for all.
        seeded: The first mean is the start itself, and no step of the rule.
    """
    if seeded:
        return Seeded(outer_of(section, kept_rank=kept_rank))
    match section:
        case SgdSection(learning_rate=rate):
            return Sgd(rate)
        case NesterovSection(learning_rate=rate, momentum=momentum):
            noise = CarriedNoise(gain=rate / (1 - momentum), ratio=momentum, lead=2)
            return Nesterov(rate=rate, momentum=momentum, kept_rank=kept_rank, noise=noise)
        case AdamSection(learning_rate=rate, epsilon=epsilon):
            noise = CarriedNoise(gain=rate / epsilon, ratio=section.beta1, lead=1)
            return Adam(section, noise=noise)
        case _:
            assert_never(section)


@dataclass(frozen=True, slots=True)
class Seeded:
    """A first mean that is taken as it is, and that no momentum remembers.

    Attributes:
        rule: What the second mean begins.
    """

    rule: OuterStep

    def step(self, mean: MeanUpdate, *, learned: Side | None = None) -> tuple[MeanUpdate, OuterStep]:
        """See ``OuterStep.step``."""
        return mean, self.rule


@dataclass(frozen=True, slots=True)
class Sgd:
    """The mean times a rate.

    Attributes:
        rate: The learning rate.
    """

    rate: float

    def step(self, mean: MeanUpdate, *, learned: Side | None = None) -> tuple[MeanUpdate, Sgd]:
        """See ``OuterStep.step``."""
        if self.rate == 1.0:
            return mean, self
        steps = {key: _scaled(value, self.rate) for key, value in _coordinates(mean, learned).items()}
        return _moved(mean, steps, learned, noise_std=self.rate * mean.noise_std), self


@dataclass(frozen=True, slots=True, kw_only=True)
class Nesterov:
    """Nesterov's momentum.

    Attributes:
        rate: The learning rate lr.
        momentum: mu.
        kept_rank: Most directions that the momentum of a product keeps.
        moments: v of every tensor.
        noise: Rounding of the means so far, as it has entered the state.
    """

    rate: float
    momentum: float
    kept_rank: int | None
    noise: CarriedNoise
    moments: Mapping[Key, Moment] = field(default_factory=dict)

    def step(self, mean: MeanUpdate, *, learned: Side | None = None) -> tuple[MeanUpdate, Nesterov]:
        """See ``OuterStep.step``."""
        changes = _coordinates(mean, learned)
        moments = {key: self._moment(key, change) for key, change in changes.items()}
        steps = {key: self._step(change, moments[key]) for key, change in changes.items()}
        noise_std, noise = self.noise.after(mean.noise_std, learned)
        after = replace(self, moments={**self.moments, **moments}, noise=noise)
        return _moved(mean, steps, learned, noise_std=noise_std), after

    def _moment(self, key: Key, change: Matrix | Factors) -> Moment:
        old = self.moments.get(key)
        if isinstance(change, Factors):
            carried = Decomposition.zero(*change.shape) if old is None else old
            assert isinstance(carried, Decomposition)
            return decompose(_sum(_factors(carried, self.momentum), change)).limited(self.kept_rank)
        assert not isinstance(old, Decomposition)
        return change.copy() if old is None else self.momentum * old + change

    def _step(self, change: Matrix | Factors, moment: Moment) -> Matrix | Factors:
        if isinstance(change, Factors):
            assert isinstance(moment, Decomposition)
            ahead = _factors(moment, self.rate * self.momentum)
            return _sum(Factors(self.rate * change.left, change.right), ahead)
        assert not isinstance(moment, Decomposition)
        return self.rate * (change + self.momentum * moment)


@dataclass(frozen=True, slots=True)
class Adam:
    """FedAdam; its published form has no correction for the start of the moments.

    Attributes:
        section: Rates.
        noise: Rounding of the means so far, as it can have entered the state at most: where a coordinate's noise is
            below epsilon, its root of v is at most near epsilon, and the step is at most lr m / epsilon.
        first: m of every tensor.
        second: v of every tensor.
    """

    section: AdamSection
    noise: CarriedNoise
    first: Mapping[Key, Matrix] = field(default_factory=dict)
    second: Mapping[Key, Matrix] = field(default_factory=dict)

    def step(self, mean: MeanUpdate, *, learned: Side | None = None) -> tuple[MeanUpdate, Adam]:
        """See ``OuterStep.step``.

        Raises:
            ConfigError: if a weight's mean is a product of factors.
        """
        changes = {key: _matrix(change) for key, change in _coordinates(mean, learned).items()}
        first = {key: self._first(key, change) for key, change in changes.items()}
        second = {key: self._second(key, change) for key, change in changes.items()}
        rate, epsilon = self.section.learning_rate, self.section.epsilon
        steps = {key: rate * first[key] / (np.sqrt(second[key]) + epsilon) for key in changes}
        noise_std, noise = self.noise.after(mean.noise_std, learned)
        after = Adam(self.section, noise, {**self.first, **first}, {**self.second, **second})
        return _moved(mean, steps, learned, noise_std=noise_std), after

    def _first(self, key: Key, change: Matrix) -> Matrix:
        beta = self.section.beta1
        old = self.first.get(key)
        fresh: Matrix = (1 - beta) * change
        return fresh if old is None else beta * old + fresh

    def _second(self, key: Key, change: Matrix) -> Matrix:
        beta = self.section.beta2
        old = self.second.get(key)
        fresh: Matrix = (1 - beta) * (change * change)
        return beta * (self.section.epsilon**2 if old is None else old) + fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedNoise:
    """Independent noise of the means in a state whose momentum carries every mean into later rounds too.

    A mean that is k rounds old has entered the state with the weight gain (1 - ratio^(k + lead)); so the variance is
    gain^2 (S_0 - 2 ratio^lead S_1 + ratio^(2 lead) S_2), with S_i the sum of ratio^(i k) s^2 over all means, s their
    standard deviations. Each side of a learned adapter counts its own rounds.

    Attributes:
        gain: Weight of a very old mean.
        ratio: The momentum.
        lead: Power of the newest mean.
        sums: (S_0, S_1, S_2) by side.
    """

    gain: float
    ratio: float
    lead: int
    sums: Mapping[Side | None, tuple[float, float, float]] = field(default_factory=dict)

    def after(self, noise_std: float, side: Side | None) -> tuple[float, CarriedNoise]:
        """The share of one more mean, as the standard deviation of independent noise, and the noise with it.

        States add variances; so this is the root of what the variance has grown by, older means included.
        """
        old = self.sums.get(side, (0.0, 0.0, 0.0))
        new = tuple(self.ratio**power * total + noise_std**2 for power, total in enumerate(old))
        assert len(new) == 3
        grown = self._variance(new) - self._variance(old)
        return math.sqrt(max(grown, 0.0)), replace(self, sums={**self.sums, side: new})

    def _variance(self, sums: tuple[float, float, float]) -> float:
        newest = self.ratio**self.lead
        return self.gain**2 * (sums[0] - 2 * newest * sums[1] + newest**2 * sums[2])


def _coordinates(mean: MeanUpdate, learned: Side | None) -> dict[Key, Matrix | Factors]:
    """Every tensor's mean: heads whole, weights as they come or as the factor of one side."""
    weights: dict[Key, Matrix | Factors] = {
        (name, learned): value if learned is None else _side(value, learned)
        for name, value in mean.weights.items()
    }
    return {(name, None): value for name, value in mean.heads.items()} | weights


def _side(value: Matrix | Factors, side: Side) -> Matrix:
    assert isinstance(value, Factors)
    return value.left if side is Side.LEFT else value.right


def _moved(
    mean: MeanUpdate, steps: Mapping[Key, Matrix | Factors], learned: Side | None, *, noise_std: float
) -> MeanUpdate:
    """Steps in the form of the mean."""
    weights = {name: _weight(mean.weights[name], steps[name, learned], learned) for name in mean.weights}
    heads = {name: _matrix(steps[name, None]) for name in mean.heads}
    return replace(mean, weights=weights, heads=heads, noise_std=noise_std)


def _weight(mean: Matrix | Factors, step: Matrix | Factors, learned: Side | None) -> Matrix | Factors:
    if learned is None:
        return step
    assert isinstance(mean, Factors)
    trained = _matrix(step)
    return Factors(trained, mean.right) if learned is Side.LEFT else Factors(mean.left, trained)


def _matrix(value: Matrix | Factors) -> Matrix:
    if isinstance(value, Factors):
        raise ConfigError(
            "an outer step by Adam needs coordinates, and a mean in factors has none",
            where="[outer]",
            hint='write name = "nesterov", or take another payload',
        )
    return value


def _scaled(value: Matrix | Factors, rate: float) -> Matrix | Factors:
    return Factors(rate * value.left, value.right) if isinstance(value, Factors) else rate * value


def _factors(value: Decomposition, rate: float) -> Factors:
    return Factors(value.left * (rate * value.singular), value.right)


def _sum(one: Factors, other: Factors) -> Factors:
    return Factors(
        np.concatenate([one.left, other.left], axis=1), np.concatenate([one.right, other.right], axis=0)
    )
