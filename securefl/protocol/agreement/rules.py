"""A federation as far as agreement needs it, and a member's own part in an attempt, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from securefl.crypto.thresholds import CohortSizes, RosterConstants
from securefl.errors import ProtocolError
from securefl.protocol.agreement.cohort import Cohort
from securefl.protocol.agreement.commitment import ContributionHeader
from securefl.protocol.agreement.signed import Attempt, Signed
from securefl.protocol.agreement.statement import PublicKeyOf


class Owners(Protocol):
    """The rule of owners of one round: a coordinate or class has no owner among the survivors, or c_max + 2."""

    def check(self, *, survivors: tuple[str, ...], cohort: tuple[str, ...]) -> None:
        """Check the survivors of a cohort, both by their ids.

        Raises:
            ProtocolError: where some own a coordinate or hold a class, and too few.
        """
        ...


@dataclass(frozen=True)
class Rules:
    """A federation as far as agreement needs it; no slots, so that the places of its members are computed once.

    Attributes:
        federation_digest: Digest of the federation file (32 bytes).
        key_epoch: Number of the rotation of keys.
        members: The roster's ids, in its order.
        public_key_of: The roster's Ed25519 keys; raises for whom it does not list.
        constants: m, c_max and h.
        packets: True where the scheme shares keys, so that contributions come with packets.
    """

    federation_digest: bytes
    key_epoch: int
    members: tuple[str, ...]
    public_key_of: PublicKeyOf
    constants: RosterConstants
    packets: bool

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Index in the roster of every member, by its id."""
        return {member: index for index, member in enumerate(self.members)}

    def attempt(self, round_number: int, number: int) -> Attempt:
        """An attempt of this federation under these keys."""
        return Attempt(self.federation_digest, self.key_epoch, round_number, number)

    def check_keys(self, attempt: Attempt) -> None:
        """Check that an attempt is under these keys.

        Raises:
            ProtocolError: if it is of another rotation of them.
        """
        if attempt.key_epoch != self.key_epoch:
            raise ProtocolError(
                f"the server works under rotation {attempt.key_epoch} of the keys, this member's folder holds "
                f"rotation {self.key_epoch}",
                hint="keys change in the folders of all members and of the server: finish 'securefl keys rotate' "
                "where it was begun",
            )

    def sizes(self, cohort: Cohort) -> CohortSizes:
        """n, t and c of a cohort.

        Raises:
            ProtocolError: if it is smaller than a cohort of this federation may be.
        """
        return self.constants.cohort(len(cohort.adverts))


@dataclass(frozen=True, slots=True)
class OwnPart:
    """One member's own part in an attempt, which proposed survivors are held against.

    Attributes:
        member: Its id.
        header: The header that it sent; None where it has sent none.
        opened: The packets that it opened: index of the sender, and the digest of the body that each was bound to
            (32 bytes). Not looked at under a scheme without packets.
        spoiled: Ids of the survivors whose certified sum could not be opened, where there was one since the last
            aggregate was applied: the survivors must be the same again.
    """

    member: str
    header: Signed[ContributionHeader] | None
    opened: Mapping[int, bytes] = field(default_factory=dict)
    spoiled: tuple[str, ...] | None = None
