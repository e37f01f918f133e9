"""One interface of all accountants: events and delta to epsilon.

The rule kept here: what is not understood is refused, and what is uncertain is counted against the claim: rounding of
samplers comes out of delta before the accountant sees it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import ClassVar, Final

from securefl.errors import ConfigError
from securefl.privacy.events import DistributedGaussian, DistributedSkellam, Event, NonPrivate

SAMPLER_SHARE: Final = 1e-3
"""Part of delta that is kept for the distance of the samplers from their distributions."""
EXTRA_HINT: Final = "install it with: pip install 'securefl[dp]'"


class Accountant(ABC):
    """Computes epsilon for a composition of events, which may be chosen adaptively."""

    name: ClassVar[str]

    @abstractmethod
    def supports(self, event: Event) -> bool:
        """True where the accountant has a bound for an event."""

    @abstractmethod
    def _epsilon(self, events: Mapping[Event, int], delta: float) -> float:
        """Epsilon of events, each so many times; none is ``NonPrivate``, and there is one at least."""

    def epsilon(self, events: Iterable[Event], *, delta: float) -> float:
        """Compute an upper bound of epsilon at a delta.

        Args:
            events: Everything that was released about one protected unit, in any order.
            delta: Between 0 and 1, both excluded.

        Guarantee: the composition is (epsilon, delta)-differentially private for the events' adjacency (adding or
        removing an example; zeroing a member's vector), if the releases were made as the events say. Samplers are off
        by a statistical distance D in all, which costs (1 + e^epsilon) D of delta (triangle inequality); a thousandth
        of delta is kept for it, and where that is not enough the answer is infinite.

        Raises:
            ConfigError: if delta is out of range, or an event is not supported.
        """
        if not 0 < delta < 1:
            raise ConfigError(f"'privacy.delta' is {delta:g}", hint="it lies between 0 and 1, such as 1e-5")
        counted = Counter(events)
        if any(isinstance(event, NonPrivate) for event in counted):
            return math.inf
        if not counted:
            return 0.0
        for event in counted:
            self._require(event)
        distance = _sampler_distance(counted)
        if distance == 0:
            return self._remembered(counted, delta)
        epsilon = self._remembered(counted, delta * (1 - SAMPLER_SHARE))
        # In logarithms, as e^epsilon may be beyond a float.
        cost = epsilon + math.log(2) + math.log(distance)
        return epsilon if cost <= math.log(delta * SAMPLER_SHARE) else math.inf

    def _remembered(self, events: Mapping[Event, int], delta: float) -> float:
        """Plans, budgets and their reports ask the same of clients with the same rows, and an answer takes long."""
        return _computed(type(self), type(self)._epsilon, tuple(events.items()), delta)

    def _require(self, event: Event) -> None:
        if not self.supports(event):
            raise ConfigError(
                f'the accountant "{self.name}" has no bound for {event.name} noise',
                hint='write accountant = "rdp"',
            )


@lru_cache(maxsize=1024)
def _computed(
    accountant: type[Accountant],
    compute: Callable[[Accountant, Mapping[Event, int], float], float],
    events: tuple[tuple[Event, int], ...],
    delta: float,
) -> float:
    return compute(accountant(), dict(events), delta)


def _sampler_distance(events: Mapping[Event, int]) -> float:
    """Statistical distance of all samples of discrete noise from what the events say."""
    return float(
        sum(
            count * event.sampler_distance
            for event, count in events.items()
            if isinstance(event, DistributedGaussian | DistributedSkellam)
        )
    )
