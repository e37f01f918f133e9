"""A privacy plan: sampling, clipping, sensitivity, noise, event, delta and rounds as one frozen value.

The rule kept here: nothing of it is said twice. The event that is charged is a property of the mechanism that runs, and
epsilon a property of the events, so they cannot disagree.

*Predicted cosine.* The sum of n aligned updates of the clip's length, in d dimensions, under noise of z times the clip
on each coordinate, has a cosine of n / sqrt(n^2 + z^2 d) with the sum without noise. Real updates are neither aligned
nor all of the clip's length: it is an upper bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from securefl.errors import ConfigError
from securefl.privacy.accounting.accountants import AccountantName, accountant_named
from securefl.privacy.events import Event
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.sampled_training import SampledTraining

Unit = Literal["example", "client"]
LEAST_COSINE: Final = 0.5
MOST_ROUNDS: Final = 100_000


def predicted_cosine(*, contributors: int, multiplier: float, dimension: int) -> float:
    """N / sqrt(n^2 + z^2 d).

    Args:
        contributors: n, members in the sum.
        multiplier: z, standard deviation of all noise in the sum by the clip.
        dimension: d.
    """
    return contributors / math.sqrt(contributors**2 + multiplier**2 * dimension)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyPlan:
    """A promise of a federation, and the mechanism that keeps it.

    Attributes:
        release: What every round runs.
        rounds: How many rounds release something, a seeding round among them.
        delta: For the whole federation.
        target_epsilon: The promise.
        accountant: Who computes epsilon.

    Raises:
        ConfigError: if a number is out of its range.
    """

    release: SampledTraining | ClientMechanism
    rounds: int
    delta: float
    target_epsilon: float
    accountant: AccountantName

    def __post_init__(self) -> None:
        if self.rounds < 1 or not 0 < self.target_epsilon < math.inf or not 0 < self.delta < 1:
            raise ConfigError(
                f"a plan of {self.rounds} rounds for epsilon {self.target_epsilon:g} at delta {self.delta:g}",
                hint="rounds and epsilon are positive, and delta lies between 0 and 1",
            )

    @property
    def unit(self) -> Unit:
        """The protected unit."""
        match self.release:
            case SampledTraining():
                return "example"
            case ClientMechanism():
                return "client"
            case _:
                assert_never(self.release)

    @property
    def event(self) -> Event:
        """A round's charge."""
        return self.release.event

    @property
    def noise_multiplier(self) -> float:
        """z: what epsilon follows from."""
        return self.release.noise_multiplier

    @property
    def epsilon(self) -> float:
        """Epsilon of all rounds."""
        return self.epsilon_after(self.rounds)

    @property
    def epsilon_of_a_round(self) -> float:
        """Epsilon of one round alone; rounds add up to less than the sum of theirs."""
        return self.epsilon_after(1)

    def epsilon_after(self, rounds: int) -> float:
        """Epsilon of the first rounds together.

        Guarantee: see ``accounting.base.Accountant.epsilon``; the release's docstring names the assumptions on what
        runs.
        """
        return accountant_named(self.accountant).epsilon((self.event,) * rounds, delta=self.delta)

    @property
    def affordable_rounds(self) -> int:
        """The most rounds of this release that keep the target; ``MOST_ROUNDS`` where there are more."""
        # Nearly always it is the plan's own number: its noise was found for that.
        low, high, step = 0, self.rounds, 1
        while high <= MOST_ROUNDS and self.epsilon_after(high) <= self.target_epsilon:
            low, high, step = high, high + step, 2 * step
        high = min(high, MOST_ROUNDS + 1)
        while high - low > 1:
            middle = (low + high) // 2
            kept = self.epsilon_after(middle) <= self.target_epsilon
            low, high = (middle, high) if kept else (low, middle)
        return low

    def cosine(self, contributors: int) -> float | None:
        """Predicted cosine of a round's sum with the sum without noise, an upper bound; None for unit ``example``."""
        if isinstance(self.release, SampledTraining):
            return None
        return predicted_cosine(
            contributors=contributors,
            multiplier=self.release.released_multiplier(contributors),
            dimension=self.release.dimension,
        )

    def require_kept(self) -> None:
        """Refuse a plan whose rounds cost more than its target.

        Raises:
            ConfigError: naming the last round that the budget allows.
        """
        if self.epsilon > self.target_epsilon:
            raise ConfigError(
                f"{self.rounds} rounds cost epsilon {self.epsilon:.3g}, and 'privacy.target_epsilon' is "
                f"{self.target_epsilon:g}: {last_round(self.affordable_rounds)}",
                hint="write fewer rounds, or raise the noise or the target",
            )

    def require_useful(self, contributors: int, *, force: bool) -> None:
        """Refuse noise that drowns the sum of so many members.

        Raises:
            ConfigError: if the predicted cosine is below ``LEAST_COSINE`` and not forced.
        """
        cosine = self.cosine(contributors)
        if cosine is None or cosine >= LEAST_COSINE or force:
            return
        assert isinstance(self.release, ClientMechanism)
        raise ConfigError(
            f'the noise of unit "client" leaves a predicted cosine of {cosine:.2f} between the sum of {contributors} '
            f"clients and what is released, at {self.release.dimension:,} values and z = {self.noise_multiplier:.3g}",
            where="[privacy]",
            hint='choose a smaller payload (payload.name = "core", a lower rank, fewer target_modules) or more '
            'clients, write unit = "example", or force = true to run it all the same',
        )


def last_round(affordable: int) -> str:
    """The last round that a budget allows, as a clause."""
    return "it allows no round" if affordable == 0 else f"the last affordable round is {affordable}"
