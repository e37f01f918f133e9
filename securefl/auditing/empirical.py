"""Empirical audit: the mechanism that is installed here is attacked, and must not leak more than was charged for it.

The rule kept here: a lower bound stands beside the claim, and is none of its own. Guesses on canaries prove about half
of a true epsilon; what they prove above the claim is a finding. A mechanism with half of its noise is seen sooner by
the best attacker's advantage, which the charge bounds as well. What an attacker would need much luck for is looked at
directly: noise that is missing in a tensor or comes twice, steps that nobody charged, a charge of something else.

Of the members' machines nothing is known here; see ``privacy_words.out_of_scope``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from securefl.auditing.fresh_processes import processes_repeat
from securefl.auditing.privacy_accounts import PrivacyAudit, Promise
from securefl.errors import ConfigError
from securefl.privacy.accounting.second_opinion import opinions
from securefl.privacy.budget import events_of
from securefl.privacy.events import DistributedGaussian, DistributedSkellam, Event, SampledGaussian
from securefl.privacy.noise_level import NoiseLevels
from securefl.privacy.noise_stream import NoiseStream
from securefl.privacy.one_run import Guesses, advantage_bound, epsilon_bound, epsilon_of, gaussian_bound
from securefl.privacy.sampled_training import Clipping, SampledTraining

if TYPE_CHECKING:
    from securefl.training.dp_sgd.canaries import CanaryTraining

FEWEST: Final = 2000
MOST: Final = 20_000
"""Canaries of one attack; the smaller a claim, the more it takes to see that it is broken."""
CLIENT_CANARIES: Final = 1000
GUESSED: Final = 10
"""One canary of so many is guessed; fixed before any score is known."""
MOST_STEPS: Final = 400
"""Steps of one attack, beside those of its first round."""
FALSE_ALARM: Final = 1e-4
"""Chance that a sound mechanism is said to give too large an advantage, or to sample in another way."""
_WORDS: Final = 4
"""Words of 64 bits that two streams of noise do not have in common."""
FEWEST_STEPS: Final = 12
"""Steps from which the sizes of samples tell of their kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attack on one kind of release, beside what was charged for it.

    Attributes:
        release: Text of the event.
        rounds: How many releases were attacked together.
        canaries: How many there were.
        guesses: The guesses on them.
        claimed: Epsilon of the releases, by the accountant of the promise.
        steinke: Epsilon that the guesses prove, whatever the mechanism.
        gaussian: Epsilon that they prove of a Gaussian mechanism.
        advantage: Advantage that the scores prove.
        claimed_advantage: The largest one that the charge allows; None where no accountant bounds it.
        sampling: Chance of sizes of samples as odd as these under Poisson sampling; None where nothing is sampled.
        faults: Clauses on what was seen directly.
    """

    release: str
    rounds: int
    canaries: int
    guesses: Guesses
    claimed: float
    steinke: float
    gaussian: float
    advantage: float
    claimed_advantage: float | None
    sampling: float | None = None
    faults: tuple[str, ...] = ()

    @property
    def findings(self) -> tuple[str, ...]:
        """Clauses on what a sound mechanism would not show."""
        return tuple(self._findings())

    def _findings(self) -> Iterator[str]:
        yield from self.faults
        for name, proved in (("", self.steinke), (" of a Gaussian mechanism", self.gaussian)):
            if proved > self.claimed:
                yield (
                    f"{self.guesses.right} of {self.guesses.made} guesses on canaries are right, which proves epsilon "
                    f"{proved:.3g}{name}, and {self.claimed:.3g} was charged"
                )
        if self.claimed_advantage is not None and self.advantage > self.claimed_advantage:
            yield (
                f"an attacker of the mechanism has an advantage of at least {self.advantage:.2f}, and the charge "
                f"allows {self.claimed_advantage:.2f}"
            )
        if self.sampling is not None and self.sampling < FALSE_ALARM:
            yield "the sizes of the samples are not those of Poisson sampling, which the charge counts on"

    def to_json(self) -> dict[str, object]:
        """Plain values of the attack."""
        return {
            "release": self.release,
            "rounds": self.rounds,
            "canaries": self.canaries,
            "guesses": self.guesses.made,
            "right": self.guesses.right,
            "claimed_epsilon": self.claimed,
            "proved_epsilon": self.steinke,
            "proved_epsilon_gaussian": self.gaussian,
            "advantage": self.advantage,
            "claimed_advantage": self.claimed_advantage,
            "faults": list(self.faults),
        }


def attack_releases(privacy: PrivacyAudit, *, clipping: Clipping = "flat") -> tuple[Attack, ...]:
    """Attack every kind of release that the clients of a run were charged for.

    Args:
        privacy: Accounts of the run.
        clipping: How the federation clips the gradients of rows.

    Raises:
        ConfigError: if torch is not installed, which the training of rows needs.
    """
    promise = privacy.promise
    if promise is None:
        return ()
    counts: Counter[Event] = Counter()
    for client in privacy.clients:
        # The most releases of a kind that one client made.
        counts |= Counter(events_of(charge.release for charge in client.charges))
    return tuple(
        attack(event, count, promise, clipping=clipping)
        for event, count in sorted(counts.items(), key=lambda one: one[0].text)
        if isinstance(event, SampledGaussian | DistributedGaussian | DistributedSkellam)
    )


def attack(
    event: SampledGaussian | DistributedGaussian | DistributedSkellam,
    count: int,
    promise: Promise,
    *,
    clipping: Clipping = "flat",
) -> Attack:
    """Attack one kind of release.

    Args:
        event: The charge of a round.
        count: How many rounds were charged; as many of them are attacked as take little time.
        promise: Names clip, delta and accountant.
        clipping: How the federation clips the gradients of rows.

    Guarantee: a finding is a false alarm with a probability of at most 5 % for the guesses, and ``FALSE_ALARM`` for the
    advantage; see ``privacy.one_run``.
    """
    if isinstance(event, SampledGaussian):
        return _of_rows(event, max(1, min(count, MOST_STEPS // event.steps)), promise, clipping)
    return _of_clients(event, count, promise)


def _of_rows(event: SampledGaussian, rounds: int, promise: Promise, clipping: Clipping) -> Attack:
    from securefl.privacy.accounting.pld import advantage_of

    try:
        from securefl.training.dp_sgd.canaries import train_on_canaries
    except ImportError:
        raise ConfigError(
            "attacks on the training of rows need torch",
            where="--empirical",
            hint="install it with: pip install 'securefl[client,dp]'",
        ) from None
    allowed = advantage_of(event, count=rounds)
    canaries = math.ceil(min(MOST, max(FEWEST, 16 * math.log(4 / FALSE_ALARM) / allowed**2)))
    release = SampledTraining(
        noise_multiplier=event.noise_multiplier,
        clip=promise.clip,
        clipping=clipping,
        sampling_probability=event.sampling_probability,
        steps=event.steps,
    )
    seen = train_on_canaries(release, canaries=canaries, rounds=rounds)
    sampling = _sampling(seen.drawn, rows=seen.rows, probability=event.sampling_probability)
    judged = _judged(event, rounds, promise, seen.scores, seen.included, allowed=allowed, sampling=sampling)
    return replace(judged, faults=tuple(_faults_of_rows(release, event, rounds, seen)))


def _faults_of_rows(
    release: SampledTraining, event: SampledGaussian, rounds: int, seen: CanaryTraining
) -> Iterator[str]:
    if release.event != event:
        yield f"the program that is installed here charges '{release.event.text}' for what '{event.text}' says"
    if seen.charged != (release,) * rounds:
        yield f"of {rounds} trainings alike the mechanism charged {seen.charged.count(release)} as they were"
    if len(seen.drawn) != event.steps * rounds:
        yield f"the mechanism took {len(seen.drawn)} steps, and {event.steps * rounds} were charged"
    elif seen.unpaid:
        yield f"the mechanism took {seen.unpaid} steps before they were charged"
    yield from _weak(seen.noise)


def _weak(noise: NoiseLevels) -> Iterator[str]:
    for found in noise.weak(significance=FALSE_ALARM):
        yield f"the noise in {found.place} has {found.part:.2f} times the deviation that was charged"
    if NoiseStream().words(_WORDS).tolist() == NoiseStream().words(_WORDS).tolist():
        yield "two streams of noise are the same: whoever knows where they come from takes the noise away"
    elif processes_repeat():
        yield "two processes draw the same noise: whoever starts a third one takes the noise away"


def _of_clients(event: DistributedGaussian | DistributedSkellam, rounds: int, promise: Promise) -> Attack:
    from securefl.privacy.accounting.pld import PldAccountant, advantage_of
    from securefl.privacy.client_canaries import mechanism_of, sum_canaries

    bounded = isinstance(event, DistributedGaussian) and PldAccountant().supports(event)
    allowed = (
        advantage_of(event, count=rounds) if isinstance(event, DistributedGaussian) and bounded else None
    )
    seen = sum_canaries(mechanism_of(event, clip=promise.clip), canaries=CLIENT_CANARIES, rounds=rounds)
    judged = _judged(event, rounds, promise, seen.scores, seen.included, allowed=allowed)
    return replace(judged, faults=tuple(_weak(seen.noise)))


def _judged(
    event: Event,
    rounds: int,
    promise: Promise,
    scores: NDArray[np.float64],
    included: NDArray[np.bool_],
    *,
    allowed: float | None,
    sampling: float | None = None,
) -> Attack:
    guesses = Guesses.of(scores=scores, included=included, guesses=max(2, len(scores) // GUESSED))
    claimed = opinions(
        (event,) * rounds, delta=promise.delta, charged_by=promise.accountant, every=False
    ).epsilon
    return Attack(
        release=event.text,
        rounds=rounds,
        canaries=len(scores),
        guesses=guesses,
        claimed=claimed,
        steinke=epsilon_bound(guesses, delta=promise.delta),
        gaussian=epsilon_of(gaussian_bound(guesses), delta=promise.delta),
        advantage=advantage_bound(scores, included, significance=FALSE_ALARM),
        claimed_advantage=allowed,
        sampling=sampling,
    )


def _sampling(drawn: NDArray[np.int64], *, rows: int, probability: float) -> float | None:
    """Chance of a dispersion of sample sizes as far from that of independent coins, on either side."""
    if probability >= 1 or len(drawn) < FEWEST_STEPS:
        return None
    from scipy import stats

    expected = rows * probability
    dispersion = float(((drawn - expected) ** 2).sum() / (expected * (1 - probability)))
    spread = stats.chi2(len(drawn))
    return float(2 * min(spread.cdf(dispersion), spread.sf(dispersion)))
