"""Renyi differential privacy, by dp-accounting: a bound for every event."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from securefl.errors import ConfigError
from securefl.privacy.accounting.base import EXTRA_HINT, Accountant
from securefl.privacy.accounting.concentrated import Line, gaussian_line, skellam_lines
from securefl.privacy.events import DistributedGaussian, DistributedSkellam, Event, SampledGaussian

INTEGER_ORDERS: Final = (*range(2, 129), *range(136, 257, 8), 320, 384, 512, 768, 1024, 2048, 4096)
"""Skellam noise is bounded at whole orders only."""
FINE_ORDERS: Final = (*(1 + step / 20 for step in range(1, 40)), *(3 + step / 10 for step in range(1, 80)))
"""Small orders, which decide where epsilon is large; for Poisson samples their series may not converge."""


class RdpAccountant(Accountant):
    """Renyi differential privacy at some orders, and the best epsilon of them.

    References: Mironov 2017 (arXiv 1702.07476); Canonne, Kamath, Steinke 2020 (arXiv 2004.00010, proposition 12) for
    the conversion; Mironov, Talwar, Zhang 2019 (arXiv 1908.10530) for Poisson samples.
    """

    name: ClassVar[str] = "rdp"

    def supports(self, event: Event) -> bool:
        """True for every event."""
        return True

    def _epsilon(self, events: Mapping[Event, int], delta: float) -> float:
        skellam = any(isinstance(event, DistributedSkellam) for event in events)
        sampled = any(
            isinstance(event, SampledGaussian) and event.sampling_probability < 1 for event in events
        )
        orders = INTEGER_ORDERS if skellam or sampled else (*FINE_ORDERS, *INTEGER_ORDERS)
        # A composition is bounded by either of Skellam's lines throughout.
        return min(self._by_line(events, delta, orders, line) for line in ((0, 1) if skellam else (0,)))

    def _by_line(
        self, events: Mapping[Event, int], delta: float, orders: tuple[float, ...], line: int
    ) -> float:
        accounting = _library()
        accountant = accounting.rdp.RdpAccountant(
            sorted(set(orders)), accounting.NeighboringRelation.ADD_OR_REMOVE_ONE
        )
        for event, count in events.items():
            accountant.compose(_event(accounting, event, line), count)
        epsilon = float(accountant.get_epsilon(delta))
        return epsilon if math.isfinite(epsilon) else math.inf


def _event(accounting: Any, event: Event, line: int) -> Any:
    match event:
        case SampledGaussian():
            gaussian = accounting.GaussianDpEvent(event.noise_multiplier)
            sampled = accounting.PoissonSampledDpEvent(event.sampling_probability, gaussian)
            return accounting.SelfComposedDpEvent(sampled, event.steps)
        case DistributedGaussian():
            return _zcdp(accounting, gaussian_line(event))
        case DistributedSkellam():
            return _zcdp(accounting, skellam_lines(event)[line])
        case _:
            return accounting.NonPrivateDpEvent()


def _zcdp(accounting: Any, line: Line) -> Any:
    return accounting.ZCDpEvent(line.rho, line.xi)


def _library() -> Any:
    """The library, imported where it is used: it takes seconds, and only this feature needs it."""
    try:
        import dp_accounting
        import dp_accounting.rdp
    except ImportError:
        raise ConfigError("privacy accounting needs dp-accounting", hint=EXTRA_HINT) from None
    return dp_accounting
