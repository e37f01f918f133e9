"""Constants of a roster: how many members a cohort has, how many of them may collude with the server, and what follows.

The rule kept here: ``min_clients`` and ``c_max`` are fixed once for a roster, and hold for every cohort from
``min_clients`` members up to the whole roster; a smaller cohort is refused. Otherwise a lying server would pick, say,
eight members of sixteen, five of them its own, and the threshold of the eight would protect nobody.

Terms: the *threshold* t(n) = floor(2n / 3) + 1 is the number of signatures that certify a set of survivors, and the
number of sums of shares that open it; *c_max* is the number of members that may collude with the server; *h* is the
least number of honest contributions in a sum. Everything is exact integer arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

from securefl.config.cohort import MAX_COHORT, MIN_COHORT
from securefl.crypto.profiles import DEGREE
from securefl.errors import ConfigError, ProtocolError

MIN_COLLUDERS = 1
"""With none, no share is random, and every member alone would hold a part of every other member's key."""

SEAL_BYTES = 16
"""The tag of ChaCha20-Poly1305 behind a share in a packet or a sum of shares in a reveal; see ``channel_keys``."""


def threshold(members: int) -> int:
    """t(n) = floor(2n / 3) + 1, for a cohort of n members."""
    return 2 * members // 3 + 1


def default_min_clients(roster: int) -> int:
    """The smallest cohort of a roster whose file names none: an eighth may be missing, at least one; never below 3."""
    return max(MIN_COHORT, roster - max(1, roster // 8))


def largest_coalition(members: int) -> int:
    """Largest coalition that a cohort of exactly n members bears: min(2 t(n) - n - 1, t(n) - 2).

    The first bound keeps two sets of survivors from both gathering t signatures; the second leaves at least two honest
    contributions in a sum. It does not grow steadily with n (3 for six members, 2 for seven), so a roster takes the
    least over all its cohorts.
    """
    return min(2 * threshold(members) - members - 1, threshold(members) - 2)


@dataclass(frozen=True, slots=True)
class CohortSizes:
    """Sizes of one cohort's sharing, from public numbers; whoever knows the roster computes the same.

    Attributes:
        members: n, members of the cohort.
        threshold: t, sums of shares that open a sum; also the signatures that certify it.
        max_colluders: c, the roster's c_max: so many shares of one key say nothing.
    """

    members: int
    threshold: int
    max_colluders: int

    @property
    def packed(self) -> int:
        """Coefficients of a key that one polynomial carries, k = t - c; at least 2."""
        return self.threshold - self.max_colluders

    @property
    def words(self) -> int:
        """Words of 16 bits in one share, b = ceil(4096 / k)."""
        return -(-DEGREE // self.packed)

    @property
    def sealed_bytes(self) -> int:
        """Bytes of a sealed share, in a packet, and of a sealed sum of shares, in a reveal."""
        return 2 * self.words + SEAL_BYTES


@dataclass(frozen=True, slots=True)
class RosterConstants:
    """Constants of a roster, pinned in its federation file.

    Guarantee:
        In every cohort of n members from ``min_clients`` to ``roster``, with at most ``max_colluders`` members in
        league with a server that lies: no two statements both gather t(n) signatures of distinct members, because
        that takes 2 t(n) - n - c > 0 honest members that sign twice, and an honest member signs once an attempt; and
        of any t(n) survivors at least ``min_honest`` >= 2 are honest.
        Source: the counting argument of Bonawitz et al., CCS 2017, section 6.2, for a server that lies.

    Attributes:
        roster: Members of the roster.
        min_clients: m, the smallest cohort that a member takes part in.
        max_colluders: c_max.

    Raises:
        ConfigError: if the numbers do not fit each other; what is wrong and what to write instead.
    """

    roster: int
    min_clients: int
    max_colluders: int

    def __post_init__(self) -> None:
        _check_cohorts(self.roster, self.min_clients)
        largest = _least_coalition(self.roster, self.min_clients)
        if self.max_colluders > largest:
            raise ConfigError(
                f"max_colluders = {self.max_colluders} is more than cohorts of {self.min_clients} to {self.roster} "
                f"clients bear, which is {largest}",
                where="[encryption] max_colluders",
                hint=f"write {largest} or less, or leave the key out",
            )
        if self.max_colluders < MIN_COLLUDERS:
            raise ConfigError(
                f"max_colluders = {self.max_colluders} would show every client a part of the others' keys",
                where="[encryption] max_colluders",
                hint=f"write a number from {MIN_COLLUDERS} to {largest}, or leave the key out for {largest}",
            )

    @classmethod
    def of(cls, roster: int, *, min_clients: int, max_colluders: int | None = None) -> RosterConstants:
        """Constants with the largest c_max, or with a smaller one that is asked for.

        A smaller one packs more coefficients into a share, which is then shorter, and lets a coordinate be summed
        over fewer owners.

        Args:
            roster: Members of the roster, 3 to 1000.
            min_clients: m, 3 to ``roster``.
            max_colluders: c_max, 1 to the largest; the largest if not given.

        Raises:
            ConfigError: if there are no such constants.
        """
        _check_cohorts(roster, min_clients)
        chosen = _least_coalition(roster, min_clients) if max_colluders is None else max_colluders
        return cls(roster, min_clients, chosen)

    @property
    def min_honest(self) -> int:
        """The least number of honest contributions in a sum, h = t(m) - c_max; at least 2."""
        return threshold(self.min_clients) - self.max_colluders

    @property
    def least_owners(self) -> int:
        """The fewest owners of a coordinate that may be summed, c_max + 2."""
        return self.max_colluders + 2

    def cohort(self, members: int) -> CohortSizes:
        """Sizes for a cohort of this roster.

        Args:
            members: n.

        Raises:
            ProtocolError: if it has fewer members than ``min_clients``, or more than the roster.
        """
        if not self.min_clients <= members <= self.roster:
            raise ProtocolError(
                f"a cohort of {members} members is none of this federation's",
                hint=f"its cohorts have {self.min_clients} to {self.roster} members; a member takes part in no other",
            )
        return CohortSizes(members, threshold(members), self.max_colluders)


def _least_coalition(roster: int, min_clients: int) -> int:
    return min(largest_coalition(members) for members in range(min_clients, roster + 1))


def _check_cohorts(roster: int, min_clients: int) -> None:
    if not MIN_COHORT <= roster <= MAX_COHORT:
        raise ConfigError(
            f"a federation of {roster} clients has no threshold that protects them",
            where="[cohort] clients",
            hint=f"list {MIN_COHORT} to {MAX_COHORT} clients",
        )
    if not MIN_COHORT <= min_clients <= roster:
        raise ConfigError(
            f"min_clients = {min_clients} does not fit a federation of {roster} clients",
            where="[federation] min_clients",
            hint=f"write a number from {MIN_COHORT} to {roster}",
        )
