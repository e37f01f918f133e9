"""Short keys: one of a member for one contribution, and the sum of the survivors' keys.

The rule kept here: a ``ShortKey`` has no form in bytes. It is drawn, used for one body, given to the shares, and
forgotten; it is never written, sent, copied or shown.

References: Kim, Lee, Seo, Song, CRYPTO 2023 (hint-MLWE), for why keys are Gaussian of standard deviation 6.4: given the
sum of two of them, each still hides as one of 3.2 would. The sum of two ternary keys fixes a fifth of either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Never

import numpy as np

from securefl.crypto.entropy import SYSTEM, Entropy
from securefl.crypto.kahe.gaussian import sample
from securefl.crypto.kahe.modulus import Integers
from securefl.crypto.kahe.parameters import SIGMA
from securefl.crypto.kahe.randomness import RandomStream
from securefl.crypto.kahe.ring import Spectrum, spectrum_of
from securefl.crypto.profiles import DEGREE
from securefl.errors import AuthenticationError, CapacityError, ProtocolError

LARGEST_DEVIATIONS: Final = 14
"""A coefficient of an honest sum of n keys is at most 14 sigma sqrt(n): a failure below 2^-140 each."""
NORM_SQUARED: Final = (SIGMA * 5 / 4) ** 2 * DEGREE
"""The squared norm of an honest sum of n keys is at most n times this: a failure below 2^-340."""


class ShortKey:
    """A member's key for one contribution; its transform is computed once.

    Guarantee: one key hides one body (``scheme``). A second body under it would show the difference of both at once,
    which is why it cannot be stored: a member that lost it makes a new key, a new body and new shares.
    """

    __slots__ = ("_attempt", "_coefficients", "_sections", "_spectrum")

    def __init__(self, coefficients: Integers) -> None:
        self._attempt: bytes | None = None
        self._sections: set[int] = set()
        self._coefficients = _read_only(coefficients)
        self._spectrum = spectrum_of(self._coefficients)

    @classmethod
    def fresh(cls, entropy: Entropy = SYSTEM) -> ShortKey:
        """Draw a key.

        Args:
            entropy: Where its randomness comes from; the operating system, but in tests.
        """
        return cls(sample(DEGREE, RandomStream(entropy)).astype(np.int64))

    def __repr__(self) -> str:
        return "ShortKey(<redacted>)"

    def __reduce__(self) -> Never:
        raise ProtocolError(
            "a short key has no form in bytes", hint="draw a fresh one for a new contribution"
        )

    def claim(self, attempt: bytes, *, section: int) -> None:
        """Take a section of an attempt for this key: each is encrypted once, and all are of one attempt.

        Raises:
            ProtocolError: if the section was encrypted under this key already, or the key is that of another attempt.
        """
        if section in self._sections or self._attempt not in (None, attempt):
            raise ProtocolError(
                "a short key hides one contribution, and was used already", hint="draw a fresh one"
            )
        self._attempt = attempt
        self._sections.add(section)

    @property
    def coefficients(self) -> Integers:
        """(N,) int64 between -87 and 87, read-only: what is shared among the cohort."""
        return self._coefficients

    @property
    def spectrum(self) -> Spectrum:
        """Its transform."""
        return self._spectrum


class KeySum:
    """The sum of the survivors' keys: it opens their total and nothing else.

    Args:
        coefficients: (N,) int64, as the reveals give it.
        contributors: n, how many keys are in it.

    Raises:
        AuthenticationError: if it is too large or too long to be a sum of n short keys: a share or a reveal is wrong.
            So it is where no split makes its products exact, which happens to an honest sum with a probability below
            2^-80 (from 620 keys on its low halves are about uniform, 11 deviations within the limit).
    """

    __slots__ = ("_spectrum", "contributors")

    def __init__(self, coefficients: Integers, *, contributors: int) -> None:
        if not _is_sum_of_keys(coefficients, contributors):
            raise _no_sum(contributors)
        self.contributors = contributors
        try:
            self._spectrum = spectrum_of(coefficients)
        except CapacityError:
            # Within the bounds, and so regular that no two halves of it are short: somebody chose it.
            raise _no_sum(contributors) from None

    def __repr__(self) -> str:
        return f"KeySum(contributors={self.contributors}, <redacted>)"

    def __reduce__(self) -> Never:
        raise ProtocolError("a sum of keys has no form in bytes", hint="combine the reveals again")

    @classmethod
    def of(cls, keys: Iterable[ShortKey | None]) -> KeySum | None:
        """The sum of keys that are at hand, as only a simulation has them; None where no scheme drew any."""
        drawn = [key.coefficients for key in keys if key is not None]
        return cls(np.sum(drawn, axis=0), contributors=len(drawn)) if drawn else None

    @property
    def spectrum(self) -> Spectrum:
        """Its transform, in two halves where it is long."""
        return self._spectrum


def _is_sum_of_keys(coefficients: Integers, contributors: int) -> bool:
    """Compare |S|_inf with 14 sigma sqrt(n) and |S|_2 with 1.25 sigma sqrt(4096 n), both squared, in integers."""
    if coefficients.shape != (DEGREE,) or contributors < 1:
        return False
    magnitude = max(int(coefficients.max()), -int(coefficients.min()))
    if magnitude**2 > (LARGEST_DEVIATIONS * SIGMA) ** 2 * contributors:
        return False
    return int(np.dot(coefficients, coefficients)) <= NORM_SQUARED * contributors


def _no_sum(contributors: int) -> AuthenticationError:
    return AuthenticationError(
        f"the reveals do not add up to a sum of {contributors} short keys",
        hint="try other reveals; a member's packet or reveal is wrong",
    )


def _read_only(coefficients: Integers) -> Integers:
    own = coefficients.astype(np.int64)
    own.flags.writeable = False
    return own
