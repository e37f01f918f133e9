"""Lower bounds of epsilon from one run: canaries are in or out by coins, and an attacker guesses the coins.

The rule kept here: how many guesses are made is fixed before any score is known, and a bound counts chance against the
claim that a mechanism is *less* private: with a confidence of 95 % the true epsilon is at least the bound.

    >>> guessed = Guesses.of(scores=[3.0, 2.0, 0.1, -0.1, -2.0, -3.0], included=[1, 1, 0, 1, 0, 0], guesses=4)
    >>> guessed.made, guessed.right
    (4, 4)

References: Steinke, Nasr, Jagielski 2023 (arXiv 2305.08846) for ``epsilon_bound``; Mahloujifar, Melis, Chaudhuri 2024
(arXiv 2410.22235) for ``gaussian_bound``; Massart 1990 on the inequality of Dvoretzky, Kiefer and Wolfowitz for
``advantage_bound``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from securefl.errors import ConfigError
from securefl.privacy.accounting.base import EXTRA_HINT

SIGNIFICANCE: Final = 0.05
LARGEST: Final = 60.0
"""Largest epsilon, and largest mean shift, that a bound can be."""
_BISECTIONS: Final = 50


@dataclass(frozen=True, slots=True)
class Guesses:
    """An attacker's guesses on canaries.

    Attributes:
        canaries: m, in or out by a fair coin each.
        made: r, how many were guessed; the others were left open.
        right: v, how many of those are right.
    """

    canaries: int
    made: int
    right: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.made <= self.canaries or self.made < 1:
            raise ConfigError(
                f"{self.right} of {self.made} guesses right on {self.canaries} canaries",
                hint="guess at least one canary, and each once",
            )

    @classmethod
    def of(cls, *, scores: ArrayLike, included: ArrayLike, guesses: int) -> Guesses:
        """Guess that the highest scores are in and the lowest out, as many of each.

        Args:
            scores: (m,) higher for canaries that were in.
            included: (m,) true for those that were.
            guesses: r, even; fixed before the scores are known.
        """
        order = np.argsort(np.asarray(scores, dtype=np.float64), kind="stable")
        truth = np.asarray(included, dtype=bool)[order]
        half = guesses // 2
        right = int(truth[len(truth) - half :].sum()) + int((~truth[:half]).sum())
        return cls(canaries=len(truth), made=2 * half, right=right)


def epsilon_bound(guesses: Guesses, *, delta: float, significance: float = SIGNIFICANCE) -> float:
    """Bound epsilon from below, whatever the mechanism is.

    With q = e^epsilon / (1 + e^epsilon), beta = P[Bin(r, q) >= v] and a = max_i (P[Bin(r, q) >= v - i] - beta) / i, a
    mechanism of (epsilon, delta) lets so many guesses be right with a probability of at most beta + 2 m delta a.

    Guarantee: a mechanism that is (epsilon, delta)-differentially private for adding or removing one canary has a bound
    above epsilon with a probability of at most the significance (op. cit., theorem 5.2). It assumes that the coins are
    fair and independent, and that the number of guesses was fixed beforehand.
    """
    return _largest(lambda epsilon: _chance(guesses, epsilon, delta) < significance)


def _chance(guesses: Guesses, epsilon: float, delta: float) -> float:
    """Largest probability of so many right guesses."""
    binomial, v = _scipy().stats.binom, guesses.right
    q = 1 / (1 + math.exp(-epsilon))
    beta = float(binomial.sf(v - 1, guesses.made, q))
    if delta == 0 or v == 0:
        return beta
    steps = np.arange(1, v + 1)
    slope = float(((binomial.sf(v - 1 - steps, guesses.made, q) - beta) / steps).max())
    return min(1.0, beta + 2 * guesses.canaries * delta * slope)


def gaussian_bound(guesses: Guesses, *, significance: float = SIGNIFICANCE) -> float:
    """Bound the mean shift mu of a Gaussian mechanism from below: 1 / sigma at sensitivity 1.

    Guarantee: a mechanism that is mu-Gaussian-differentially private has a bound above mu with a probability of at most
    the significance (op. cit., theorem 9 with algorithm 3). Assumptions as of ``epsilon_bound``. Of a mechanism that is
    no Gaussian's, such as few steps on small samples, the bound speaks of the Gaussian that it would have to hide in.
    """
    return _largest(lambda mu: _is_rejected(guesses, mu, significance))


def _is_rejected(guesses: Guesses, mu: float, significance: float) -> bool:
    special = _scipy().special
    m, r, v = guesses.canaries, guesses.made, guesses.right
    right, wrong = significance * v / m, significance * (r - v) / m
    for i in range(v - 1, -1, -1):
        more = max(wrong, float(special.ndtr(special.ndtri(right) - mu)))
        if more == wrong:
            # Nothing moves from here on.
            break
        right = min(1.0, right + i / (r - i) * (more - wrong))
        wrong = more
    return right + wrong > r / m


def epsilon_of(mu: float, *, delta: float) -> float:
    """Epsilon of a Gaussian mechanism of mean shift mu at a delta, exact (Balle and Wang 2018, arXiv 1805.06530)."""
    if mu <= 0 or _gaussian_delta(mu, 0.0) <= delta:
        return 0.0
    return _largest(lambda epsilon: _gaussian_delta(mu, epsilon) > delta, limit=mu * mu + 40 * mu + 1)


def _gaussian_delta(mu: float, epsilon: float) -> float:
    special = _scipy().special
    gone = float(special.log_ndtr(-mu / 2 - epsilon / mu))
    return float(special.ndtr(mu / 2 - epsilon / mu)) - math.exp(epsilon + gone)


def advantage_bound(scores: ArrayLike, included: ArrayLike, *, significance: float) -> float:
    """Bound the best attacker's advantage from below: true positives less false ones, at the best threshold.

    Guarantee: the total variation distance between a canary's scores with and without it is at least the bound, but for
    a probability of the significance. It assumes that scores are independent of each other, as they are where each
    canary has a coordinate and noise of its own; a mechanism of (epsilon, delta) has a distance of at most its delta at
    epsilon 0.
    """
    found, truth = np.asarray(scores, dtype=np.float64), np.asarray(included, dtype=bool)
    there, gone = np.sort(found[truth]), np.sort(found[~truth])
    if not there.size or not gone.size:
        return 0.0
    slack = sum(math.sqrt(math.log(4 / significance) / (2 * side.size)) for side in (there, gone))
    return max(0.0, float(_differences(there, gone).max()) - slack)


def _differences(there: NDArray[np.float64], gone: NDArray[np.float64]) -> NDArray[np.float64]:
    """At every score as a threshold, the share of canaries above it less that of the others."""
    cuts = np.concatenate([there, gone])
    above = [1 - np.searchsorted(side, cuts, side="left") / side.size for side in (there, gone)]
    return above[0] - above[1]


def _largest(holds: Callable[[float], bool], *, limit: float = LARGEST) -> float:
    """The largest value up to a limit for which a claim holds that fails above some point; 0 where it never does."""
    low, high = 0.0, limit
    if not holds(low):
        return 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _scipy() -> Any:
    try:
        import scipy.special
        import scipy.stats
    except ImportError:
        raise ConfigError("empirical bounds need scipy", hint=EXTRA_HINT) from None
    return scipy
