"""Privacy loss random variables, by Opacus: a second opinion on Gaussian noise, with an implementation of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np

from securefl.errors import ConfigError
from securefl.privacy.accounting.base import EXTRA_HINT, Accountant
from securefl.privacy.accounting.pld import gaussians, is_gaussian
from securefl.privacy.events import Event


class PrvAccountant(Accountant):
    """Numerical composition of privacy loss random variables; epsilon is the upper end of its error of 0.01.

    Importing Opacus imports torch, so this accountant is for machines of members alone.

    Reference: Gopi, Lee, Wutschitz 2021 (arXiv 2106.02848).
    """

    name: ClassVar[str] = "prv"

    @staticmethod
    def installed() -> bool:
        """True where Opacus can be imported."""
        return find_spec("opacus") is not None

    def supports(self, event: Event) -> bool:
        """True for Gaussian noise, also distributed and discrete."""
        return is_gaussian(event)

    def _epsilon(self, events: Mapping[Event, int], delta: float) -> float:
        accountant, slack = _accountant(), 0.0
        for gaussian, count in gaussians(events):
            event = gaussian.event
            accountant.history.append(
                (event.noise_multiplier, event.sampling_probability, event.steps * count)
            )
            slack += count * gaussian.kappa
        # Opacus takes the logarithm of 1 - q, also at q = 1, and warns of its first, rough bound.
        with np.errstate(divide="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            epsilon = float(accountant.get_epsilon(delta * math.exp(-slack)))
        return epsilon + 2 * slack if math.isfinite(epsilon) else math.inf


def _accountant() -> Any:
    try:
        from opacus.accountants import PRVAccountant
    except ImportError:
        raise ConfigError('the accountant "prv" needs Opacus', hint=EXTRA_HINT) from None
    return PRVAccountant()
