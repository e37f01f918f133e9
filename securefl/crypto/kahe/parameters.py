"""Numbers of the scheme that no profile changes.

Security: N = 4096, q = 2^60, secret and error Gaussian of standard deviation 6.4 (see ``scheme``).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

Q_BITS: Final = 60
"""q = 2^60."""
SIGMA: Final = Fraction(32, 5)
"""Standard deviation of keys and errors: 6.4."""
TAIL: Final = 87
"""Largest magnitude of a coefficient of a key or an error."""
