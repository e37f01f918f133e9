"""Noise of unit ``client`` in a federation: pinned by the lead, checked by every member, and used in every round.

The rule kept here: the mechanism that a member encodes with, the event that its budget is charged for, and the plan
that people see are made from the same pinned integers, so they cannot disagree. Under scheme ``kahe`` shares are sized
for h = t(m) - c_max honest survivors, a constant of the roster, whatever cohort a round has. Under ``bfv`` and ``none``
single contributions can be read, so h = 1: each member's share is all of the noise.

Reference: ``privacy.mechanism`` for the mechanism, ``crypto.thresholds`` for h.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from securefl.config.privacy import ClientPrivacySection
from securefl.errors import ConfigError
from securefl.privacy.events import DistributedGaussian, DistributedSkellam
from securefl.privacy.mechanism import ClientMechanism
from securefl.privacy.plan import PrivacyPlan
from securefl.protocol.federation import Federation
from securefl.protocol.round_kind import RoundKind
from securefl.protocol.terms import VARIANCE_UNIT, PinnedClientPrivacy

_ROTATION_DOMAIN: Final = b"securefl/v3/rotation\x00"


@dataclass(frozen=True, slots=True)
class RoundNoise:
    """Mechanism of one round, and the public seed of its rotation.

    Attributes:
        mechanism: For exactly the round's values.
        rotation_seed: 32 public bytes that follow from the federation and the round's number, so that all members, and
            all attempts of the round, rotate alike.
    """

    mechanism: ClientMechanism
    rotation_seed: bytes

    def encode(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Make noisy integers (d,) of an update's values (d,); every call draws noise of its own.

        Guarantee, and ``Raises``: see ``ClientMechanism.encode``.
        """
        return self.mechanism.encode(values, rotation_seed=self.rotation_seed)

    def decode(self, sums: NDArray[np.int64]) -> NDArray[np.float64]:
        """Turn sums (d,) of such integers back: the sum of the clipped updates and the noise, (d,) float64."""
        return self.mechanism.decode(sums, rotation_seed=self.rotation_seed)

    def deviation(self, contributors: int) -> float:
        """Standard deviation of noise and rounding in a value of such a sum."""
        return self.mechanism.released_multiplier(contributors) * self.mechanism.clip


def with_client_noise(federation: Federation, section: ClientPrivacySection) -> Federation:
    """Pin the least noise that keeps a promise, for the payload and the roster of a drafted federation.

    Args:
        federation: Drafted without differential privacy.
        section: The promise.

    Raises:
        ConfigError: if no noise keeps it.
        CapacityError: if update and noise have no room in the grid's integers.
    """
    # Planning imports the accountants, which a member that only encodes does without.
    from securefl.privacy.least_noise import plan_clients

    release = plan_clients(
        target_epsilon=section.target_epsilon,
        delta=section.delta,
        accountant=section.accounted_by,
        clip=section.clip,
        noise=section.mechanism,
        dimension=max(kind.total for kind in _kinds(federation)),
        honest=hidden_shares(federation),
        limit=_limit(federation),
        rounds=federation.terms.federation.rounds,
    ).release
    assert isinstance(release, ClientMechanism)
    pinned = PinnedClientPrivacy(
        **section.model_dump(),
        honest=release.honest,
        dimension=release.dimension,
        clip_steps=release.clip_steps,
        share_variance_16ths=int(release.share_variance * VARIANCE_UNIT),
    )
    return replace(federation, terms=federation.terms.model_copy(update={"privacy": pinned}))


def hidden_shares(federation: Federation) -> int:
    """Number h of honest members' shares of noise that hide each of them from whoever reads the most.

    Only ``kahe`` keeps a contribution from a server that is in league with members. Under ``none`` the server reads
    each, and under ``bfv`` with the help of any member, all of whom hold the key; what hides it then is its own share.

    Guarantee: whatever the server and c_max members read depends on a member's integers only together with h honest
    shares, its own among them. Source: ``crypto.thresholds.RosterConstants`` under ``kahe``; else nothing is assumed.
    """
    return federation.constants.min_honest if federation.terms.encryption.scheme == "kahe" else 1


def client_plan(federation: Federation) -> PrivacyPlan | None:
    """The plan that a federation's pinned noise makes; None where clients are not protected.

    Raises:
        ConfigError: if the pinned numbers make no mechanism.
    """
    privacy = federation.terms.privacy
    if not isinstance(privacy, PinnedClientPrivacy):
        return None
    return PrivacyPlan(
        release=_mechanism(privacy),
        rounds=federation.terms.federation.rounds,
        delta=privacy.delta,
        target_epsilon=privacy.target_epsilon,
        accountant=privacy.accounted_by,
    )


def round_noise(federation: Federation, round_number: int) -> RoundNoise | None:
    """Noise of a round; None where clients are not protected.

    A round of fewer values than the largest one has a smaller sensitivity under the same noise, so that it never costs
    more than planned.

    Raises:
        ConfigError: if the pinned numbers make no mechanism.
    """
    privacy = federation.terms.privacy
    if not isinstance(privacy, PinnedClientPrivacy):
        return None
    mechanism = replace(_mechanism(privacy), dimension=federation.kind_of(round_number).total)
    seed = hashlib.sha256(_ROTATION_DOMAIN + federation.digest + round_number.to_bytes(8, "big")).digest()
    return RoundNoise(mechanism, seed)


def round_event(federation: Federation, round_number: int) -> DistributedGaussian | DistributedSkellam | None:
    """The charge of a round; None where clients are not protected."""
    noise = round_noise(federation, round_number)
    return None if noise is None else noise.mechanism.event


def check_client_promise(federation: Federation) -> None:
    """Refuse a federation whose rounds would not keep its promise to clients; nothing happens where it makes none.

    Everything is computed again from the pinned integers.

    Guarantee: in a federation that passes, everything that can be read holds the shares of h honest members at least,
    on every value, and all rounds together cost at most the target; see ``hidden_shares`` for h, and
    ``ClientMechanism.encode``. Assumptions: at most c_max members are in league with the server, and honest members
    follow the protocol. Source: ``crypto.thresholds.RosterConstants``.

    Raises:
        ConfigError: with what does not hold.
    """
    plan, privacy = client_plan(federation), federation.terms.privacy
    if plan is None or not isinstance(privacy, PinnedClientPrivacy):
        return
    if privacy.delta * len(federation.roster) > 1:
        raise _broken("delta allows that a client is given away whole")
    _check_only_noised(federation)
    _check_shares(federation, privacy)
    plan.require_kept()
    plan.require_useful(len(federation.roster), force=privacy.force)


def _mechanism(privacy: PinnedClientPrivacy) -> ClientMechanism:
    return ClientMechanism(
        noise=privacy.mechanism,
        dimension=privacy.dimension,
        clip=privacy.clip,
        clip_steps=privacy.clip_steps,
        share_variance=Fraction(privacy.share_variance_16ths, VARIANCE_UNIT),
        honest=privacy.honest,
    )


def _check_shares(federation: Federation, privacy: PinnedClientPrivacy) -> None:
    """Shares are sized for the roster's honest survivors, the payload and the lanes."""
    _check_honest(federation, privacy)
    largest = max(kind.total for kind in _kinds(federation))
    if privacy.dimension < largest:
        raise _broken(f"the noise is for {privacy.dimension:,} values, and a round sums {largest:,}")
    if _mechanism(privacy).largest_integer > _limit(federation):
        raise _broken("an update and its share of the noise have no room in the grid's integers")


def _check_honest(federation: Federation, privacy: PinnedClientPrivacy) -> None:
    """No more shares are counted on than hide a contribution, whatever ``force`` says."""
    hidden, scheme = hidden_shares(federation), federation.terms.encryption.scheme
    if privacy.honest <= hidden:
        return
    if scheme == "kahe":
        raise _broken(
            f"the noise counts on {privacy.honest} honest survivors, and the roster is sure of {hidden}"
        )
    raise _broken(
        f"the noise counts on {privacy.honest} honest survivors, and under 'encryption.scheme' = \"{scheme}\" single "
        "contributions, with one share of it each, can be read"
    )


def sums_beside_noise(federation: Federation) -> str | None:
    """Name as a clause what depends on the members' data and is summed beside noised values; None for nothing."""
    if federation.openings or federation.terms.aggregation.weights != "equal":
        return "weights or statistics of the members' data are summed without noise"
    if any(kind.total != kind.values or kind.selective for kind in _kinds(federation)):
        return "losses or scores of the members' data are summed without noise"
    return None


def _check_only_noised(federation: Federation) -> None:
    beside = sums_beside_noise(federation)
    if beside is not None:
        raise _broken(beside)


def _broken(reason: str) -> ConfigError:
    return ConfigError(
        reason, where="[privacy]", hint="provision anew from a file that 'securefl plan' accepts"
    )


def _kinds(federation: Federation) -> Iterator[RoundKind]:
    rounds = federation.terms.federation.rounds
    return (federation.kind_of(number) for number in federation.rounds_of_all_kinds if number <= rounds)


def _limit(federation: Federation) -> int:
    """Largest magnitude of an integer of the grid."""
    return (1 << (federation.terms.grid.precision_bits - 1)) - 1
